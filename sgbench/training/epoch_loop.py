"""The course of one training over its epochs, independent of what drives it: scores, curve and selection."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, scored_target
from sgbench.energy.count import Kind, OperationCounter
from sgbench.energy.modules import PlainCounter, counter_of
from sgbench.errors import InputError, SgbenchError, StorageError
from sgbench.firing.base import is_smooth
from sgbench.firing.curve import stepping
from sgbench.networks.base import Network, surrogates
from sgbench.optimizers.sam import Sam
from sgbench.records.content import EpochOnTest, EpochScores, RateCurve, Scores, SelectedOnTest
from sgbench.records.record import epoch_numbers
from sgbench.records.spec import Method
from sgbench.schedules.base import Moment
from sgbench.training.build import DTYPES, Parts
from sgbench.training.evaluation import Evaluation
from sgbench.training.run_diagnosis import RunAgreement, RunDiagnoses
from sgbench.training.train_step import Epochs, Part, SteppingOptimizer, TrainLoop


class Training:
    """Trains, scores and selects over the epochs of one run; a driver passes it the batches.

    `parts`: objects of the run; `made_by`: versions of the code, which must be the same to continue from a checkpoint.
    """

    def __init__(self, parts: Parts, method: Method, seed: int, *, made_by: dict[str, str]) -> None:
        protocol = method.protocol
        self.network = parts.network
        self.batches_per_step = protocol.accumulated_batches or 1
        self.loop = TrainLoop(
            parts.network,
            parts.rule,
            parts.objective,
            clip_norm=method.clip_norm,
            accumulates=self.batches_per_step > 1,
        )
        self.needs_second_gradient = isinstance(parts.optimizer, Sam)
        self.best = BestEpoch(protocol.monitor, protocol.patience)
        self.epochs = Epochs(parts.steepness, protocol.epochs, seed)
        self.data, self.schedule = parts.data, parts.schedule
        self.lr = float(parts.optimizer.defaults["lr"])  # before the schedule's factor
        self.dt_s = protocol.dt_s
        self.input_kind: Kind = parts.encoder.output
        self.bits = DTYPES[protocol.precision].itemsize * 8  # width of weights and states
        self.made_by = made_by
        self.curve: list[EpochScores] = []
        self.rates: dict[str, list[float]] = {}  # by spiking layer, validation rates per step of each epoch
        self.epoch = 0  # the present epoch, or the last one
        self.used_lr = self.lr  # learning rate of the last step
        self.fit_s = 0.0  # time of training and validation
        self.reported_s = 0.0  # the part of it that loggers have received
        self.resumed = 0  # how often training was continued from a checkpoint
        self.samples = 0  # trained on in this epoch
        self.losses: list[Tensor] = []  # of this epoch's batches, mean loss times number of samples
        self.evaluation = self._new_evaluation()
        self.hard: Evaluation | None = None  # of the same weights with binary spikes, if neurons send smooth values
        self.counts_operations = False  # whether the present pass counts them, as that over the test split does
        self.counter = self._new_counter()
        self.predictions: list[tuple[Tensor, Tensor, Tensor]] = []  # positions, targets and logits of each batch
        self.watched = Watched()
        self.diagnoses: RunDiagnoses | None = None
        self.agreement: RunAgreement | None = None

    def _new_evaluation(self) -> Evaluation:
        device = next(self.network.parameters()).device
        return Evaluation(self.network, dt_s=self.dt_s).to(device)

    def _new_counter(self) -> OperationCounter | PlainCounter:
        return counter_of(self.network, self.input_kind, bits=self.bits)

    @property
    def ended(self) -> bool:
        """Return whether training is over: after the protocol's last epoch, or when patience has run out."""
        return len(self.curve) >= self.epochs.count or self.best.should_stop

    def begin_epoch(self, epoch: int) -> None:
        """Start a training epoch: set steepness and noise, and reset its sums."""
        self.epoch = epoch
        if self.diagnoses is not None and epoch == 0:
            self.diagnoses.diagnose_initial()
        self.epochs.begin(self.network, "train", epoch)
        self.samples, self.losses = 0, []
        if self.loop.norms is not None:
            self.loop.norms.begin()

    def learning_rate(self) -> float:
        """Return the learning rate of the next step by the schedule, which also sees the losses of past epochs."""
        moment = Moment(
            epoch=self.epoch,
            epochs=self.epochs.count,
            batch=len(self.losses) // self.batches_per_step,
            batches=math.ceil(self.data.batches_per_epoch / self.batches_per_step),
            losses=tuple(self.best.as_loss(line.model_dump()) for line in self.curve),
        )
        self.used_lr = self.lr * self.schedule.factor(moment)
        return self.used_lr

    def set_learning_rate(self, optimizer: torch.optim.Optimizer) -> None:
        rate = self.learning_rate()
        for group in optimizer.param_groups:
            group["lr"] = rate

    def epoch_numbers(self) -> dict[str, float]:
        """Return the numbers of the last epoch for loggers, by name; its time is counted from the last call."""
        activity = self.evaluation.scores().activity
        numbers = epoch_numbers(self.curve, {layer.name: layer.rate_hz for layer in activity})
        numbers |= {"train/learning_rate": self.used_lr, "timing/epoch_s": self.fit_s - self.reported_s}
        self.reported_s = self.fit_s
        return numbers | ({} if self.loop.norms is None else self.loop.norms.by_layer())

    def train(self, batch: Batch, optimizer: SteppingOptimizer) -> None:
        """Train on the next batch of the epoch.

        The optimiser steps after `batches_per_step` batches, and at the end of the epoch.
        """
        done = len(self.losses) + 1  # batches of the epoch, with this one
        due = done % self.batches_per_step == 0 or done == self.data.batches_per_epoch
        loss = self.loop.train_batch(batch, optimizer, due=due, twice=self.needs_second_gradient)
        self.record_loss(batch, loss)

    def record_loss(self, batch: Batch, loss: Tensor) -> None:
        self.samples += len(batch.target)
        self.losses.append(loss * len(batch.target))

    def begin_scoring(self, part: Part, *, selected: bool) -> None:
        """Begin scoring a split, with the steepness and noise of this epoch or of the selected one."""
        self.loop.check_deferred()
        epoch = (self.best.epoch or 0) if selected else self.epoch
        self.epochs.begin(self.network, part, epoch)
        self.evaluation = self._new_evaluation()
        self.counts_operations = part == "test"
        if self.counts_operations:
            self.counter = self._new_counter()
            self.predictions = []
            sends_smooth_values = any(is_smooth(surrogate.firing) for surrogate in surrogates(self.network))
            self.hard = self._new_evaluation() if sends_smooth_values else None

    def score(self, batch: Batch) -> None:
        """Score one batch of the split; for the test split also count operations and store predictions."""
        trajectory, logits, loss = self.loop.evaluate(batch)
        self.evaluation.update(batch, trajectory, logits, loss)
        if self.counts_operations:
            self.counter.update(batch, trajectory)
            self.predictions.append((batch.position, scored_target(batch), logits))
            if self.hard is not None:
                with stepping(surrogates(self.network)):
                    self.hard.update(batch, *self.loop.evaluate(batch))

    def end_epoch(self) -> EpochScores:
        """Close an epoch after its validation: add its line to the curve, update the selection; return the line."""
        scores = self.evaluation.scores()
        line = EpochScores(
            epoch=self.epoch,
            train_loss=torch.stack(self.losses).sum().item() / self.samples,
            validation_loss=scores.loss,
            validation_accuracy=scores.accuracy,
        )
        self.curve.append(line)
        for layer in scores.activity:
            self.rates.setdefault(layer.name, []).append(layer.rate_per_step)
        self.best.update(line.epoch, line.model_dump(), self.network)
        if self.diagnoses is not None:
            self.diagnoses.diagnose_epoch(line.epoch)
        if self.agreement is not None:
            self.agreement.compare_epoch(line.epoch)
        return line

    def rate_curves(self) -> tuple[RateCurve, ...] | None:
        """Return the validation rates of each spiking layer by epoch; None if there are none."""
        return tuple(RateCurve(name=name, rate_per_step=tuple(rates)) for name, rates in self.rates.items()) or None

    def watch(self, batches: Iterable[Batch]) -> None:
        """Score the test split after an epoch, for `Watched`; nothing in the run reads these scores.

        An epoch whose scores are not finite gets none, since such weights need not fail on the other splits.
        """
        self.epochs.begin(self.network, "test", self.epoch)
        evaluation = self._new_evaluation()
        try:
            for batch in batches:
                evaluation.update(batch, *self.loop.evaluate(batch))
            scores = evaluation.scores()
        except (InputError, StorageError):
            raise
        except SgbenchError:
            scores = None
        self.watched.add(self.epoch, scores)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, beside the network's and the optimiser's; only what was measured."""
        optional: dict[str, Any] = {"watched": self.watched.state_dict()} if self.watched.scores else {}
        if self.diagnoses is not None and self.diagnoses.found:
            optional["diagnoses"] = self.diagnoses.state_dict()
        if self.agreement is not None and self.agreement.found:
            optional["agreement"] = self.agreement.state_dict()
        return optional | {
            "best": self.best.state_dict(),
            "curve": [line.model_dump() for line in self.curve],
            "rates": {name: [*rates] for name, rates in self.rates.items()},
            "fit_s": self.fit_s,
            "resumed": self.resumed,
            "made_by": self.made_by,
            "buffers": {name: value.detach().clone() for name, value in self.network.named_buffers()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load_state_dict(state["best"])
        self.curve = [EpochScores.model_validate(line) for line in state["curve"]]
        self.rates = {name: [*rates] for name, rates in state["rates"].items()}
        for name, value in self.network.named_buffers():
            value.copy_(state["buffers"][name])
        self.watched.load_state_dict(state.get("watched", {}))
        if self.diagnoses is not None:
            self.diagnoses.load_state_dict(state.get("diagnoses", []))
        if self.agreement is not None:
            self.agreement.load_state_dict(state.get("agreement", []))
        self.fit_s = self.reported_s = state["fit_s"]
        self.resumed = state["resumed"] + 1  # from the checkpoint, so loading twice counts once


Monitor = Literal["validation_loss", "validation_accuracy"]


class BestEpoch:
    """Holds the weights of the best epoch, and decides whether to stop early.

    `monitor`: the validation score by which epochs are compared. `patience`: number of epochs without improvement after
    which training stops; None: never.
    """

    def __init__(self, monitor: Monitor, patience: int | None) -> None:
        self.monitor, self.patience = monitor, patience
        self.epoch: int | None = None
        self.value = math.nan
        self.weights: dict[str, Tensor] = {}
        self.last_epoch = -1

    def update(self, epoch: int, scores: dict[str, float], network: Network) -> bool:
        """Return whether an epoch is the best one so far by its validation scores, and keep its weights if it is."""
        value = scores[self.monitor]
        better = value > self.value if self.monitor == "validation_accuracy" else value < self.value
        self.last_epoch = epoch
        if self.epoch is None or better:
            self.epoch, self.value = epoch, value
            self.weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
            return True
        return False

    def as_loss(self, scores: dict[str, float]) -> float:
        """Return the monitored score with a sign such that lower is better."""
        return -scores[self.monitor] if self.monitor == "validation_accuracy" else scores[self.monitor]

    @property
    def should_stop(self) -> bool:
        if self.patience is None or self.epoch is None:
            return False
        return self.last_epoch - self.epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "value": self.value, "weights": self.weights, "last_epoch": self.last_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.last_epoch = state["epoch"], state["last_epoch"]
        self.value, self.weights = state["value"], state["weights"]


class Watched:
    """Holds the test scores of each epoch, which the run does not read before its record is made."""

    def __init__(self) -> None:
        self.scores: dict[int, EpochOnTest | None] = {}  # by epoch; None where there is no finite score

    def add(self, epoch: int, scores: Scores | None) -> None:
        """Record an epoch's scores on the test split; None if they are not finite."""
        self.scores[epoch] = None if scores is None else _epoch_on_test(epoch, scores)

    def selected(self, epoch: int | None, test: Scores, *, epochs: int) -> SelectedOnTest | None:
        """Return the best epochs on the test split, by loss and, for classes, by accuracy; the first of equal ones.

        The epoch that validation selected takes part with its final test scores, so the best is at least as good.

        `epoch`: the epoch that validation selected, or None. `test`: final test scores of that epoch's weights.
        `epochs`: number of epochs trained; None is returned unless every one of them was watched.

        >>> seen = Watched()
        >>> for epoch, accuracy in enumerate((0.5, 0.75, 0.7)):
        ...     seen.add(epoch, Scores(samples=20, accuracy=accuracy, loss=1 + accuracy, activity=()))
        >>> honest = Scores(samples=20, accuracy=0.7, loss=1.7, activity=())
        >>> found = seen.selected(2, honest, epochs=3)
        >>> found.by_loss.epoch, found.by_accuracy.epoch, seen.selected(2, honest, epochs=4)
        (0, 1, None)
        """
        if epoch is None or self.scores.keys() != set(range(epochs)):
            return None
        by_epoch = {**self.scores, epoch: _epoch_on_test(epoch, test)}
        finite = [scores for epoch in range(epochs) if (scores := by_epoch[epoch]) is not None]
        return SelectedOnTest(
            by_loss=min(finite, key=lambda scores: scores.loss),
            by_accuracy=None if test.accuracy is None else max(finite, key=lambda scores: scores.accuracy or 0.0),
        )

    def state_dict(self) -> dict[int, dict[str, Any] | None]:
        return {epoch: None if line is None else line.model_dump() for epoch, line in self.scores.items()}

    def load_state_dict(self, state: dict[int, dict[str, Any] | None]) -> None:
        self.scores = {
            epoch: None if line is None else EpochOnTest.model_validate(line) for epoch, line in state.items()
        }


def _epoch_on_test(epoch: int, scores: Scores) -> EpochOnTest:
    return EpochOnTest(epoch=epoch, accuracy=scores.accuracy, loss=scores.loss)
