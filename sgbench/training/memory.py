"""Memory of one run, in a process that may make many: its peak, and the allocator's ways."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self")
CGROUP = Path("/sys/fs/cgroup")
# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Set glibc to retain freed buffers in the process; return False where there is no glibc.

    Training frees and asks for the same megabytes in every step. By default glibc hands large buffers back to the
    system, which clears them page by page when they return: up to half of a fast step. The setting holds for the
    process, only makes it slower to give memory back, and may be made any number of times.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    settings = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 64 << 20))
    done = [mallopt(name, value) for name, value in settings]
    return all(done)


def reset_peak() -> bool:
    """Reset the system's measurement of peak memory; return False where the system does not allow that.

    What earlier runs of the process freed and the allocator kept is given back first.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        (PROC / "clear_refs").write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """Read the peak resident memory of this process since `reset_peak` [bytes]; None where the system has none.

    The memory of the process as a whole: libraries and data included, of an accelerator nothing.
    """
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def available_bytes() -> int | None:
    """Return the memory that a new process can take without pushing others out, or None if unknown."""
    try:
        lines = (PROC.parent / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min([free, *_cgroup_bytes()])


def _cgroup_bytes() -> list[int]:
    """Read how much memory is left below the limit of a container, if there is one."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return [int(limit) - int(used)] if limit.isdigit() else []
    except OSError:
        return []


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Stop garbage collection while modules load and configurations compose, since nearly all objects stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
