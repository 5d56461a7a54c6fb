"""Peak and available memory of a process, and settings of the allocator and the garbage collector."""

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
    """Set glibc to keep freed buffers in the process; return False without glibc.

    Training frees and allocates the same megabytes in every step. By default glibc returns large buffers to the
    system, which clears them page by page on the next allocation: up to half of a fast step. The setting holds for
    the process, and may be made any number of times.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    settings = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 64 << 20))
    succeeded = [mallopt(name, value) for name, value in settings]  # a list, so that all are set even if one fails
    return all(succeeded)


def reset_peak() -> bool:
    """Reset the system's measurement of peak memory; return False if the system does not allow it.

    Memory that earlier runs of the process have freed is returned to the system first.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        (PROC / "clear_refs").write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """Return the peak resident memory of this process since `reset_peak` [bytes], or None if it is not known.

    It includes libraries and data, but no memory of an accelerator.
    """
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024  # in kB, e.g. "VmHWM:  123 kB"
    return None


def available_bytes() -> int | None:
    """Return the memory that a new process can allocate without swapping [bytes], or None if it is not known."""
    try:
        lines = (PROC.parent / "meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return min([available, *_cgroup_bytes()])


def _cgroup_bytes() -> list[int]:
    """Return the memory left below a container's limit [bytes] as a list of one; empty without a limit."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return [int(limit) - int(used)] if limit.isdigit() else []
    except OSError:
        return []


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Stop garbage collection during the body, and exclude its objects from later collections.

    It is used while modules load and configurations compose, since nearly all objects stay.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
