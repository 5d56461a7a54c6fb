"""One run among others: its folder, its checkpoint, its record."""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch

from sgbench.datasets.base import Split
from sgbench.datasets.batches import SpikingData
from sgbench.paths import RECORD
from sgbench.records.files import to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.records.tuning import PRUNED, Pruned
from sgbench.signals.trajectory import Batch
from sgbench.training.attempt import Attempt
from sgbench.training.build import build
from sgbench.training.provenance import Code
from sgbench.training.run_folder import (
    REPLICA_CHECKPOINT,
    folder_of,
    forget_checkpoints,
    set_aside_unreadable,
)

Evaluation = Callable[[SpikingData, Split], Iterator[Batch]]
log = logging.getLogger("sgbench")


class Replica(Attempt):
    """Runs one attempt that shares its process with others.

    Args:
        point: index of the point in the sweep.
        spec: what was asked for.
        data: loaded by another run of the same data set, or None.
        code: what runs here.
    """

    def __init__(self, point: int, spec: RunSpec, data: SpikingData | None, code: Code) -> None:
        super().__init__(spec, build(spec), folder_of(spec), code)
        self.point = point
        self.spent_s = 0.0
        self.optimizer_state: dict[str, Any] | None = None  # from a checkpoint
        if data is None:
            self.parts.data.setup()
        else:
            self.parts.data.share(data)
        self.watch_test()
        set_aside_unreadable(self.folder / RECORD)
        if spec.force:
            forget_checkpoints(self.folder)
        self.make_loggers()
        checkpoint = self.kept(REPLICA_CHECKPOINT, "optimizer")
        if checkpoint is not None:
            self.optimizer_state = checkpoint["optimizer"]
            self.training.load_state_dict(checkpoint["sgbench"])

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Measure the time of a block as this run's own."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.spend(time.perf_counter() - began_s)

    def spend(self, time_s: float) -> None:
        """Add time of training, its own or its share of those in lockstep."""
        self.training.fit_s += time_s
        self.spent_s += time_s

    def took_s(self) -> float:
        """Return the seconds this run took: its own and its share of those in lockstep."""
        return self.spent_s

    def log_epoch(self) -> None:
        """Send the epoch's scores to the loggers."""
        numbers = self.training.epoch_numbers() | self.gradient_norms()
        for logger in self.loggers:
            logger.log_metrics(numbers, step=self.training.epoch)
        self.show_histograms(self.training.epoch)

    def finish(self, evaluation: Evaluation) -> RunRecord:
        """Score validation, and test where the run opens it, with the selected weights; store the record.

        Args:
            evaluation: the batches of a run's data and a split.
        """
        weights_sha256 = self.take_best()
        began_s = time.perf_counter()
        self._score("validation", evaluation)
        validation = self.training.evaluation.scores()
        test_began_s = time.perf_counter()
        if self.spec.opens_test:
            with self.parts.data.last_step():
                self._score("test", evaluation)
        ended_s = time.perf_counter()
        self.test_s = ended_s - test_began_s
        self.spent_s += ended_s - began_s
        return self.store(self.finished(validation, weights_sha256))

    def _score(self, split: Literal["validation", "test"], evaluation: Evaluation) -> None:
        self.training.begin_scoring(split, selected=True)
        for batch in evaluation(self.parts.data, split):
            self.training.score(batch)

    def is_below(self, thresholds: Sequence[float]) -> bool:
        """Return whether its best validation score lies below this epoch's threshold; never without one."""
        epochs, best = len(self.training.curve), self.training.best
        if epochs > len(thresholds):
            return False
        return (best.value if best.monitor == "validation_accuracy" else -best.value) < thresholds[epochs - 1]

    def prune(self) -> None:
        """Write how far the run came, and its best epoch's validation scores; the test split stays closed."""
        best = self.training.curve[self.training.best.epoch or 0]
        pruned = Pruned(
            method_id=method_id(self.spec.method),
            seed=self.spec.seed,
            epochs=len(self.training.curve),
            validation_accuracy=best.validation_accuracy,
            validation_loss=best.validation_loss,
        )
        write_atomic(self.folder / PRUNED, to_json(pruned))

    def fail(self, error: Exception) -> RunRecord:
        """Store the record of a failed run."""
        return self.store(self.failed(error))

    def save(self, optimizer: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Write a checkpoint of a whole epoch; a crash at any moment leaves the old one or the new one.

        Args:
            optimizer: its row of the stack, weights included.
            state: the training's own.
        """
        buffer = io.BytesIO()
        torch.save({"sgbench": state, "optimizer": optimizer}, buffer)
        write_atomic(self.folder / REPLICA_CHECKPOINT, buffer.getvalue())
