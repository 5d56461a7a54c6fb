"""A group of points as one job of a cluster, which writes its progress to a file.

A job can receive a cluster's signals only after it is unpickled, so torch, which takes seconds, is imported later.
"""

import contextlib
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, StorageError, one_printable_line
from sgbench.records.content import EpochScores
from sgbench.records.files import parse_tree, read_bytes, write_atomic
from sgbench.records.spec import RunSpec
from sgbench.replicas.messages import PruningThresholds, Stopped, WorkerMessage
from sgbench.training.provenance import Code

log = logging.getLogger("sgbench")
WRITE_S = 1.0  # shortest time between two writes
OVER = ("ended", "refused", "pruned")
"""Kinds of a point's last message."""


class ProgressWriter:
    """Writes the latest message of each point to a file, without records, which are in their runs' folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.points: dict[int, dict[str, Any]] = {}
        self.notes: list[str] = []
        self.is_new = False
        self.written_s = -WRITE_S

    def say(self, message: WorkerMessage) -> None:
        """Add a message, and write the file if that is due."""
        self.is_new = True
        if message.kind == "noted":
            self.notes.append(message.line)
        else:
            selected = None if message.selected is None else message.selected.model_dump()
            state = {"kind": message.kind, "epochs": message.epochs, "selected": selected}
            self.points[message.point] = {**state, "line": message.line, "exit_code": message.exit_code}
        self.tick()

    def tick(self) -> None:
        """Write new messages, unless the file was written within the last `WRITE_S` seconds."""
        if self.is_new and time.monotonic() - self.written_s >= WRITE_S:
            self.flush()

    def flush(self) -> None:
        """Write new messages now; if that fails, they are written next time."""
        if self.is_new:
            tree = {"notes": self.notes, "points": self.points, "cpu_s": time.process_time()}
            self.written_s = time.monotonic()
            try:
                write_atomic(self.path, json.dumps(tree).encode())
            except StorageError as error:  # a full disk; the runs may still finish and write their records
                log.warning("%s", one_printable_line(error))
            else:
                self.is_new = False


class ProgressReader:
    """Reads the new messages of a job's progress file.

    `point`: point under which messages about the job itself are reported.
    """

    def __init__(self, path: Path, point: int) -> None:
        self.path, self.point = path, point
        self.points: dict[int, dict[str, Any]] = {}
        self.notes = 0  # number of messages about the job that were read
        self.cpu_s = 0.0  # most processor time that the job has reported; a restarted job counts anew

    def news(self) -> list[WorkerMessage]:
        """Return the messages that are new since the last call; none if the file is missing or only half there."""
        try:
            tree: Any = parse_tree(read_bytes(self.path), str(self.path))
            points = {int(point): message for point, message in tree["points"].items()}
            messages = [WorkerMessage(self.point, "noted", line=line) for line in tree["notes"][self.notes :]]
            for point, state in points.items():
                if state != self.points.get(point):
                    selected = state["selected"]
                    scores = None if selected is None else EpochScores.model_validate(selected)
                    messages.append(WorkerMessage(point, **{**state, "selected": scores}))
            cpu_s = float(tree["cpu_s"])
        except (InputError, ValueError, TypeError, KeyError):
            return []
        self.cpu_s = max(self.cpu_s, cpu_s)
        self.points, self.notes = points, len(tree["notes"])
        return messages


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
        """Take over the folder and the import path of the sweep's process, where this machine has them."""
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
    differing = sorted(name for name in {*wanted, *present} if wanted.get(name) != present.get(name))
    return ", ".join(f"{name} {present.get(name)} in place of {wanted.get(name)}" for name in differing)
