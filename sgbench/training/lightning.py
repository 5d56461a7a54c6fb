"""A run that PyTorch Lightning's Trainer drives, with a user's callbacks and arguments (`trainer=lightning`)."""

import contextlib
import dataclasses
import logging
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.trainer.states import TrainerFn

from fastspiking.signals.trajectory import Batch
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError, one_printable_line
from sgbench.records.spec import RunSpec
from sgbench.training.ahead import encoded_ahead
from sgbench.training.build import Parts, construct
from sgbench.training.epoch_loop import Training
from sgbench.training.run_folder import LIGHTNING_CHECKPOINT
from sgbench.training.single_run import SingleRun, checkpoint_is_due
from sgbench.training.train_loop import check_optimizer

OWN_PRECISIONS = ("32", "32-true", "64", "64-true")
"""Values of Trainer's `precision` for which every engine computes the numbers of `protocol.precision`."""


class LightningRun(SingleRun):
    """Trains one run by Lightning's Trainer; the selected weights are scored as those of any other run.

    `parts`: its objects, built from the spec; `folder`: where its files go.
    """

    def __init__(self, spec: RunSpec, parts: Parts, folder: Path) -> None:
        super().__init__(spec, parts, folder)
        self.learner = Learner(self)
        self.datamodule = LightningData(parts.data, ahead=spec.trainer.batches_ahead, device=parts.device)
        if spec.trainer.arguments or spec.callbacks:  # the commit and the method alone do not say what ran
            self.code = dataclasses.replace(self.code, clean=False)

    def load(self) -> None:
        checkpoint = self.load_checkpoint(LIGHTNING_CHECKPOINT)
        if checkpoint is not None:
            self.was_continued = True
            # Loaded before fit, since a run whose patience has run out must not train another epoch.
            self.learner.on_load_checkpoint(checkpoint)

    def fit(self) -> None:
        if self.training.ended:
            return
        trainer = self._trainer()
        path = self.folder / LIGHTNING_CHECKPOINT if self.was_continued else None
        with warnings.catch_warnings():
            # Lightning 2.6 on torch 2.13: of its own code, which a user cannot change.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
            # One worker encodes all batches in order, so that random numbers are the same.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            with contextlib.nullcontext() if self.profile is None else self.profile.fitting():
                try:
                    trainer.fit(
                        self.learner,
                        datamodule=self.datamodule,
                        ckpt_path=path,
                        weights_only=None if path is None else True,
                    )
                except SystemExit:  # Lightning's answer to an interrupt; the checkpoint is in place
                    raise KeyboardInterrupt from None
        if not self.training.curve:
            raise InputError("trainer=lightning: training ended before an epoch was validated; allow more steps")
        self.laps.lap()
        if self.profile is not None:
            self.profile.write(self.folder)

    def _trainer(self) -> pl.Trainer:
        settings = self.spec.trainer
        for name in ("pytorch_lightning", "lightning.pytorch"):
            logging.getLogger(name).setLevel(logging.WARNING)  # drops advertisements and device listings
        arguments: dict[str, Any] = {
            "accelerator": "gpu" if self.parts.device.type == "cuda" else "cpu",
            "devices": 1,
            "max_epochs": self.spec.method.protocol.epochs,
            "logger": self.loggers or False,
            "enable_checkpointing": any(name == "checkpoint" for name in self.spec.callbacks),
            "enable_progress_bar": settings.progress,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": min(settings.log_every_steps, self.parts.data.batches_per_epoch),
            "reload_dataloaders_every_n_epochs": 1,
            "default_root_dir": self.folder,
            "inference_mode": False,
            "plugins": [LightningEnvironment()],  # one process, also inside a job of SLURM
        } | dict(settings.arguments)
        callbacks = [
            construct(f"callback.{name}", self.spec.targets[f"callback.{name}"], parameters, run_dir=self.folder)
            for name, parameters in self.spec.callbacks.items()
        ]
        try:
            return pl.Trainer(callbacks=[*callbacks, KeepLast(self)], **arguments)
        except (TypeError, ValueError, MisconfigurationException) as error:
            raise InputError(f"trainer=lightning: the Trainer refuses this: {one_printable_line(error)}") from error

    @property
    def _does_more(self) -> bool:
        return True  # callbacks and hooks of the Trainer are measured too


