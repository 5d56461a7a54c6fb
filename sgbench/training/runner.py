"""One run from spec to record by PyTorch Lightning; no failure loses what is stored."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from sgbench.composition.compose import compose
from sgbench.composition.plan import sweep_points
from sgbench.energy.meter import Laps, meters
from sgbench.errors import InputError, StorageError
from sgbench.paths import RECORD
from sgbench.records.content import HostEnergy
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training import memory
from sgbench.training.assistants import helper_processes
from sgbench.training.attempt import Attempt
from sgbench.training.build import Parts, build
from sgbench.training.calibration import calibrate
from sgbench.training.learner import (
    EpochBar,
    EpochLaps,
    LastEpoch,
    Learner,
    LightningData,
    ShowHistograms,
    WatchTest,
)
from sgbench.training.profile import Profile
from sgbench.training.provenance import Code
from sgbench.training.run_folder import (
    CHECKPOINT,
    finished_record,
    folder_of,
    forget_checkpoints,
    locked,
    set_aside_unreadable,
)

log = logging.getLogger("sgbench")


def run(*overrides: str, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> RunRecord:
    """Compose, train, test and record one run; a finished one is read, not repeated.

    Args:
        overrides: Hydra overrides, e.g. "experiment=digits", "surrogate=atan", "seed=3".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Returns:
        The record; `record.scored` has the scores of a finished run, which a failed one has not.

    Raises:
        InputError: a name or value is not usable.
        RunBusyError: another process is writing this run.
        StorageError: the run's folder cannot be written.
    """
    sweeps = [word for word in overrides if word.startswith("sweep=") and word != "sweep=null"]
    if sweeps and len(sweep_points(overrides, config_dirs)) > 1:
        raise InputError(
            f"run({sweeps[0]!r}): run makes one run; use sgbench.sweep({sweeps[0][6:]!r}) for all of them"
        )
    return run_spec(calibrate(compose(overrides, config_dirs=config_dirs, allow_targets=allow_targets)))


def run_spec(spec: RunSpec, parts: Parts | None = None) -> RunRecord:
    """Run a checked spec, or read its record if it is finished; a failure of the run gives a failed record.

    Args:
        spec: specification of the run.
        parts: objects built from this spec and not used yet; None builds them here.

    Raises:
        InputError: a name or value is not usable.
        RunBusyError: another process is writing this run.
        StorageError: the run's folder cannot be written.
    """
    done = finished_record(spec)
    if done is not None:
        return done
    folder = folder_of(spec)
    with locked(folder):
        done = finished_record(spec)  # another process may have finished it in the meantime
        if done is not None:
            return done
        attempt = _Fitted(spec, build(spec) if parts is None else parts, folder)
        set_aside_unreadable(folder / RECORD)
        if spec.force:
            forget_checkpoints(folder)
        return attempt.store(attempt.record())


class _Fitted(Attempt):
    """Drives one attempt at a run with Lightning."""

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path) -> None:
        super().__init__(spec, parts, folder, Code.here())
        self.learner = Learner(self.training, self.parts.optimizer)
        self.data = LightningData(self.parts.data, ahead=spec.trainer.batches_ahead, device=self.parts.device)
        self.profile = Profile(self.parts.device) if spec.trainer.profile else None

    def record(self) -> RunRecord:
        """Train and test by Lightning, and return the record; a failure of the run gives a failed record.

        Raises:
            InputError: a value is not usable, or data are missing.
            StorageError: a file cannot be written.
            KeyboardInterrupt: the run was interrupted; its last checkpoint is stored.
        """
        try:
            torch.set_num_threads(self.spec.trainer.threads)
            memory.keep_freed_memory()
            self.memory_is_measured = memory.reset_peak()
            self.parts.data.setup()
            self.record_test_access()
            self.make_loggers()
            with warnings.catch_warnings():
                # Lightning 2.6 on torch 2.13: of its own code, which a user cannot change.
                warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
                # On a machine with SLURM: a run is one process and needs no srun.
                warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
                # One worker encodes all batches in order, so that random numbers are the same.
                warnings.filterwarnings("ignore", message=".*does not have many workers.*")
                # Averages gradients with the helper processes; None for a run of one process.
                with helper_processes(self.spec) as self.training.loop.together:
                    record = self._train_and_test()
        except (InputError, StorageError):
            raise
        except SystemExit:  # Lightning's answer to an interrupt; the checkpoint is in place
            raise KeyboardInterrupt from None
        except Exception as error:
            record = self.make_failed_record(error)
        return record

    def _train_and_test(self) -> RunRecord:
        """Train, validate and test the network, and return the record of the finished run."""
        laps = Laps(meters()[0])
        profile = self.profile
        if profile is not None:
            profile.attach(self.parts, self.training, self.loggers)
        trainer = self._trainer(laps)
        checkpoint = self.load_checkpoint(CHECKPOINT)
        if checkpoint is not None:
            # Loaded before fit, since a run whose patience has run out must not train another epoch.
            self.learner.on_load_checkpoint(checkpoint)
        if not self.training.best.should_stop:
            with contextlib.nullcontext() if profile is None else profile.fitting():
                trainer.fit(
                    self.learner,
                    datamodule=self.data,
                    ckpt_path=None if checkpoint is None else self.folder / CHECKPOINT,
                    weights_only=None if checkpoint is None else True,
                )
            laps.lap()
            if profile is not None:
                profile.write(self.folder)
        fit_j = laps.total_j
        weights_sha256 = self.save_best_weights()
        trainer.validate(self.learner, datamodule=self.data, verbose=False)
        validation = self.training.evaluation.scores()
        laps.lap()
        if self.spec.opens_test:
            began_s = time.perf_counter()
            with self.parts.data.last_step():
                trainer.test(self.learner, datamodule=self.data, verbose=False)
            self.test_s = time.perf_counter() - began_s
        settings = self.spec.trainer
        extras = (
            settings.watch_test_score or settings.diagnose or settings.watch_agreement or settings.profile
        )
        if checkpoint is None and not extras:  # else the meters measure more, or less, than one whole fit
            self.host_energy = [
                HostEnergy(meter=meter.name, fit_j=fit, test_j=test)
                for meter, fit, test in zip(laps.meters, fit_j, laps.lap(), strict=True)
            ]
        return self.make_finished_record(validation, weights_sha256)

    def _trainer(self, laps: Laps) -> pl.Trainer:
        """Create Lightning's trainer with the run's callbacks and loggers."""
        settings = self.spec.trainer
        for name in ("pytorch_lightning", "lightning.pytorch"):
            logging.getLogger(name).setLevel(logging.WARNING)  # drops advertisements and device listings
        batches = len(self.parts.data.epoch(0))
        # Before the checkpoint, which stores its score.
        watch = [WatchTest()] if self.spec.watches_test else []
        keeping = LastEpoch(self.folder / CHECKPOINT, every=settings.checkpoint_every)
        if self.profile is not None:
            keeping.on_train_epoch_end = self.profile.time_calls("checkpoint", keeping.on_train_epoch_end)
        each_epoch = [*watch, keeping, EpochLaps(laps), ShowHistograms(self.show_histograms)]
        return pl.Trainer(
            accelerator="gpu" if self.parts.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=self.spec.method.protocol.epochs,
            logger=self.loggers or False,
            callbacks=[*each_epoch, *([EpochBar()] if settings.progress else [])],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=min(settings.log_every_steps, batches),
            reload_dataloaders_every_n_epochs=1,
            default_root_dir=self.folder,
            inference_mode=False,
            plugins=[LightningEnvironment()],  # one process, also inside a job of SLURM
        )
