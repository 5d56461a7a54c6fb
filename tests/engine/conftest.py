"""The generated engine's loops as the Python that they are written in, with nothing to compile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sgbench.engine.codegen import build


def in_python(text: str, arrays: tuple[int, int], dtype: torch.dtype) -> build.Loops:
    """The same source, not compiled."""
    module = build._in_memory(text, "written")
    quiet = np.errstate(all="ignore")  # compiled loops say nothing of infinities
    return build.Loops(quiet(module.forward), quiet(module.backward) if arrays[1] else None)


@pytest.fixture(autouse=True)
def loops_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` takes the generated engine, and nothing is compiled or kept."""
    monkeypatch.setenv("SGBENCH_LOOPS", "of this test")
    monkeypatch.setattr(build, "_loops", in_python)
