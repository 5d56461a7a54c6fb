"""`memory`: what the first three training steps add to a process, each contender in a fresh one."""

import contextlib
import ctypes
import dataclasses
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.comparison import Settings, builds, every_build
from benchmarks.gate import TINY, TRAINING_STEPS
from benchmarks.measure import limited
from benchmarks.workloads import Sizes, make_task
from sgbench.errors import SgbenchError
from sgbench.training.memory import M_MMAP_THRESHOLD, PROC, keep_freed_memory, peak_bytes, reset_peak

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20
SMALL_BYTES = 2**16  # of arrays that may share a page with others


def compare(settings: Settings, *, with_peers: bool) -> dict[str, Any]:
    """Measure each contender in a process of its own."""
    load_before = report.load_average()
    contenders = {
        name: in_child("benchmarks.memory", {"contender": name, **dataclasses.asdict(settings)}, f"memory of {name}")
        for name in builds(with_peers=with_peers)
    }
    return {
        "command": "memory",
        "workload": settings.workload,
        "sizes": dataclasses.asdict(settings.sizes),
        "settings": {
            **{name: getattr(settings, name) for name in ("threads", "precision", "seed")},
            "freed_memory_kept": not settings.default_allocator and keep_freed_memory(),
        },
        **report.conditions(load_before),
        "contenders": contenders,
    }


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = [
        [name, f"{entry['before_bytes'] / MIB:.0f}", f"{entry['added_bytes'] / MIB:.0f}"]
        for name, entry in result["contenders"].items()
    ]
    return "\n".join(
        [
            f"{result['workload']}: {report.sizes_line(result['sizes'])}; {result['settings']['precision']}",
            report.head_line(result),
            report.settings_line(result),
            "",
            report.table([f"first {TRAINING_STEPS} steps", "MiB before", "MiB added at the peak"], rows),
        ]
    )


def in_child(module: str, request: dict[str, Any], what: str) -> Any:
    """Run a module in a process of its own, with a request as JSON, and return what it prints as JSON.

    `what`: is measured; named if the process fails.
    """
    command = [sys.executable, "-m", module, json.dumps(request)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SgbenchError(f"{what}: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(request: dict[str, Any]) -> dict[str, int]:
    """Measure, in the child, memory before the first step, and how far the peak of three steps lies above it [bytes].

    A tiny copy is trained first, so that what is loaded or compiled once does not count.
    """
    name = request.pop("contender")
    settings = Settings(**{**request, "sizes": Sizes(**request["sizes"])})
    with limited(settings.threads):
        build = every_build()[name]
        tiny = settings.sizes.at_most(**TINY)
        build(make_task(settings.workload, tiny, precision=settings.precision)).step()
        task = make_task(settings.workload, settings.sizes, precision=settings.precision, seed=settings.seed)
        contender = build(task)
        give_back()
        if not settings.default_allocator:
            keep_freed_memory()
        reset_peak()
        before_bytes = resident_bytes()
        for _ in range(TRAINING_STEPS):
            contender.step()
        peak = peak_bytes()
    if before_bytes is None or peak is None:
        raise SgbenchError("this system does not tell the memory of a process")
    return {"before_bytes": before_bytes, "added_bytes": max(0, peak - before_bytes)}


def give_back() -> None:
    """Hand freed memory to the system; kept, it would take in the first steps without a trace."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def map_arrays() -> None:
    """Have glibc give each freed array back at once, so that the peak is what was in use and no gap between arrays."""
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, SMALL_BYTES)


def resident_bytes() -> int | None:
    """Return the resident memory of this process now, or None where the system does not tell."""
    try:
        pages = int((PROC / "statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
