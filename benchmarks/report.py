"""What was measured, as a table to read and as a file to keep."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, StorageError
from sgbench.records.files import require_writable, write_atomic
from sgbench.tables import aligned

PACKAGES = ("torch", "snntorch", "numba", "numpy", "spikingjelly", "norse", "sinabs", "spyx", "jax", "tonic")
VECTOR_UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")


def environment() -> dict[str, Any]:
    """Describe Python, the installed packages that matter here, and the machine."""
    return {
        "python": platform.python_version(),
        "versions": {name: number for name in PACKAGES if (number := _version(name)) is not None},
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def conditions(load_before: list[float] | None) -> dict[str, Any]:
    """Collect what a result says of its machine: the environment, and the load before and after the measurement."""
    return {"environment": environment(), "load_before": load_before, "load_after": load_average()}


def load_average() -> list[float] | None:
    """Return the machine's load over 1, 5 and 15 minutes, or None where the system does not report it."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> dict[str, Any]:
    """Return model and vector units of the processor; on another system than Linux the model that Python knows."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {"model": platform.processor() or platform.machine(), "vector_units": []}
    facts = dict((part.strip() for part in line.split(":", 1)) for line in text.splitlines() if ":" in line)
    flags = set((facts.get("flags") or facts.get("Features") or "").split())  # Features: on Arm
    model = facts.get("model name") or platform.machine()
    return {"model": model, "vector_units": [name for name in VECTOR_UNITS if name in flags]}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table with aligned columns, the first one to the left, the others to the right.

    >>> print(table(["what", "ms"], [["a", "1.0"], ["bc", "10.0"]]))
    what    ms
    a      1.0
    bc    10.0
    """
    return "\n".join(aligned([head, *rows], text_columns=1))


def head_line(result: dict[str, Any]) -> str:
    """Write on which processor and with which versions a result was measured."""
    machine, cpu = result["environment"], result["environment"]["cpu"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    vectors = " ".join(cpu["vector_units"])
    return f"{cpu['model']} ({vectors}), {machine['cores']} cores; python {machine['python']}, {versions}"


def settings_line(result: dict[str, Any]) -> str:
    """Write under which conditions a result was measured: threads, cores, allocator, and load of the machine."""
    used = result["settings"]
    parts = [f"{used['threads']} thread{'s' if used['threads'] > 1 else ''}"]
    parts += [f"pinned to {used['cores']}"] if used.get("cores") else []
    parts.append("freed memory kept" if used["freed_memory_kept"] else "default allocator")
    parts += ["one busy neighbour"] if used.get("busy") else []
    if result.get("load_before"):
        after = f", after {result['load_after'][0]:.2f}" if result.get("load_after") else ""
        parts.append(f"load average before {result['load_before'][0]:.2f}{after}")
    return "; ".join(parts)


def sizes_line(sizes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sizes.items() if value is not None)


def check_json(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"--json {path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise InputError(f"--json {path}: no such folder {path.parent}")
    if path.exists() and not os.access(path, os.W_OK):
        raise StorageError(f"--json {path}: cannot be written; name another file")
    require_writable(path.parent)


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        write_atomic(path, json.dumps(result, indent=1).encode() + b"\n")
        print(f"written: {path}")
