"""The progress file of a cluster's job, which the job overwrites and the sweep reads, in place of a pipe."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, StorageError, one_printable_line
from sgbench.records.content import EpochScores
from sgbench.records.files import parse_tree, read_bytes, write_atomic
from sgbench.replicas.messages import WorkerMessage

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
            self.points[message.point] = {
                "kind": message.kind,
                "epochs": message.epochs,
                "selected": selected,
                "line": message.line,
                "exit_code": message.exit_code,
            }
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
        self.path = path
        self.point = point
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
