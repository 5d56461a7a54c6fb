"""What every run has, whatever drives its epochs: training state, checkpoints, loggers and the record at its end."""

import io
import json
import logging
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fastspiking.paths import is_private
from sgbench.errors import InputError, NonFiniteError, disk_full, one_printable_line
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS
from sgbench.records.consistency import even_guess, is_at_chance
from sgbench.records.content import FINAL, SCHEMA_VERSION, Failure, HostEnergy, Learning, Scores, SelectedOnTest, Timing
from sgbench.records.counts import OpCounts
from sgbench.records.files import to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord, flat
from sgbench.records.spec import RunSpec
from sgbench.training import memory, provenance
from sgbench.training.artefacts import save_predictions, save_weights
from sgbench.training.build import Parts, construct, on_device
from sgbench.training.epoch_loop import Training
from sgbench.training.run_diagnosis import RunAgreement, RunDiagnoses, learning_of
from sgbench.training.run_folder import TEST_ACCESS, forget_checkpoints, read_access
from sgbench.training.train_step import GradientNorms, log_histograms, loggers_of_histograms

if TYPE_CHECKING:
    from sgbench.training.loggers import RunLogger

DIAGNOSE_ADVICE = "to see why: sgbench diagnose RUN"  # where numbers are not finite; RUN is the run's folder
log = logging.getLogger("sgbench")


