"""Adapters of a training and its data to PyTorch Lightning."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from tqdm.auto import tqdm

from sgbench.datasets.batches import Batches, SpikingData
from sgbench.energy.meter import Laps
from sgbench.errors import StorageError
from sgbench.signals.trajectory import Batch
from sgbench.training.ahead import encoded_ahead
from sgbench.training.assistants import send_epoch
from sgbench.training.epoch_loop import Training
from sgbench.training.train_loop import check_optimizer


class Learner(pl.LightningModule):
    """Adapts a `Training` to Lightning; optimisation is manual, since learning rules decide when to step.

    Args:
        training: the training.
        optimizer: steps its weights.
    """

    def __init__(self, training: Training, optimizer: torch.optim.Optimizer) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.driven_training = training
        self.network = training.network
        self.optimizer = optimizer
        self._started_s = time.perf_counter()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        """Start the epoch and its clock, and send its state to helper processes."""
        self.driven_training.begin_epoch(self.current_epoch)
        send_epoch(self.driven_training, self.optimizer)
        self._started_s = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Train on one batch by the learning rule, at the schedule's learning rate."""
        self.driven_training.set_learning_rate(self.optimizer)
        self.driven_training.train(batch, self.optimizers())  # type: ignore[arg-type]

    def on_validation_epoch_start(self) -> None:
        """Begin scoring the validation split: after an epoch, or of the selected weights after training."""
        self.driven_training.begin_scoring("validation", selected=not self._fitting)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of the validation split."""
        self.driven_training.score(batch)

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: update the selection, log scores, and stop when patience has run out."""
        if not self._fitting:
            return
        check_optimizer(self.optimizer)
        self.driven_training.end_epoch()
        self.trainer.should_stop = self.driven_training.best.should_stop
        self.driven_training.fit_s += time.perf_counter() - self._started_s
        samples = self.driven_training.evaluation.scores().samples
        self.log_dict(self.driven_training.epoch_numbers(), prog_bar=True, batch_size=samples)

    def on_test_epoch_start(self) -> None:
        """Begin scoring the test split, with counts and predictions."""
        self.driven_training.begin_scoring("test", selected=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of the test split and count its operations."""
        self.driven_training.score(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the selection and the curve to a checkpoint."""
        checkpoint["sgbench"] = self.driven_training.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the selection and the curve from a checkpoint."""
        self.driven_training.load_state_dict(checkpoint["sgbench"])

    @property
    def _fitting(self) -> bool:
        """Return whether Lightning trains, rather than scores selected weights."""
        return self.trainer.state.fn == TrainerFn.FITTING


class LightningData(pl.LightningDataModule):
    """Adapts a run's data to Lightning.

    Args:
        data: splits and batches of the run.
        ahead: how many batches are encoded ahead of their use.
        device: device that uses the batches.
    """

    def __init__(self, data: SpikingData, *, ahead: int = 0, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.data = data
        self.ahead = ahead
        self.device = torch.device(device)

    def train_dataloader(self) -> Iterable[Batch]:
        """Return the training batches of the present epoch; Lightning calls this in each."""
        return self._ahead(self.data.epoch(0 if self.trainer is None else self.trainer.current_epoch))

    def val_dataloader(self) -> Iterable[Batch]:
        """Return the batches of the validation split."""
        return self._ahead(self.data.evaluation("validation"))

    def test_dataloader(self) -> Iterable[Batch]:
        """Return the batches of the test split."""
        return self._ahead(self.data.evaluation("test"))

    def _ahead(self, batches: Batches) -> Iterable[Batch]:
        """Return batches that are encoded ahead of their use, as configured."""
        return encoded_ahead(batches, self.ahead, self.device)


class ShowHistograms(pl.Callback):
    """Calls a function with Lightning's global step after every epoch, to log histograms."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self.show = show

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the histograms."""
        self.show(trainer.global_step)


class LastEpoch(pl.Callback):
    """Writes one checkpoint, of the last complete epoch; a crash at any moment leaves a whole file.

    Args:
        path: file of the checkpoint.
        every: number of epochs between checkpoints; the last epoch has one, too.
    """

    def __init__(self, path: Path, *, every: int = 1) -> None:
        self.path = path
        self.every = every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a checkpoint, if one is due after this epoch, in place of the old one.

        Raises:
            StorageError: it cannot be written; the old checkpoint stays.
        """
        done = trainer.current_epoch + 1
        if done % self.every and done != trainer.max_epochs and not trainer.should_stop:
            return
        unfinished = self.path.with_suffix(".part")
        try:
            trainer.save_checkpoint(unfinished)
            unfinished.chmod(0o644)  # a checkpoint that others can write is not continued
            os.replace(unfinished, self.path)  # noqa: PTH105 - atomic by definition
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            reason = error.strerror or error
            raise StorageError(
                f"{self.path} cannot be written: {reason}; free space or choose another folder"
            ) from error


class WatchTest(pl.Callback):
    """Scores the test split after every epoch, to show how much selection on it would flatter."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Learner) -> None:
        """Score the test split, for the record alone; see `Training.watch`."""
        data = trainer.datamodule.data  # type: ignore[attr-defined]
        with data.watched(pl_module.driven_training.epoch):
            batches = data.evaluation("test")
            pl_module.driven_training.watch(trainer.strategy.batch_to_device(batch) for batch in batches)


class EpochLaps(pl.Callback):
    """Reads the host's energy meters after every epoch."""

    def __init__(self, laps: Laps) -> None:
        self.laps = laps

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the energy of the epoch to the total of each meter."""
        self.laps.lap()


class EpochBar(pl.Callback):
    """Shows one progress bar over all epochs with the validation scores, if standard error is a terminal."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the progress bar, at the epoch from which training goes on."""
        self.bar = tqdm(total=trainer.max_epochs, unit="epoch", disable=None, leave=False, dynamic_ncols=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Advance the progress bar by one epoch."""
        accuracy, loss = (trainer.callback_metrics.get(f"validation/{name}") for name in ("accuracy", "loss"))
        share = "" if accuracy is None else f"{accuracy:.1%}, "
        self.bar.set_postfix_str(f"validation {share}loss {loss:.3f}", refresh=False)
        self.bar.update(trainer.current_epoch + 1 - self.bar.n)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the progress bar, also after a failure."""
        if stage == "fit":
            self.bar.close()
