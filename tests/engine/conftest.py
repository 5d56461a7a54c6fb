"""The generated engine's loops as the Python that they are written in, with nothing to compile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.search_engines import loops


@pytest.fixture(autouse=True)
def loops_in_python() -> Iterator[None]:
    """`auto` takes the generated engine, and nothing is compiled or kept."""
    with loops.loops_in_python():
        yield
