"""`python -m sgbench` is the command `sgbench`: one Ctrl-C stops it with exit code 130, a second one kills it.

Python raises KeyboardInterrupt between any two steps. During the import of a module, compiled code may take that
for its own failure and abort. During the deletion of an object, Python drops the exception and continues. Leaving
at once loses no stored file, since every file is written whole or not at all.
"""

from sgbench.cli import STOPPED, STOPPED_CODE, leave, take_over

IS_HANDLER_OURS = take_over()  # before anything that takes long is imported

import signal
import sys
import threading
from types import FrameType
from typing import Any

LONGEST_WAIT_S = 10.0
"""Time from the first Ctrl-C until the process ends in any case, once no worker is saving a checkpoint."""


class Interrupts:
    """Decides how this process answers SIGINT (Ctrl-C) while a command runs."""

    def __init__(self) -> None:
        self.is_ending = False  # whether the command is done, and Python cleans up
        self._was_lost = threading.Event()
        self._python_hook = sys.unraisablehook

    def install(self) -> None:
        """Replace the handler of SIGINT, and Python's hook for exceptions that it drops."""
        signal.signal(signal.SIGINT, self._on_signal)
        sys.unraisablehook = self._on_unraisable

    def _on_signal(self, _: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, and see to it that the process ends; leave at once where it would be lost."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C kills the process
        if self.is_ending or _is_importing(frame):
            leave()
        threading.Thread(target=self._wait_and_leave, daemon=True).start()
        raise KeyboardInterrupt

    def _on_unraisable(self, dropped: Any) -> None:
        """Note that Python dropped a KeyboardInterrupt; hand other dropped exceptions to Python's hook."""
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            self._was_lost.set()
        else:
            self._python_hook(dropped)

    def _wait_and_leave(self) -> None:
        """Stop the process if the KeyboardInterrupt does not, once no worker of a sweep is saving any more."""
        self._was_lost.wait(LONGEST_WAIT_S)
        while _saving_workers():
            self._was_lost.wait(LONGEST_WAIT_S)
            threading.Event().wait(0.1)
        leave()


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether the code that a signal interrupted is importing a module."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _saving_workers() -> list[Any]:
    """List the workers that may be saving a checkpoint: processes, and threads that wait for jobs on a cluster."""
    # A module that nobody has imported has no workers, and is not imported now.
    module, cluster = sys.modules.get("multiprocessing"), sys.modules.get("sgbench.replicas.cluster")
    processes = [] if module is None else module.active_children()
    threads = [] if cluster is None else [thread for thread in threading.enumerate() if thread.name == cluster.SAVING]
    return [*processes, *threads]


interrupts = Interrupts()
if IS_HANDLER_OURS:
    interrupts.install()


def command() -> int:
    """Run `sgbench` with the arguments of this process; return the exit code."""
    try:
        from sgbench.cli.main import main

        code = main()
    except KeyboardInterrupt:
        sys.stderr.write(STOPPED)
        code = STOPPED_CODE
    interrupts.is_ending = True
    return code


if __name__ == "__main__":
    sys.exit(command())
