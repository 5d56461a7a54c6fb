"""One run that shares its process with others: its folder, checkpoint and record."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch

from fastspiking.signals.trajectory import Batch
from sgbench.datasets.base import Split
from sgbench.datasets.batches import SpikingData
from sgbench.paths import RECORD
from sgbench.records.files import PRUNED, Pruned, to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.base_run import BaseRun
from sgbench.training.build import build
from sgbench.training.provenance import Code
from sgbench.training.run_folder import REPLICA_CHECKPOINT, folder_of, forget_checkpoints, set_aside_unreadable

Evaluation = Callable[[SpikingData, Split], Iterator[Batch]]
log = logging.getLogger("sgbench")


class Replica(BaseRun):
    """Runs one attempt that shares its process with others.

    `point`: index of the point in the sweep. `spec`: specification of the run. `data`: data that another run has
    loaded, of the same data set, or None. `code`: commit and versions of the code that runs.
    """

    def __init__(self, point: int, spec: RunSpec, data: SpikingData | None, code: Code) -> None:
        super().__init__(spec, build(spec), folder_of(spec), code)
        self.point = point
        self.spent_s = 0.0  # time of its own, and its share of time in lockstep
        self.optimizer_state: dict[str, Any] | None = None  # from a checkpoint
        if data is None:
            self.parts.data.setup()
        else:
            self.parts.data.share(data)
        self.record_test_access()
        set_aside_unreadable(self.folder / RECORD)
        if spec.force:
            forget_checkpoints(self.folder)
        self.make_loggers()
        checkpoint = self.load_checkpoint(REPLICA_CHECKPOINT, "optimizer")
        if checkpoint is not None:
            self.optimizer_state = checkpoint["optimizer"]
            self.training.load_state_dict(checkpoint["sgbench"])

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Add the time of the body to this run's training time."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self.spend(time.perf_counter() - began_s)

    def spend(self, time_s: float) -> None:
        """Add training time [s] of this run, its own or its share of time in lockstep."""
        self.training.fit_s += time_s
        self.spent_s += time_s

    def elapsed_s(self) -> float:
        return self.spent_s

    def log_epoch(self) -> None:
        numbers = self.training.epoch_numbers()
        for logger in self.loggers:
            logger.log_metrics(numbers, step=self.training.epoch)
        self.show_histograms(self.training.epoch)

    def finish(self, evaluation: Evaluation) -> RunRecord:
        """Score the best weights, on the test split too if the run opens it, and store the record; return it."""
        weights_sha256 = self.save_best_weights()
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
        return self.store(self.make_finished_record(validation, weights_sha256))

    def _score(self, split: Literal["validation", "test"], evaluation: Evaluation) -> None:
        """Score the selected weights on a split, into `training.evaluation`."""
        self.training.begin_scoring(split, selected=True)
        for batch in evaluation(self.parts.data, split):
            self.training.score(batch)

    def is_below(self, thresholds: Sequence[float]) -> bool:
        """Return whether the best validation score so far is below this epoch's threshold, if there is one."""
        epochs, best = len(self.training.curve), self.training.best
        if epochs > len(thresholds):
            return False
        score = best.value if best.monitor == "validation_accuracy" else -best.value  # larger is better
        return score < thresholds[epochs - 1]

    def prune(self) -> None:
        """Write the number of epochs and the best validation scores of a run that is stopped early."""
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
        return self.store(self.make_failed_record(error))

    def save(self, optimizer: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Write a checkpoint of a whole epoch; a crash at any moment leaves the old or the new file whole."""
        self.save_checkpoint(REPLICA_CHECKPOINT, {"sgbench": state, "optimizer": optimizer})
