"""Where the loops of the generated engine come from in a search: run as Python, or compiled into a folder."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from fastspiking.codegen import build, slopes


def in_python(text: str, arrays: tuple[int, int], dtype: torch.dtype) -> build.Loops:
    module = build.in_memory(text, "written")
    quiet = np.errstate(all="ignore")  # compiled loops say nothing of infinities
    return build.Loops(quiet(module.forward), quiet(module.backward) if arrays[1] else None)


def slope_in_python(text: str, dtype: torch.dtype) -> Callable[..., None]:
    slope: Callable[..., None] = np.errstate(all="ignore")(build.in_memory(text, "written").slope)
    return slope


@contextmanager
def loops_in_python() -> Iterator[None]:
    """Let the generated engine run what it has written without compiling or keeping it."""
    with (
        tempfile.TemporaryDirectory() as folder,  # of processes that it starts, which compile
        mock.patch.dict("os.environ", SGBENCH_LOOPS=folder),
        mock.patch.object(build, "_loops", in_python),
        mock.patch.object(slopes, "_loop", slope_in_python),
    ):
        yield


@contextmanager
def loops_compiled(folder: Path) -> Iterator[None]:
    """Let the generated engine compile what it has written, into this folder."""
    with mock.patch.dict("os.environ", SGBENCH_LOOPS=str(folder)):
        yield
