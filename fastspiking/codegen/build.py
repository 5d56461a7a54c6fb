"""Compilation of generated loops: the machine code is read from the cache on disk, or compiled once and cached."""

import functools
import hashlib
import importlib.util
import linecache
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

import numba
import numpy as np
import torch

from fastspiking.codegen.source import WrittenSource, backward_arrays, forward_arrays
from fastspiking.kernels.disk_cache import LOOPS, ROOM, compile_lock, text_sha256
from fastspiking.numba_events import absent_neighbours
from fastspiking.paths import default_loops_dir, private_folder
from fastspiking.version import ENGINE

log = logging.getLogger("fastspiking")
Loop = Callable[..., None]
Made = TypeVar("Made")
OPTIONS = {"nogil": True, "error_model": "numpy"}


class Loops(NamedTuple):
    """Holds the compiled loops of a neuron over all steps: forward, and backward (None if nothing learns)."""

    forward: Loop
    backward: Loop | None


def loops(source: WrittenSource) -> Loops:
    """Compile the loops of a neuron's source, or load them from the cache."""
    program = source.program
    arrays = (len(forward_arrays(program)), len(backward_arrays(program)) if program.learns else 0)
    return _loops(source.text, arrays, source.dtype)


@functools.cache
def _loops(text: str, arrays: tuple[int, int], dtype: torch.dtype) -> Loops:
    """Compile the loops of a source text, or load them from the cache on disk.

    `arrays` is the number of arrays that the forward and the backward loop take.
    """
    number = getattr(np, str(dtype).removeprefix("torch."))
    return compiled(text, lambda module, cache: _compiled(module, arrays, number, cache=cache))


def compiled(text: str, compile_all: Callable[[ModuleType, bool], Made]) -> Made:
    """Import a source text as a module, and return what `compile_all` makes of it.

    `compile_all`: compiles the module's functions; its second argument is whether numba may cache them. They are
    cached on disk if there is a folder that only this user can write.
    """
    name = f"{LOOPS}{_digest(text)}"  # another text, or another version of what compiles it, has another name
    folder = default_loops_dir()
    try:
        if folder is not None:
            folder = private_folder(folder)
            with compile_lock(folder / f"{name}.lock"):
                return compile_all(_stored(text, folder / f"{name}.py"), True)
    except (OSError, RuntimeError) as error:
        log.warning("%s keeps no loops (%s); they are compiled for this process alone", folder, error)
    return compile_all(in_memory(text, name), False)


def _digest(text: str) -> str:
    """Return a digest of a source text and of all that its machine code depends on."""
    own = text_sha256(Path(__file__).parent)
    parts = [text, own, ENGINE, torch.__version__, numba.__version__, np.__version__, text_sha256(ROOM)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _stored(text: str, path: Path) -> ModuleType:
    """Write a source text to a file, unless it is there, and import it as a module."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise OSError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # numba's cache looks for it by this name
    spec.loader.exec_module(module)
    return module


def in_memory(text: str, name: str) -> ModuleType:
    """Run a written program as a module without a file."""
    module = ModuleType(name)
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - the source is ours
    return module


def _compiled(module: ModuleType, arrays: tuple[int, int], number: type, *, cache: bool) -> Loops:
    """Compile a generated module's loops for one float type (`number`).

    `arrays` is the number of arrays that each loop takes; 0 for the second means that there is no backward loop.
    """
    array, row = np.zeros((1, 1), number), np.zeros(1, number)
    driven, sent, read_back, taken = absent_neighbours(number)
    # Each is called for zero samples with its final argument types, so that numba compiles it.
    forward = numba.njit(cache=cache, **OPTIONS)(module.forward)
    forward(*[array] * arrays[0], driven, sent, row, row, 0, 0, 0, 0, 0, 1, 0, 0, 0)
    if not arrays[1]:
        return Loops(forward, None)
    # Gradients are not compared bit by bit, so a product and a sum may be one fused operation.
    backward = numba.njit(cache=cache, fastmath={"contract", "nsz", "arcp"}, **OPTIONS)(module.backward)
    backward(*[array] * arrays[1], array, read_back, taken, row, array, row, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)
    return Loops(forward, backward)


def missing_triton() -> str | None:
    """Return None if Triton is installed, else a message that says so and how to install it."""
    return None if importlib.util.find_spec("triton") else "triton is not installed: pip install 'sgbench[triton]'"


def is_interpreted() -> bool:
    """Return whether Triton runs programs in Python, on any device, as `TRITON_INTERPRET=1` asks."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def module_of(text: str) -> ModuleType:
    """Run a source text as a module whose lines Triton can look up; Triton caches the machine code itself."""
    name = f"sgbench-triton-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    linecache.cache[f"<{name}>"] = len(text), None, text.splitlines(keepends=True), f"<{name}>"
    return in_memory(text, name)
