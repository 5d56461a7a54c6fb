"""Generated Triton programs as Python modules, which Triton compiles for a CUDA device or interprets."""

import functools
import hashlib
import importlib.util
import linecache
import os
from types import ModuleType

from fastspiking.codegen.build import in_memory

REMEDY = "pip install 'sgbench[triton]'"


def missing() -> str | None:
    """Return None if Triton is installed, else a message that says so and how to install it."""
    return None if importlib.util.find_spec("triton") else f"triton is not installed: {REMEDY}"


def is_interpreted() -> bool:
    """Return whether Triton runs programs in Python, on any device, as `TRITON_INTERPRET=1` asks."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def module_of(text: str) -> ModuleType:
    """Run a source text as a module whose lines Triton can look up; Triton caches the machine code itself."""
    name = f"sgbench-triton-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    linecache.cache[f"<{name}>"] = len(text), None, text.splitlines(keepends=True), f"<{name}>"
    return in_memory(text, name)
