"""A group of points as one job of a cluster: replicas on some node, and their progress in a file.

A job is unpickled before it can receive a cluster's signals, so torch, which takes seconds, is loaded after that.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from sgbench.replicas.messages import PruningThresholds, Stopped, WorkerMessage
from sgbench.replicas.progress import ProgressWriter
from sgbench.training import late_modules
from sgbench.training.provenance import Code

STOP = "stop"
"""File of a sweep's jobs that asks all of them to save and end."""
LOOK_S = 1.0  # between two checks whether it is there


@dataclass
class GroupJob:
    """Runs a group wherever a cluster puts it; it is pickled, and called once."""

    points: Sequence[tuple[int, RunSpec]]  # (index in the sweep, spec) of each
    folder: Path  # of the sweep's jobs, which both sides see
    name: str  # of the job among them
    alone: bool  # whether the points share nothing
    largest: int | None  # replicas at a time, or None for as many as fit
    memory_bytes: int  # memory that was asked for
    thresholds: Mapping[int, PruningThresholds]  # by index, of runs that are stopped early
    made_by: Mapping[str, str]  # versions of the sweep's own process
    cwd: str = field(default_factory=os.getcwd)
    search_path: list[str] = field(default_factory=lambda: list(sys.path))
    asked: bool = field(default=False, init=False)  # to stop
    looked_s: float = field(default=0.0, init=False)

    @property
    def progress(self) -> Path:
        """Return the path of the file that it writes its progress to."""
        return self.folder / f"{self.name}.json"

    def __call__(self) -> None:
        """Run the group; asked to stop, save checkpoints of the last whole epoch and return."""
        self._set_up_process()
        writer = ProgressWriter(self.progress)
        whole = False
        try:
            with contextlib.suppress(Stopped, KeyboardInterrupt):  # what was asked for, after all is saved
                if not self._is_asked(writer):
                    self._run(writer)
                    whole = True
        finally:
            writer.flush()
        if not whole:
            self.stopped()

    def stopped(self) -> None:
        """Close a job whose runs are all saved; a job of an array may ask to be queued again."""

    def _run(self, writer: ProgressWriter) -> None:
        foreign = _differences(self.made_by, Code.here().made_by({}))
        if foreign:
            line = (
                f"{socket.gethostname()} has other versions than the sweep ({foreign}); nothing was run there"
            )
            for point, _ in self.points:
                writer.say(WorkerMessage(point, "refused", line=line, exit_code=InputError.exit_code))
            return
        from sgbench.replicas.group_worker import GroupWorker
        from sgbench.replicas.worker import run_alone

        if self.alone:
            run_alone(self.points, writer.say)
            return
        if self._is_asked(writer):  # while torch was loaded
            raise Stopped
        worker = GroupWorker(
            self.points,
            writer.say,
            lambda: self._is_asked(writer),
            largest=self.largest,
            memory_bytes=self.memory_bytes,
            thresholds=self.thresholds,
        )
        worker.run()

    def _set_up_process(self) -> None:
        """Take the folder and module path of the sweep, so that the user's own files and modules are found."""
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        late_modules.install()
        if Path(self.cwd).is_dir():
            os.chdir(self.cwd)
        sys.path += [path for path in self.search_path if path not in sys.path]

    def _is_asked(self, writer: ProgressWriter) -> bool:
        writer.tick()
        now_s = time.monotonic()
        if now_s - self.looked_s >= LOOK_S:
            self.looked_s = now_s
            self.asked |= (self.folder / STOP).exists()
        return self.asked


def _differences(wanted: Mapping[str, str], present: Mapping[str, str]) -> str:
    """Name what is not the same, with what it is here and what it should be.

    >>> _differences({"torch": "2.6"}, {"torch": "2.7"})
    'torch 2.7 in place of 2.6'
    """
    names = sorted({*wanted, *present})
    return ", ".join(
        f"{name} {present.get(name)} in place of {wanted.get(name)}"
        for name in names
        if wanted.get(name) != present.get(name)
    )
