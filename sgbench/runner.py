"""One run from top to bottom: spec in, record out; whatever happens, nothing already stored is lost."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout
from pytorch_lightning.loggers import Logger

from sgbench import memory, provenance
from sgbench.artefacts import save_predictions, save_weights
from sgbench.build import Parts, build, construct
from sgbench.compose import compose
from sgbench.epochs import Epochs
from sgbench.errors import InputError, RunBusyError, StorageError, one_printable_line
from sgbench.learner import EpochBar, LastEpoch, Learner
from sgbench.loggers import publish
from sgbench.paths import PREDICTIONS, RECORD, run_dir
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import SCHEMA_VERSION, Failure, RunRecord, Scores, Timing
from sgbench.records.spec import RunSpec
from sgbench.train_loop import Best, TrainLoop

CHECKPOINT = "last.ckpt"
OWN_CODE = ("sgbench.", "torch.")
log = logging.getLogger("sgbench")


def run(*overrides: str, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> RunRecord:
    """Compose, train, test and record one run; a finished one is read, not repeated.

    Args:
        overrides: words as on the command line, e.g. "experiment=digits", "surrogate=atan", "seed=3".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        InputError: a name or value is not usable.
        RunBusyError: another process is writing this run.
        StorageError: the run's folder cannot be written.
    """
    return run_spec(compose(overrides, config_dirs=config_dirs, allow_targets=allow_targets))


def folder_of(spec: RunSpec) -> Path:
    """Where this run's files are."""
    runs_dir = Path(spec.paths.runs_dir)
    return run_dir(runs_dir, spec.method.protocol.name, method_id(spec.method), spec.seed)


def stored_record(spec: RunSpec) -> RunRecord | None:
    """The record of this run, if there is a readable one."""
    path = folder_of(spec) / RECORD
    if not path.exists():
        return None
    with contextlib.suppress(InputError):
        return read_model(path, RunRecord)
    return None


def run_spec(spec: RunSpec) -> RunRecord:
    """Run a checked spec; a failure of the run itself becomes a failed record, not an exception."""
    done = stored_record(spec)
    if done is not None and done.status == "finished" and not spec.force:
        return done
    folder = folder_of(spec)
    with _locked(folder):
        done = stored_record(spec)  # another process may have finished it in the meantime
        if done is not None and done.status == "finished" and not spec.force:
            return done
        attempt = _Attempt(spec, build(spec), folder)
        _set_aside_unreadable(folder / RECORD)
        if spec.force:
            (folder / CHECKPOINT).unlink(missing_ok=True)
        record = attempt.record()
        write_atomic(folder / RECORD, to_json(record))
        if record.status == "finished":
            (folder / CHECKPOINT).unlink(missing_ok=True)
        attempt.publish(record)
    return record


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunBusyError(f"{folder}: another process is writing this run; wait for it or stop it") from None
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}; choose another folder with "
            f"paths.runs_dir=DIR or SGBENCH_RUNS"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _set_aside_unreadable(path: Path) -> None:
    """Keep a record that cannot be read under another name, so that nothing is overwritten."""
    if path.exists():
        try:
            read_model(path, RunRecord)
        except InputError as error:
            aside = path.with_name("record.unreadable.json")
            path.replace(aside)
            log.warning("%s; kept as %s, the run is repeated", error, aside.name)


