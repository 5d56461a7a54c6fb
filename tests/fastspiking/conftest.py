"""The generated engine's loops as the Python that they are written in, with nothing to compile."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_is_compiled(loops_in_python: None) -> None:
    """Every test of this room has it so, where it does not ask for more."""
