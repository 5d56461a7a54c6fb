"""`python -m sgbench` is the command `sgbench`: one Ctrl-C stops it with exit code 130, a second one kills it.

Python raises KeyboardInterrupt between any two steps. Where a module is being imported, compiled code may take that
for its own failure and abort; where an object is being deleted, Python drops it and goes on. Nothing that is stored
can be lost by leaving at once, since every file is written whole or not at all.
"""

from __future__ import annotations

from sgbench.cli import STOPPED, STOPPED_CODE, leave, take_over

IS_OURS = take_over()  # before anything that takes long is imported

import signal
import sys
import threading
from types import FrameType
from typing import Any

PATIENCE_S = 10.0
"""For what is under way to end, from the first Ctrl-C on."""


class Interrupts:
    """Decides what this process does about SIGINT while a command runs."""

    def __init__(self) -> None:
        self.is_ending = False  # the command is done, and Python cleans up
        self._was_lost = threading.Event()
        self._python_hook = sys.unraisablehook

    def install(self) -> None:
        """Replace the handler of SIGINT, and note where Python drops what it raises."""
        signal.signal(signal.SIGINT, self._on_signal)
        sys.unraisablehook = self._on_unraisable

    def _on_signal(self, _: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one kills, whatever goes on
        if self.is_ending or _is_importing(frame):
            leave()
        threading.Thread(target=self._wait, daemon=True).start()
        raise KeyboardInterrupt

    def _on_unraisable(self, lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            self._was_lost.set()
        else:
            self._python_hook(lost)

    def _wait(self) -> None:
        """Stop the process, after the workers of a sweep, if the interrupting exception was swallowed somewhere."""
        self._was_lost.wait(PATIENCE_S)
        while _children():
            self._was_lost.wait(PATIENCE_S)
            threading.Event().wait(0.1)
        leave()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _children() -> list[Any]:
    """List what has to be waited for because it saves a checkpoint when stopped: child processes, cluster jobs."""
    module, cluster = sys.modules.get("multiprocessing"), sys.modules.get("sgbench.replicas.cluster")
    jobs = (
        []
        if cluster is None
        else [thread for thread in threading.enumerate() if thread.name == cluster.SAVING]
    )
    return [*([] if module is None else module.active_children()), *jobs]


interrupts = Interrupts()
if IS_OURS:
    interrupts.install()


def command() -> int:
    """Run the command of this process; returns its exit code."""
    try:
        from sgbench.cli.main import main
        from sgbench.training import late_modules

        late_modules.install()
        code = main()
    except KeyboardInterrupt:
        sys.stderr.write(STOPPED)
        code = STOPPED_CODE
    interrupts.is_ending = True
    return code


if __name__ == "__main__":
    sys.exit(command())
