"""One attempt at a run, whoever drives it: from parts to a training, and from a training to a record."""

from __future__ import annotations

import json
import logging
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sgbench.errors import InputError, NonFiniteError, disk_full, one_printable_line
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS, is_private
from sgbench.records.chance import even_guess, is_at_chance
from sgbench.records.content import (
    FINAL,
    SCHEMA_VERSION,
    Failure,
    HostEnergy,
    Learning,
    Provenance,
    Scores,
    SelectedOnTest,
    Timing,
)
from sgbench.records.counts import OpCounts
from sgbench.records.files import to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.signals.trajectory import Batch
from sgbench.training import memory, provenance
from sgbench.training.artefacts import save_predictions, save_weights
from sgbench.training.build import Parts, construct
from sgbench.training.diagnosing import Diagnosing
from sgbench.training.epoch_loop import Training
from sgbench.training.gradient_norms import GradientNorms
from sgbench.training.learning import Agreeing, learning_of
from sgbench.training.run_folder import TEST_ACCESS, forget_checkpoints, read_access

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

WHY = "to see why: sgbench diagnose RUN"
"""Where a failure of the numbers points to; RUN is the folder of the run."""
log = logging.getLogger("sgbench")


class Attempt:
    """Holds what a record needs to know of one attempt at a run."""

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path, code: provenance.Code) -> None:
        self.spec = spec
        self.parts = parts
        self.folder = folder
        self.code = code
        self.began_s = time.perf_counter()
        self.test_s = 0.0
        self.memory_is_measured = False
        self.host_energy: list[HostEnergy] = []  # empty where no meter counted this run alone
        self.loggers: list[Logger] = []
        self.showing: list[Logger] = []  # those that were asked for histograms
        self.test_access: list[str] = []  # stage of each time, those of interrupted tries first
        self.training = Training(parts, spec.method, spec.seed, made_by=code.made_by(spec.targets))
        self.training.diagnosing = self.diagnosing = Diagnosing(spec, parts)
        self.training.agreeing = self.agreeing = Agreeing(spec, parts)
        log.debug("engine %s: %s", *parts.engine)

    def watch_test(self) -> None:
        """Record every use of the test split, before it happens, in a file that outlives a crash."""
        path = self.folder / TEST_ACCESS
        before = [] if self.spec.force else read_access(path)
        self.test_access = before

        def note(stage: str | None) -> None:
            reached = FINAL if self.training.ended else f"epoch {self.training.epoch}"
            self.test_access = [*self.test_access, stage or reached]
            write_atomic(path, (json.dumps(self.test_access) + "\n").encode())

        self.parts.data.splits.listener = note

    def took_s(self) -> float:
        """Measure the seconds since the run began."""
        return time.perf_counter() - self.began_s

    def kept(self, name: str, *parts: str) -> dict[str, Any] | None:
        """Load a checkpoint of this name if it has these parts and was made by this same code, else return None."""
        path = self.folder / name
        if not path.is_file():
            return None
        if not is_private(path):
            log.warning("%s can be written by others (chmod go-w); training starts anew", path)
            return None
        try:
            checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
            made_by = checkpoint["sgbench"]["made_by"]
            _ = [checkpoint[part] for part in parts]
        except Exception as error:
            log.warning("%s is damaged (%s); training starts anew", path, type(error).__name__)
            path.unlink()
            return None
        if made_by != self.training.made_by:
            log.warning("%s was made by other versions; training starts anew", path)
            path.unlink()
            return None
        return checkpoint

    def store(self, record: RunRecord) -> RunRecord:
        """Write the record, delete what only an unfinished run needs, and copy the record to the loggers."""
        write_atomic(self.folder / RECORD, to_json(record))
        if record.status == "finished":
            forget_checkpoints(self.folder)
        self.publish(record)
        return record

    def make_loggers(self) -> None:
        """Connect the loggers at once, so that a missing login stops the run here.

        Raises:
            InputError: a logger cannot be reached; the line has the remedy.
        """
        for name, parameters in self.spec.loggers.items():
            target = self.spec.targets[f"logger.{name}"]
            logger = construct(f"logger.{name}", target, parameters, spec=self.spec, run_dir=self.folder)
            try:
                _ = logger.experiment
            except Exception as error:
                reason = one_printable_line(error)
                raise InputError(
                    f"logger.{name}: {reason}; without an account use logger.{name}.mode=offline"
                ) from error
            self.loggers.append(logger)
        if self.loggers:
            from sgbench.training.gradient_norms import wanting

            self.showing = wanting(self.loggers)
            self.training.loop.norms = GradientNorms(self.parts.network, keep_last=bool(self.showing))

    def gradient_norms(self) -> dict[str, float]:
        """Return the mean norm of each layer's gradient in the epoch under way, where there are loggers."""
        norms = self.training.loop.norms
        return {} if norms is None else norms.by_layer()

    def show_histograms(self, step: int) -> None:
        """Hand distributions of potentials and of gradients to the loggers that were asked for them.

        Potentials are those of the first validation batch, gradients those of the last training step.
        """
        norms = self.training.loop.norms
        if norms is None or not self.showing:
            return
        from sgbench.training.gradient_norms import log_histograms

        # As in the epoch's own validation: out of training mode, with its steepness and its noise.
        self.training.epochs.begin(self.parts.network, "validation", self.training.epoch)
        batch = next(iter(self.parts.data.evaluation("validation")))
        device = self.parts.device
        target, lengths = batch.target.to(device), batch.lengths.to(device)
        batch = Batch(batch.x.to(device), target, lengths, batch.position)
        log_histograms(self.showing, self.parts.network, norms, batch, step)

    def publish(self, record: RunRecord) -> None:
        """Copy the record to the loggers; as the record itself is stored, a logger's failure is only reported."""
        if not self.loggers:
            return
        from sgbench.training import loggers

        try:
            loggers.publish(self.loggers, record)
        except Exception as error:
            log.warning("a logger failed after the record was written: %s", one_printable_line(error))

    def take_best(self) -> str:
        """Load the selected weights and save them; returns the file's hash."""
        self.parts.network.load_state_dict(self.training.best.weights)
        self.diagnosing.selected(self.training.best.epoch or 0)
        return save_weights(self.folder / WEIGHTS, self.parts.network)

    def finished(self, validation: Scores, weights_sha256: str) -> RunRecord:
        """Make the record of a run that has ended, whose test split has just been scored if it opens it."""
        if not self.spec.opens_test:
            return self._record(None, validation, None, None, weights_sha256)
        predictions_sha256 = save_predictions(self.folder / PREDICTIONS, self.training.predictions)
        test = self.training.evaluation.scores()
        return self._record(None, validation, test, predictions_sha256, weights_sha256)

    def _test_selected(self, test: Scores | None) -> SelectedOnTest | None:
        """Compute what selecting on the test split would have scored, if a finished run watched every epoch."""
        if test is None:
            return None
        training = self.training
        selected = training.watched.selected(training.best.epoch, test, epochs=len(training.curve))
        if selected is None and (self.spec.watches_test or training.watched.scores):
            log.warning(
                "%s: no test_selected in the record, since not every epoch was watched; start the run anew with "
                "trainer.watch_test_score=true force=true",
                self.folder,
            )
        return selected

    def failed(self, error: Exception) -> RunRecord:
        """Make the record of a run that an error has ended; the traceback goes into a file beside it.

        Raises:
            StorageError: the error is a full disk, which says nothing of the run.
        """
        full = disk_full(error)
        if full is not None:
            raise full from error
        write_atomic(self.folder / "failure.txt", "".join(traceback.format_exception(error)).encode())
        message = f"epoch {self.training.epoch}: {one_printable_line(error)}"[:2000]
        if isinstance(error, NonFiniteError):
            message = f"{message[:1900]}; {WHY}"
        return self._record(Failure(kind=type(error).__name__, message=message), None, None, None, None)

    def _learning(self, counts: OpCounts | None) -> Learning | None:
        """Compute what the rule of a finished run takes to learn: memory, products and agreement."""
        if counts is None:
            return None
        parts, method = self.parts, self.spec.method
        return learning_of(parts.network, parts.rule, method, counts, tuple(self.agreeing.found) or None)

    def _record(
        self,
        failure: Failure | None,
        validation: Scores | None,
        test: Scores | None,
        predictions_sha256: str | None,
        weights_sha256: str | None,
    ) -> RunRecord:
        training = self.training
        classes = self.parts.data.data_set.n_classes or None
        guess = even_guess(classes)
        counts = None if test is None else training.counter.result()
        return RunRecord(
            schema_version=SCHEMA_VERSION,
            protocol=self.spec.method.protocol.name,
            method_id=method_id(self.spec.method),
            seed=self.spec.seed,
            status="finished" if failure is None else "failed",
            failure=failure,
            method=self.spec.method,
            classes=classes,
            parameters=self.parts.network.deployed_numbers,
            best_epoch=training.best.epoch,
            validation=validation,
            test=test,
            test_hard=None if test is None or training.hard is None else training.hard.scores(),
            curve=tuple(training.curve),
            validation_rates=training.rate_curves(),
            counts=counts,
            predictions_sha256=predictions_sha256,
            weights_sha256=weights_sha256,
            test_access=tuple(self.test_access),
            host_energy=tuple(self.host_energy) or None,
            test_selected=self._test_selected(test),
            diagnosis=tuple(self.diagnosing.found) or None,
            learning=self._learning(counts),
            calibration=self.spec.calibration,
            at_chance=True if guess is not None and is_at_chance(validation, guess) else None,
            timing=Timing(
                fit_s=training.fit_s,
                test_s=self.test_s,
                total_s=max(self.took_s(), training.fit_s + self.test_s),
                resumed=training.resumed,
            ),
            peak_memory_bytes=memory.peak_bytes() if self.memory_is_measured else None,
            provenance=self._provenance(),
        )

    def _provenance(self) -> Provenance:
        return provenance.collect(
            self.code,
            device=str(self.parts.device),
            threads=self.spec.trainer.threads,
            engine=self.parts.engine.name,
            engine_reason=self.parts.engine.reason,
            data_sha256=self.parts.data.sha256,
            truncated=self.parts.data.truncated or None,
            targets=self.spec.targets,
        )
