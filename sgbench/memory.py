"""Peak memory of one run, in a process that may make many."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc/self")


def reset_peak() -> bool:
    """Begin a new measurement; false where the system does not allow it (other than Linux, some containers)."""
    try:
        (PROC / "clear_refs").write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """Largest resident memory of this process since `reset_peak`, or None where the system does not tell.

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