class BaseRun:
    """Holds one attempt at a run, and makes its record; subclasses drive the epochs.

    `parts`: the run's objects, built from the spec; `folder`: folder of the run's files.
    """

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path, code: provenance.Code) -> None:
        self.spec, self.parts = spec, parts
        self.folder, self.code = folder, code
        self.began_s = time.perf_counter()
        self.test_s = 0.0
        self.memory_is_measured = False
        self.host_energy: list[HostEnergy] = []  # empty where no meter measured this run alone
        self.loggers: list[RunLogger] = []
        self.histogram_loggers: list[RunLogger] = []  # those configured to show histograms
        self.test_access: list[str] = []  # stage of each use of the test split, interrupted attempts included
        self.training = Training(parts, spec.method, spec.seed, made_by=code.made_by(spec.targets))
        self.training.diagnoses = self.diagnoses = RunDiagnoses(spec, parts)
        self.training.agreement = self.agreement = RunAgreement(spec, parts)
        log.debug("engine %s: %s", *parts.engine)

    def record_test_access(self) -> None:
        """Record every later use of the test split in the file `TEST_ACCESS` before it happens.

        The list begins with the uses by interrupted attempts at this run. With `force` the run is made anew, so
        uses by earlier attempts are left out.
        """
        path = self.folder / TEST_ACCESS
        self.test_access = [] if self.spec.force else read_access(path)

        def record_use(stage: str | None) -> None:
            present_stage = FINAL if self.training.ended else f"epoch {self.training.epoch}"
            self.test_access = [*self.test_access, stage or present_stage]
            write_atomic(path, (json.dumps(self.test_access) + "\n").encode())

        self.parts.data.splits.listener = record_use

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.began_s

    def load_checkpoint(self, name: str, *keys: str) -> dict[str, Any] | None:
        """Load the checkpoint of this file name, if it has these keys and was made by the same code.

        Otherwise log why, and return None. A damaged file, or one that other code made, is deleted.
        """
        path = self.folder / name
        if not path.is_file():
            return None
        if not is_private(path):
            log.warning("%s can be written by others (chmod go-w); training starts anew", path)
            return None
        try:
            checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
            made_by = checkpoint["sgbench"]["made_by"]
            _ = [checkpoint[key] for key in keys]  # a KeyError if one is missing
        except Exception as error:
            log.warning("%s is damaged (%s); training starts anew", path, type(error).__name__)
            path.unlink()
            return None
        if made_by != self.training.made_by:
            log.warning("%s was made by other versions; training starts anew", path)
            path.unlink()
            return None
        return checkpoint

    def save_checkpoint(self, name: str, content: dict[str, Any]) -> None:
        """Write a checkpoint of this file name; a crash at any moment leaves the old or the new file whole."""
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(self.folder / name, buffer.getvalue())

    def store(self, record: RunRecord) -> RunRecord:
        """Write the record, delete the checkpoints of a finished run, copy the record to the loggers; return it."""
        write_atomic(self.folder / RECORD, to_json(record))
        if record.status == "finished":
            forget_checkpoints(self.folder)
        self.publish(record)
        return record

    def make_loggers(self) -> None:
        """Create and connect the run's loggers, so that a missing login stops the run before training."""
        for name, parameters in self.spec.loggers.items():
            target = self.spec.targets[f"logger.{name}"]
            logger = construct(f"logger.{name}", target, parameters, spec=self.spec, run_dir=self.folder)
            try:
                _ = logger.experiment  # connects when it is first read
            except Exception as error:
                reason = one_printable_line(error)
                raise InputError(
                    f"logger.{name}: {reason}; without an account use logger.{name}.mode=offline"
                ) from error
            self.loggers.append(logger)
        if self.loggers:
            self.histogram_loggers = loggers_of_histograms(self.loggers)
            self.training.loop.norms = GradientNorms(self.parts.network, keep_last=bool(self.histogram_loggers))

    def show_histograms(self, step: int) -> None:
        """Log histograms of potentials and gradients, at this step, to the loggers configured for them.

        Potentials are those of the first validation batch, gradients those of the last training step.
        """
        norms = self.training.loop.norms
        if norms is None or not self.histogram_loggers:
            return
        # As in the epoch's validation: evaluation mode, with its steepness and noise.
        self.training.epochs.begin(self.parts.network, "validation", self.training.epoch)
        batch = next(iter(self.parts.data.evaluation("validation")))
        device = self.parts.device
        log_histograms(self.histogram_loggers, self.parts.network, norms, on_device(batch, device), step)

    def publish(self, record: RunRecord) -> None:
        """Copy the record to the loggers; a logger's failure is only logged, since the record itself is stored."""
        flat_record = flat(record) if self.loggers else {}
        try:
            for logger in self.loggers:
                logger.publish(record, flat_record)
        except Exception as error:
            log.warning("a logger failed after the record was written: %s", one_printable_line(error))

    def save_best_weights(self) -> str:
        """Load the best epoch's weights into the network, diagnose and store them; return the file's SHA-256."""
        self.parts.network.load_state_dict(self.training.best.weights)
        self.diagnoses.diagnose_selected(self.training.best.epoch or 0)
        return save_weights(self.folder / WEIGHTS, self.parts.network)

    def make_finished_record(self, validation: Scores, weights_sha256: str) -> RunRecord:
        """Make the record of a finished run, from the validation scores of its best weights.

        If the run opens the test split, that must have been scored just before; its predictions are written here.
        """
        if not self.spec.opens_test:
            return self._record(validation=validation, weights_sha256=weights_sha256)
        return self._record(
            validation=validation,
            test=self.training.evaluation.scores(),
            predictions_sha256=save_predictions(self.folder / PREDICTIONS, self.training.predictions),
            weights_sha256=weights_sha256,
        )

    def _test_selected(self, test: Scores | None) -> SelectedOnTest | None:
        """Return the scores that selection on the test split would give; None unless every epoch was watched."""
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

    def make_failed_record(self, error: Exception) -> RunRecord:
        """Make the record of a run that this error ended, and write its traceback to failure.txt.

        If the disk is full, which says nothing of the run, a StorageError is raised instead.
        """
        disk_error = disk_full(error)
        if disk_error is not None:
            raise disk_error from error
        write_atomic(self.folder / "failure.txt", "".join(traceback.format_exception(error)).encode())
        message = f"epoch {self.training.epoch}: {one_printable_line(error)}"[:2000]  # a record stores no more
        if isinstance(error, NonFiniteError):
            message = f"{message[:1900]}; {DIAGNOSE_ADVICE}"
        return self._record(failure=Failure(kind=type(error).__name__, message=message))

    def _learning(self, counts: OpCounts | None) -> Learning | None:
        """Describe what the learning rule needs, from the operations counted on the test split; None without them."""
        if counts is None:
            return None
        agreement = tuple(self.agreement.found) or None
        return learning_of(self.parts.network, self.parts.rule, self.spec.method, counts, agreement)

    def _record(
        self,
        *,
        failure: Failure | None = None,
        validation: Scores | None = None,
        test: Scores | None = None,
        predictions_sha256: str | None = None,
        weights_sha256: str | None = None,
    ) -> RunRecord:
        """Make the record of what the attempt has reached; a `failure` makes it that of a failed run."""
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
            diagnosis=tuple(self.diagnoses.found) or None,
            learning=self._learning(counts),
            calibration=self.spec.calibration,
            at_chance=True if guess is not None and is_at_chance(validation, guess) else None,  # absent, never false
            timing=Timing(
                fit_s=training.fit_s,
                test_s=self.test_s,
                total_s=max(self.elapsed_s(), training.fit_s + self.test_s),
                resumed=training.resumed,
            ),
            peak_memory_bytes=memory.peak_bytes() if self.memory_is_measured else None,
            provenance=provenance.collect(
                self.code,
                self.spec,
                device=str(self.parts.device),
                engine=self.parts.engine.name,
                engine_reason=self.parts.engine.reason,
                data_sha256=self.parts.data.sha256,
                truncated=self.parts.data.truncated or None,
            ),
        )
