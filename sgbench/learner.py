"""The one LightningModule: any network, rule, loss, optimiser and data set."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from tqdm import tqdm

from sgbench import provenance
from sgbench.energy.count import Kind, OperationCounter
from sgbench.epochs import Epochs
from sgbench.metrics.evaluation import Evaluation
from sgbench.records.record import EpochScores
from sgbench.train_loop import Best, TrainLoop, check_optimizer
from sgbench.trajectory import Batch


class Learner(pl.LightningModule):
    """Lightning's view of a `TrainLoop`; optimisation is manual because rules decide when to step.

    Args:
        loop: network, rule and objective.
        optimizer: over the network's weights.
        best: the selection on validation.
        epochs: what changes from epoch to epoch.
        classes: number of classes.
        dt_s: duration of a step [s].
        input_kind: what the encoder declares.
        bits: of weights and states.
    """

    def __init__(
        self,
        loop: TrainLoop,
        optimizer: torch.optim.Optimizer,
        best: Best,
        epochs: Epochs,
        *,
        classes: int,
        dt_s: float,
        input_kind: Kind,
        bits: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = loop.network
        self.loop = loop
        self.optimizer = optimizer
        self.best = best
        self.epochs = epochs
        self.classes = classes
        self.dt_s = dt_s
        self.input_kind: Kind = input_kind
        self.bits = bits
        self.made_by = provenance.made_by()
        self.curve: list[EpochScores] = []
        self.fit_s = 0.0
        self.resumed = 0
        self._train_loss: list[Tensor] = []
        self._started_s = time.perf_counter()
        self.evaluation = self._new_evaluation()
        self.counter = self._new_counter()
        self.predictions: list[tuple[Tensor, Tensor, Tensor]] = []

    def _new_evaluation(self) -> Evaluation:
        return Evaluation(self.network, self.classes, dt_s=self.dt_s).to(
            next(self.network.parameters()).device
        )

    def _new_counter(self) -> OperationCounter:
        return OperationCounter(self.network, self.input_kind, bits=self.bits)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser it was given."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        """Start the epoch's clock, with its steepness and noise."""
        self.epochs.begin(self.network, "train", self.current_epoch)
        self._started_s = time.perf_counter()
        self._train_loss = []

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One batch through the rule."""
        loss = self.loop.train_batch(batch, self.optimizers())  # type: ignore[arg-type]
        self._train_loss.append(loss * len(batch.target))

    def on_validation_epoch_start(self) -> None:
        """Begin anew, with the noise of the epoch whose weights are scored."""
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        self.epochs.begin(self.network, "validation", self.current_epoch if fitting else self.best.epoch or 0)
        self.evaluation = self._new_evaluation()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score one batch."""
        trajectory, logits, loss = self.loop.evaluate(batch)
        self.evaluation.update(batch, trajectory, logits, loss)

    def on_validation_epoch_end(self) -> None:
        """Select, log, and stop when patience has run out."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        scores = self.evaluation.scores()
        check_optimizer(self.optimizer)
        samples = len(self.trainer.datamodule.splits["train"].target)  # type: ignore[attr-defined]
        line = EpochScores(
            epoch=self.current_epoch,
            train_loss=torch.stack(self._train_loss).sum().item() / samples,
            validation_loss=scores.loss,
            validation_accuracy=scores.accuracy,
        )
        self.curve.append(line)
        self.best.update(line.epoch, line.model_dump(), self.network)
        self.trainer.should_stop = self.best.should_stop
        self.log_dict(
            {
                "train_loss": line.train_loss,
                "validation_loss": line.validation_loss,
                "validation_accuracy": line.validation_accuracy,
            },
            prog_bar=True,
            batch_size=scores.samples,
        )
        self.log_dict(
            {f"rate_hz/{layer.name}": layer.rate_hz for layer in scores.activity}, batch_size=scores.samples
        )
        self.fit_s += time.perf_counter() - self._started_s

    def on_test_epoch_start(self) -> None:
        """Begin anew, with counts and predictions."""
        self.epochs.begin(self.network, "test", self.best.epoch or 0)
        self.evaluation = self._new_evaluation()
        self.counter = self._new_counter()
        self.predictions = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score and count one batch."""
        trajectory, logits, loss = self.loop.evaluate(batch)
        self.evaluation.update(batch, trajectory, logits, loss)
        self.counter.update(batch, trajectory)
        self.predictions.append((batch.position, batch.target, logits))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the selection and the curve."""
        checkpoint["sgbench"] = {
            "best": self.best.state_dict(),
            "curve": [line.model_dump() for line in self.curve],
            "fit_s": self.fit_s,
            "resumed": self.resumed,
            "made_by": self.made_by,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the selection and the curve."""
        kept = checkpoint["sgbench"]
        self.best.load_state_dict(kept["best"])
        self.curve = [EpochScores.model_validate(line) for line in kept["curve"]]
        self.fit_s = kept["fit_s"]
        self.resumed = kept["resumed"] + 1  # from the file, so loading twice counts once


class LastEpoch(pl.Callback):
    """Keeps one checkpoint, of the last complete epoch; a crash at any moment leaves it whole.

    Args:
        path: of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write beside and rename."""
        unfinished = self.path.with_suffix(".part")
        trainer.save_checkpoint(unfinished)
        os.replace(unfinished, self.path)  # noqa: PTH105 - atomic by definition


class EpochBar(pl.Callback):
    """One bar over all epochs with the validation scores; silent where standard error is no terminal."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar, at the epoch to go on from."""
        self.bar = tqdm(total=trainer.max_epochs, unit="epoch", disable=None, leave=False, dynamic_ncols=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Advance."""
        accuracy, loss = (trainer.callback_metrics[f"validation_{name}"] for name in ("accuracy", "loss"))
        self.bar.set_postfix_str(f"validation {accuracy:.1%}, loss {loss:.3f}", refresh=False)
        self.bar.update(trainer.current_epoch + 1 - self.bar.n)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the bar, also after a failure."""
        if stage == "fit":
            self.bar.close()
