"""Reads the words of each command and prints its answer, one thin file a command."""

import _signal  # pyright: ignore[reportMissingImports]  # built in; importing `signal` takes milliseconds
import os
import sys

STOPPED, STOPPED_CODE = "sgbench: stopped; the same command continues where it was\n", 130


def leave(*_: object) -> None:
    """Print that the command was stopped, and end this process at once with exit code 130; a handler of signals."""
    os.write(2, STOPPED.encode())
    os._exit(STOPPED_CODE)


def take_over() -> bool:
    """Replace Python's default handler of SIGINT by `leave`; return whether it was replaced.

    Other handlers stay, also one that ignores SIGINT. So does Python's own in worker processes of a sweep, which
    import this module too.
    """
    module = sys.modules.get("multiprocessing")
    is_worker = module is not None and module.parent_process() is not None
    if is_worker or _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        return False
    _signal.signal(_signal.SIGINT, leave)
    return True
