"""Triton's functions of a written source: compiled for a CUDA device, or interpreted."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import linecache
import os
from types import ModuleType

from sgbench.engine.codegen.build import in_memory

REMEDY = "pip install 'sgbench[triton]'"


def missing() -> str | None:
    """Explain that Triton is not installed, or return None where it is."""
    return None if importlib.util.find_spec("triton") else f"triton is not installed: {REMEDY}"


def is_interpreted() -> bool:
    """Return whether Triton runs programs in Python, on any device, as `TRITON_INTERPRET=1` asks."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def module_of(text: str) -> ModuleType:
    """Make a module of a written source, whose lines Triton can look up; machine code is kept by Triton itself."""
    name = f"sgbench-triton-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    linecache.cache[f"<{name}>"] = len(text), None, text.splitlines(keepends=True), f"<{name}>"
    return in_memory(text, name)
