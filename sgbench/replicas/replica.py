"""One run among others: its folder, its checkpoint, its record."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Iterator
from typing import Any

import torch

from sgbench.attempt import Attempt
from sgbench.build import build
from sgbench.datasets.batches import SpikingData
from sgbench.paths import RECORD
from sgbench.records.files import to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.run_folder import CHECKPOINTS, REPLICA_CHECKPOINT, folder_of, set_aside_unreadable

log = logging.getLogger("sgbench")


class Replica(Attempt):
    """A try at a run that shares its process with others.

    Args:
        place: of the point in the sweep.
        spec: what was asked for.
        data: loaded by another run of the same data set, or None.
    """

    def __init__(self, place: int, spec: RunSpec, data: SpikingData | None) -> None:
        super().__init__(spec, build(spec), folder_of(spec))
        self.place = place
        self.total_s = 0.0
        self.optimizer_state: dict[str, Any] | None = None  # from a checkpoint
        if data is None:
            self.parts.data.setup()
        else:
            self.parts.data.share(data)
        set_aside_unreadable(self.folder / RECORD)
        if spec.force:
            self._forget()
        self.make_loggers()
        self._load()

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Time that this run takes for itself."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.spend(time.perf_counter() - began_s)

    def spend(self, time_s: float) -> None:
        """Count time of training, its own or its share of everybody's."""
        self.training.fit_s += time_s
        self.total_s = (self.total_s or 0.0) + time_s

    def log_epoch(self) -> None:
        """Hand the epoch's scores to the loggers."""
        line = self.training.curve[-1].model_dump()
        activity = self.training.evaluation.scores().activity
        line |= {f"rate_hz/{layer.name}": layer.rate_hz for layer in activity}
        for logger in self.loggers:
            logger.log_metrics(line, step=line["epoch"])

    def finish(self) -> RunRecord:
        """Score validation and test with the selected weights, and store the record."""
        training, data = self.training, self.parts.data
        weights_sha256 = self.take_best()
        began_s = time.perf_counter()
        training.begin_scoring("validation", selected=True)
        for batch in data.evaluation("validation"):
            training.score(batch)
        validation = training.evaluation.scores()
        test_began_s = time.perf_counter()
        training.begin_scoring("test", selected=True)
        for batch in data.evaluation("test"):
            training.score(batch, count=True)
        ended_s = time.perf_counter()
        self.test_s = ended_s - test_began_s
        self.total_s = (self.total_s or 0.0) + ended_s - began_s
        return self.store(self.finished(validation, weights_sha256))

    def fail(self, error: Exception) -> RunRecord:
        """Store the record of a failure."""
        return self.store(self.failed(error))

    def store(self, record: RunRecord) -> RunRecord:
        """Write the record, then tell the loggers."""
        write_atomic(self.folder / RECORD, to_json(record))
        if record.status == "finished":
            self._forget()
        self.publish(record)
        return record

    def save(self, optimizer: dict[str, torch.Tensor], course: dict[str, Any]) -> None:
        """Write a checkpoint of a whole epoch; a crash at any moment leaves the old one or the new one.

        Args:
            optimizer: its row of the stack, weights included.
            course: the training's own state.
        """
        room = io.BytesIO()
        torch.save({"sgbench": course, "optimizer": optimizer}, room)
        write_atomic(self.folder / REPLICA_CHECKPOINT, room.getvalue())

    def _load(self) -> None:
        path = self.folder / REPLICA_CHECKPOINT
        if not path.is_file():
            return
        try:
            kept = torch.load(path, weights_only=True)
            if kept["sgbench"]["made_by"] != self.training.made_by:
                log.warning("%s was made by other versions; training starts anew", path)
                path.unlink()
                return
            self.optimizer_state = kept["optimizer"]
            self.training.load_state_dict(kept["sgbench"])
        except Exception as error:
            log.warning("%s is damaged (%s); training starts anew", path, type(error).__name__)
            path.unlink()

    def _forget(self) -> None:
        for name in CHECKPOINTS:
            (self.folder / name).unlink(missing_ok=True)
