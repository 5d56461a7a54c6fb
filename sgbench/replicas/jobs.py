"""A group of points as one job of a cluster, which writes its progress to a file.

A job can receive a cluster's signals only after it is unpickled, so torch, which takes seconds, is imported later.
"""

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
from sgbench.training.provenance import Code

STOP = "stop"
"""File in the folder of a sweep's jobs whose presence requests all of them to save and end."""
CHECK_S = 1.0  # between two checks whether it exists


@dataclass
class GroupJob:
    """Runs a group of points on a cluster's machine; it is pickled there, and called once."""

    points: Sequence[tuple[int, RunSpec]]  # (index in the sweep, spec) of each
    folder: Path  # of the sweep's jobs, visible on all machines
    name: str  # of the job in this folder
    alone: bool  # whether the points run one by one, not as replicas
    largest: int | None  # most replicas at a time; None: as many as fit
    memory_bytes: int  # memory that the job has requested
    thresholds: Mapping[int, PruningThresholds]  # of points that may be stopped early, by index
    made_by: Mapping[str, str]  # versions of the code of the sweep's own process
    cwd: str = field(default_factory=os.getcwd)
    search_path: list[str] = field(default_factory=lambda: list(sys.path))
    stop_requested: bool = field(default=False, init=False)
    checked_s: float = field(default=0.0, init=False)  # when `STOP` was last looked for

    @property
    def progress(self) -> Path:
        return self.folder / f"{self.name}.json"

    def __call__(self) -> None:
        """Run the points until they have ended or a stop is requested, and write their messages to `progress`."""
        self._set_up_process()
        writer = ProgressWriter(self.progress)
        has_ended = False
        try:
            with contextlib.suppress(Stopped, KeyboardInterrupt):  # a requested stop, after all is saved
                if not self._should_stop(writer):
                    self._run(writer)
                    has_ended = True
        finally:
            writer.flush()
        if not has_ended:
            self.stopped()

    def stopped(self) -> None:
        """Do what follows a stop, after all runs are saved; a subclass may have the job queued again."""

    def _run(self, writer: ProgressWriter) -> None:
        """Train the points as replicas, or one by one; refuse them all if this machine has another code."""
        differences = _differences(self.made_by, Code.here().made_by({}))
        if differences:
            line = f"{socket.gethostname()} has other versions than the sweep ({differences}); nothing was run there"
            for point, _ in self.points:
                writer.say(WorkerMessage(point, "refused", line=line, exit_code=InputError.exit_code))
            return
        from sgbench.replicas.group_worker import GroupWorker
        from sgbench.replicas.worker import run_alone

        if self.alone:
            run_alone(self.points, writer.say)
            return
        if self._should_stop(writer):  # while torch was loaded
            raise Stopped
        worker = GroupWorker(
            self.points,
            writer.say,
            lambda: self._should_stop(writer),
            largest=self.largest,
            memory_bytes=self.memory_bytes,
            thresholds=self.thresholds,
        )
        worker.run()

    def _set_up_process(self) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if Path(self.cwd).is_dir():
            os.chdir(self.cwd)
        sys.path += [path for path in self.search_path if path not in sys.path]

    def _should_stop(self, writer: ProgressWriter) -> bool:
        """Return whether a stop is requested, and write messages that are due; called before every batch."""
        writer.tick()
        now_s = time.monotonic()
        if now_s - self.checked_s >= CHECK_S:
            self.checked_s = now_s
            self.stop_requested |= (self.folder / STOP).exists()
        return self.stop_requested


def _differences(wanted: Mapping[str, str], present: Mapping[str, str]) -> str:
    """Return the versions that differ as text, each with the present and the wanted one; empty if none does.

    >>> _differences({"torch": "2.6"}, {"torch": "2.7"})
    'torch 2.7 in place of 2.6'
    """
    names = sorted({*wanted, *present})
    return ", ".join(
        f"{name} {present.get(name)} in place of {wanted.get(name)}"
        for name in names
        if wanted.get(name) != present.get(name)
    )