class _Attempt:
    """One try at a run, with what its record needs to know."""

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path) -> None:
        self.spec = spec
        self.parts = parts
        self.folder = folder
        self.started_s = time.perf_counter()
        self.test_s = 0.0
        self.memory_is_measured = False
        self.loggers: list[Logger] = []
        protocol = spec.method.protocol
        data_set = parts.data.data_set
        self.learner = Learner(
            TrainLoop(parts.network, parts.rule, parts.objective, clip_norm=spec.method.clip_norm),
            parts.optimizer,
            Best(protocol.monitor, protocol.patience),
            Epochs(parts.steepness, protocol.epochs, spec.seed),
            classes=data_set.n_classes,
            dt_s=protocol.dt_s,
            input_kind=parts.encoder.output,
            bits=32 if protocol.precision == "float32" else 64,
        )

    def record(self) -> RunRecord:
        """Train and test; the record of what came of it."""
        try:
            torch.set_num_threads(self.spec.trainer.threads)
            memory.keep_freed_memory()
            self.memory_is_measured = memory.reset_peak()
            self.parts.data.setup("fit")
            self.loggers = self._make_loggers()
            with warnings.catch_warnings():
                # Lightning 2.6 on torch 2.13: about its own code, nothing a user could change.
                warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
                record = self._finished()
        except (InputError, StorageError):
            raise
        except SystemExit:  # Lightning's answer to an interrupt; the checkpoint is in place
            raise KeyboardInterrupt from None
        except Exception as error:
            write_atomic(self.folder / "failure.txt", traceback.format_exc().encode())
            record = self._failed(error)
        return record

    def publish(self, record: RunRecord) -> None:
        """Copy the record to the loggers; the record is safe, so a logger's failure is only said."""
        try:
            publish(self.loggers, record)
        except Exception as error:
            log.warning("a logger failed after the record was written: %s", one_printable_line(error))

    def _make_loggers(self) -> list[Logger]:
        made = []
        for name, parameters in self.spec.loggers.items():
            target = self.spec.targets[f"logger.{name}"]
            logger = construct(f"logger.{name}", target, parameters, spec=self.spec, run_dir=self.folder)
            try:
                _ = logger.experiment  # connects now, so that a missing login stops here
            except Exception as error:
                reason = one_printable_line(error)
                raise InputError(
                    f"logger.{name}: {reason}; without an account use logger.{name}.mode=offline"
                ) from error
            made.append(logger)
        return made

    def _finished(self) -> RunRecord:
        trainer = self._trainer()
        checkpoint = self._checkpoint()
        if not self.learner.best.should_stop:
            trainer.fit(
                self.learner,
                datamodule=self.parts.data,
                ckpt_path=checkpoint,
                weights_only=None if checkpoint is None else True,
            )
        best = self.learner.best
        self.parts.network.load_state_dict(best.weights)
        weights_sha256 = save_weights(self.folder / "weights.safetensors", self.parts.network)
        trainer.validate(self.learner, datamodule=self.parts.data, verbose=False)
        validation = self.learner.evaluation.scores()
        began_s = time.perf_counter()
        trainer.test(self.learner, datamodule=self.parts.data, verbose=False)
        self.test_s = time.perf_counter() - began_s
        predictions_sha256 = save_predictions(self.folder / PREDICTIONS, self.learner.predictions)
        test = self.learner.evaluation.scores()
        return self._compose(None, validation, test, predictions_sha256, weights_sha256)

    def _trainer(self) -> pl.Trainer:
        settings = self.spec.trainer
        for name in ("pytorch_lightning", "lightning.pytorch"):
            logging.getLogger(name).setLevel(logging.WARNING)  # drops advertisements and device listings
        batches = len(self.parts.data.epoch(0))
        return pl.Trainer(
            accelerator="gpu" if self.parts.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=self.spec.method.protocol.epochs,
            logger=self.loggers or False,
            callbacks=[LastEpoch(self.folder / CHECKPOINT), *([EpochBar()] if settings.progress else [])],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=min(settings.log_every_steps, batches),
            reload_dataloaders_every_n_epochs=1,
            default_root_dir=self.folder,
            inference_mode=False,
        )

    def _checkpoint(self) -> Path | None:
        """The checkpoint to go on from, if there is a whole one made by this same code."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return None
        try:
            kept = torch.load(path, weights_only=True)
            made_by = kept["sgbench"]["made_by"]
        except Exception as error:
            log.warning("%s is damaged (%s); training starts anew", path, type(error).__name__)
            path.unlink()
            return None
        if made_by != self.learner.made_by:
            log.warning("%s was made by other versions; training starts anew", path)
            path.unlink()
            return None
        # Known before fit, because a run whose patience has run out must not train one epoch more.
        self.learner.on_load_checkpoint(kept)
        return path

    def _failed(self, error: Exception) -> RunRecord:
        message = f"epoch {self.learner.current_epoch}: {one_printable_line(error)}"[:2000]
        return self._compose(Failure(kind=type(error).__name__, message=message), None, None, None, None)

    def _compose(
        self,
        failure: Failure | None,
        validation: Scores | None,
        test: Scores | None,
        predictions_sha256: str | None,
        weights_sha256: str | None,
    ) -> RunRecord:
        learner, engine = self.learner, self.parts.engine
        here_s = time.perf_counter() - self.started_s
        return RunRecord(
            schema_version=SCHEMA_VERSION,
            protocol=self.spec.method.protocol.name,
            method_id=method_id(self.spec.method),
            seed=self.spec.seed,
            status="finished" if failure is None else "failed",
            failure=failure,
            method=self.spec.method,
            classes=self.parts.data.data_set.n_classes,
            parameters=sum(weight.numel() for weight in self.parts.network.parameters()),
            best_epoch=learner.best.epoch,
            validation=validation,
            test=test,
            curve=tuple(learner.curve),
            counts=None if test is None else learner.counter.result(),
            predictions_sha256=predictions_sha256,
            weights_sha256=weights_sha256,
            timing=Timing(
                fit_s=learner.fit_s,
                test_s=self.test_s,
                total_s=max(here_s, learner.fit_s + self.test_s),
                resumed=learner.resumed,
            ),
            peak_memory_bytes=memory.peak_bytes() if self.memory_is_measured else None,
            provenance=provenance.collect(
                device=str(self.parts.device),
                threads=self.spec.trainer.threads,
                engine=engine.name,
                engine_reason=engine.reason,
                data_sha256=self.parts.data.sha256,
                foreign=any(not target.startswith(OWN_CODE) for target in self.spec.targets.values()),
            ),
        )
