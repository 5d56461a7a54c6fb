"""Lightning's view of a training and its data."""

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
from sgbench.training.assistants import tell_epoch
from sgbench.training.epoch_loop import Training
from sgbench.training.train_loop import check_optimizer


class Learner(pl.LightningModule):
    """Trains under Lightning; optimisation is manual because rules decide when to step."""

    def __init__(self, training: Training, optimizer: torch.optim.Optimizer) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.driven_training = training
        self.network = training.network
        self.optimizer = optimizer
        self._started_s = time.perf_counter()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser that was passed in."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        """Start the epoch and its clock."""
        self.driven_training.begin_epoch(self.current_epoch)
        tell_epoch(self.driven_training, self.optimizer)
        self._started_s = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Train on one batch by the learning rule, at the schedule's learning rate."""
        self.driven_training.set_learning_rate(self.optimizer)
        self.driven_training.train(batch, self.optimizers())  # type: ignore[arg-type]

    def on_validation_epoch_start(self) -> None:
        """Begin scoring the validation split, with the noise of the epoch whose weights are scored."""
        self.driven_training.begin_scoring("validation", selected=not self._fitting)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch of the validation split."""
        self.driven_training.score(batch)

    def on_validation_epoch_end(self) -> None:
        """Select the best epoch, log scores, and stop when patience has run out."""
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
        return self.trainer.state.fn == TrainerFn.FITTING


class LightningData(pl.LightningDataModule):
    """Gives Lightning its view of the data; the test split is handed out once, at the end of a run.

    Args:
        data: of the run.
        ahead: how many batches are encoded ahead of their use.
        device: that batches go to.
    """

    def __init__(self, data: SpikingData, *, ahead: int = 0, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.data = data
        self.ahead = ahead
        self.device = torch.device(device)

    def train_dataloader(self) -> Iterable[Batch]:
        """Return the training batches of the present epoch; Lightning asks anew in each."""
        return self._ahead(self.data.epoch(0 if self.trainer is None else self.trainer.current_epoch))

    def val_dataloader(self) -> Iterable[Batch]:
        """Return the validation split."""
        return self._ahead(self.data.evaluation("validation"))

    def test_dataloader(self) -> Iterable[Batch]:
        """Return the test split."""
        return self._ahead(self.data.evaluation("test"))

    def _ahead(self, batches: Batches) -> Iterable[Batch]:
        return encoded_ahead(batches, self.ahead, self.device)


class ShowHistograms(pl.Callback):
    """Shows distributions after every epoch, where a logger was asked to."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self.show = show

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show them."""
        self.show(trainer.global_step)


class LastEpoch(pl.Callback):
    """Keeps one checkpoint, of the last complete epoch; a crash at any moment leaves it whole.

    Args:
        path: of the file.
        every: epochs from one checkpoint to the next; the last epoch has one too.
    """

    def __init__(self, path: Path, *, every: int = 1) -> None:
        self.path = path
        self.every = every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint of a complete epoch beside the old one, where one is due, and rename it into place.

        Raises:
            StorageError: there is no room; the checkpoint of the epoch before stays.
        """
        done = trainer.current_epoch + 1
        if done % self.every and done != trainer.max_epochs and not trainer.should_stop:
            return
        unfinished = self.path.with_suffix(".part")
        try:
            trainer.save_checkpoint(unfinished)
            unfinished.chmod(0o644)  # what others can write is not resumed
            os.replace(unfinished, self.path)  # noqa: PTH105 - atomic by definition
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            reason = error.strerror or error
            raise StorageError(
                f"{self.path} cannot be written: {reason}; free space or choose another folder"
            ) from error


class WatchTest(pl.Callback):
    """Scores the test split after every epoch, where a run was asked to show what selecting on it flatters."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Learner) -> None:
        """Pass the test split to the training once more, which stores the scores apart from the run."""
        data = trainer.datamodule.data  # type: ignore[attr-defined]
        with data.watched(pl_module.driven_training.epoch):
            batches = data.evaluation("test")
            pl_module.driven_training.watch(trainer.strategy.batch_to_device(batch) for batch in batches)


class EpochLaps(pl.Callback):
    """Reads the host's meters of energy once an epoch."""

    def __init__(self, laps: Laps) -> None:
        self.laps = laps

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add up the energy that the epoch took on each meter."""
        self.laps.lap()


class EpochBar(pl.Callback):
    """Shows one bar over all epochs with the validation scores; silent where standard error is no terminal."""

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