class Learner(pl.LightningModule):
    """Adapts a run's training to Lightning; optimisation is manual, since learning rules decide when to step."""

    def __init__(self, run: LightningRun) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.training_of_run: Training = run.training
        self.network = run.parts.network
        self.optimizer = run.parts.optimizer
        self._started_s = 0.0

    def forward(self, x: Any, lengths: Any = None) -> torch.Tensor:
        """Return the network's output over time [T, B, C] for input [T, B, N]; lengths: valid steps [B]."""
        valid = torch.full((x.shape[1],), x.shape[0]) if lengths is None else lengths
        return self.network.unroll(x, valid).output

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        self._started_s = time.perf_counter()
        self.training_of_run.begin_epoch(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_of_run.set_learning_rate(self.optimizer)
        self.training_of_run.train(batch, self.optimizers())  # type: ignore[arg-type]

    def on_validation_epoch_start(self) -> None:
        self.training_of_run.begin_scoring("validation", selected=False)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.training_of_run.score(batch)

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: update the selection, log scores, and stop when patience has run out."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        training = self.training_of_run
        check_optimizer(self.optimizer)
        training.end_epoch()
        if training.best.should_stop:
            self.trainer.should_stop = True
        training.fit_s += time.perf_counter() - self._started_s
        samples = training.evaluation.scores().samples
        self.log_dict(training.epoch_numbers(), prog_bar=True, batch_size=samples)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the selection and the curve to a checkpoint."""
        checkpoint["sgbench"] = self.training_of_run.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the selection and the curve from a checkpoint."""
        self.training_of_run.load_state_dict(checkpoint["sgbench"])


class LightningData(pl.LightningDataModule):
    """Adapts the data of a run to Lightning; the test split stays closed while it trains.

    `data`: splits and batches of the run; `ahead`: how many batches are encoded ahead of their use; `device`: device
    that uses the batches.
    """

    def __init__(self, data: SpikingData, *, ahead: int = 0, device: torch.device | None = None) -> None:
        super().__init__()
        self.data = data
        self.ahead = ahead
        self.device = device or torch.device("cpu")

    def setup(self, stage: str | None = None) -> None:
        """Load and verify the data."""
        self.data.setup()

    def train_dataloader(self) -> Iterable[Batch]:
        return self._ahead(self.data.epoch(0 if self.trainer is None else self.trainer.current_epoch))

    def val_dataloader(self) -> Iterable[Batch]:
        return self._ahead(self.data.evaluation("validation"))

    def test_dataloader(self) -> Iterable[Batch]:
        """Return the batches of the test split; an InputError while a run trains."""
        return self._ahead(self.data.evaluation("test"))

    def _ahead(self, batches: Any) -> Iterable[Batch]:
        return encoded_ahead(batches, self.ahead, self.device)


class KeepLast(pl.Callback):
    """Ends each epoch as the default loop does: watched test scores, a checkpoint where due, histograms and meters."""

    def __init__(self, run: LightningRun) -> None:
        self.run = run

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do all of it; a StorageError if the checkpoint cannot be written, and the old one stays."""
        run = self.run
        run.watch_test()
        done = trainer.current_epoch + 1
        ended = trainer.should_stop or done == trainer.max_epochs
        if checkpoint_is_due(done, run.spec.trainer.checkpoint_every, ended=ended):
            with contextlib.nullcontext() if run.profile is None else run.profile.part("checkpoint"):
                run.save_checkpoint(LIGHTNING_CHECKPOINT, trainer._checkpoint_connector.dump_checkpoint())
        run.show_histograms(trainer.global_step)
        run.laps.lap()


ONE_PROCESS = "learning rules share a batch over processes by trainer=default trainer.devices=N"


def torch_spec(spec: RunSpec) -> RunSpec:
    """Return a spec for the torch path if a Trainer's precision is one that only torch computes, else the spec."""
    arguments = spec.trainer.arguments
    for name, remedy in REFUSED.items():
        if name in arguments:
            raise InputError(f"trainer.{name}={arguments[name]}: {remedy}")
    if spec.trainer.devices != 1:
        raise InputError(f"trainer.devices={spec.trainer.devices}: {ONE_PROCESS}")
    precision = str(arguments.get("precision", "32"))
    if precision in OWN_PRECISIONS or spec.engine == "reference":
        return spec
    if spec.engine != "auto":
        raise InputError(
            f"trainer.precision={precision}: only torch computes it; use engine=reference, not {spec.engine}"
        )
    return spec.model_copy(update={"engine": "reference"})


REFUSED = {
    "accumulate_grad_batches": "learning rules step by themselves; use protocol.accumulated_batches",
    "gradient_clip_algorithm": "learning rules step by themselves; use clip_norm",
    "gradient_clip_val": "learning rules step by themselves; use clip_norm",
    "limit_test_batches": "the test split is scored whole; leave it out",
    "check_val_every_n_epoch": "every epoch is validated, since the best one is selected; leave it out",
    "max_epochs": "use protocol.epochs",
    "num_nodes": ONE_PROCESS,
    "strategy": ONE_PROCESS,
    "use_distributed_sampler": ONE_PROCESS,
    "val_check_interval": "every epoch is validated once, since the best one is selected; leave it out",
}
"""Arguments of the Trainer that have another place here."""
