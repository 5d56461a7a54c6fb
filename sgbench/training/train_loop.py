"""Training without a framework: gradients, clipping, steps, the best weights, when to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from sgbench.errors import NonFiniteError
from sgbench.networks.base import Network, check_finite, must_be_finite
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.training.accumulation import Accumulation
from sgbench.training.finiteness import Deferred
from sgbench.training.gradient_norms import GradientNorms
from sgbench.training.together import Together

BAD_GRADIENT = ": the gradient is not finite"
Monitor = Literal["validation_loss", "validation_accuracy"]


class SteppingOptimizer(Protocol):
    """Defines what is needed of an optimiser."""

    def step(self, closure: Any = None) -> Any:
        """Update the weights by one step; one that needs two gradients calls the closure for the second."""

    def zero_grad(self) -> None:
        """Clear the gradients."""


class TrainLoop:
    """Trains one network by one rule on one objective.

    Args:
        network: whose weights move.
        rule: fills the gradients.
        objective: what is minimised.
        clip_norm: L2 norm over all weights to which a gradient is shortened, or None.
        accumulates: whether a step is made of the gradients of several batches.
    """

    def __init__(
        self,
        network: Network,
        rule: LearningRule,
        objective: Objective,
        *,
        clip_norm: float | None,
        accumulates: bool = False,
    ) -> None:
        self.network = network
        self.rule = rule
        self.objective = objective
        self.scored = objective.loss.plain()
        self.accumulation = Accumulation(list(network.parameters())) if accumulates else None
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        weight = next(network.parameters(), None)
        on_cpu = weight is None or weight.device.type == "cpu"
        self.deferred = (
            None if on_cpu else Deferred()
        )  # what is not finite, where each step need not wait for it
        self.together: Together | None = None  # with others, where each trains on a share of the batch
        self.norms: GradientNorms | None = None  # of layers, where a logger shows them

    def train_batch(
        self, batch: Batch, optimizer: SteppingOptimizer, *, due: bool = True, twice: bool = False
    ) -> Tensor:
        """Train on one batch, with an optimiser step at each of the rule's yields; return the batch's loss.

        Args:
            batch: to train on.
            optimizer: moves the weights.
            due: whether the step is due after this batch, where gradients accumulate over several.
            twice: whether the optimiser asks for a second gradient, as `Sam` does.

        Raises:
            NonFiniteError: a potential, the loss or a gradient is NaN or infinite; on a CPU weights stay as they
                were, on an accelerator they have moved on, see `Deferred`.
        """
        try:
            return self._train_batch(batch, optimizer, due=due, twice=twice)
        except NonFiniteError:
            if self.accumulation is not None:
                self.accumulation.clear()
            raise

    def _train_batch(self, batch: Batch, optimizer: SteppingOptimizer, *, due: bool, twice: bool) -> Tensor:
        total = torch.zeros((), dtype=batch.x.dtype, device=batch.x.device)
        optimizer.zero_grad()
        for progress in self._gradients_of(batch):
            norm = self.check(progress)
            if self.norms is not None:
                self.norms.add([weight.grad for weight in self.network.parameters()])
            if self.accumulation is not None:
                norm = self._accumulated(self.accumulation, len(batch.target), due=due)
            if norm is not None:
                self._step(batch, optimizer, norm, twice=twice)
            optimizer.zero_grad()
            total += progress.loss
        return total

    def _gradients_of(self, batch: Batch) -> Iterator[Progress]:
        """Fill the gradients of a batch; of several processes each computes those of its share."""
        together = self.together
        if together is None:
            yield from self.rule.gradients(self.network, batch, self.objective)
            return
        mine = together.share(batch)
        for progress in self.rule.gradients(self.network, mine, self.objective):
            yield together.averaged(self.network, progress, len(mine.target))

    def _accumulated(self, accumulation: Accumulation, samples: int, *, due: bool) -> Tensor | None:
        norm = accumulation.add(samples, due=due)
        if norm is not None:
            self._check_norm(norm)
        return norm

    def _step(self, batch: Batch, optimizer: SteppingOptimizer, norm: Tensor, *, twice: bool) -> None:
        """Clip the gradient and step; an optimiser that needs two gradients clips the one that it steps by."""
        if twice:
            optimizer.step(lambda: self._second_gradient(batch))
            return
        self._clip(norm)
        optimizer.step()

    def _clip(self, norm: Tensor) -> None:
        if self.clip_norm < math.inf:
            torch.nn.utils.clip_grads_with_norm_(self.network.parameters(), self.clip_norm, norm)

    def _second_gradient(self, batch: Batch) -> None:
        """Fill the gradient of a batch at the present weights; running statistics have seen the batch already."""
        kept = [buffer.clone() for buffer in self.network.buffers()]
        for weight in self.network.parameters():
            weight.grad = None
        try:
            for progress in self.rule.gradients(self.network, batch, self.objective):
                self._clip(self.check(progress))
        finally:  # a gradient that is not finite leaves them too as they were
            for buffer, before in zip(self.network.buffers(), kept, strict=True):
                buffer.copy_(before)

    def check(self, progress: Progress) -> Tensor:
        """Check loss, states and gradient before a step, and return the gradient's norm.

        Raises:
            NonFiniteError: a potential, the loss or a gradient is NaN or infinite; on an accelerator now and then.
        """
        said = "loss: not finite although every membrane potential is"
        if self.deferred is not None:
            self.deferred.add([*must_be_finite(self.network, progress.trajectory), (said, progress.loss)])
        else:
            check_finite(self.network, progress.trajectory)
            if not math.isfinite(progress.loss.item()):
                raise NonFiniteError(said)
        gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._check_norm(norm)
        return norm

    def _check_norm(self, norm: Tensor) -> None:
        if self.deferred is not None:
            self.deferred.add([*self._gradients(), (f"network{BAD_GRADIENT}", norm)])
        elif not math.isfinite(norm.item()):
            bad = (said for said, gradient in self._gradients() if not torch.isfinite(gradient).all())
            raise NonFiniteError(next(bad, f"network{BAD_GRADIENT}"))

    def _gradients(self) -> Iterator[tuple[str, Tensor]]:
        """Pair the gradient of each layer's weights with the message if it is not finite."""
        for layer in [*self.network.hidden_layers, self.network.readout]:
            for name, parameter in layer.named_parameters():
                if parameter.grad is not None:
                    yield f"layer '{layer.name}', {name}{BAD_GRADIENT}", parameter.grad

    def check_deferred(self) -> None:
        """Stop if a step since the last time was not finite, before anything made of its weights is scored or kept.

        Raises:
            NonFiniteError: with what was not finite first.
        """
        if self.deferred is not None:
            self.deferred.ask()

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> tuple[Trajectory, Tensor, Tensor]:
        """Run the network and return trajectory with spikes, logits [B, C] and the plain mean loss, no penalty.

        Raises:
            NonFiniteError: a membrane potential is NaN or infinite.
        """
        trajectory = self.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        check_finite(self.network, trajectory)
        logits = self.objective.loss.logits(trajectory)
        return trajectory, logits, self.scored.whole(trajectory, batch.target)


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Stop if the optimiser's own state has overflowed, after which weights silently stand still.

    Raises:
        NonFiniteError: names the state.
    """
    for state in optimizer.state.values():
        check_optimizer_state(state)


def check_optimizer_state(state: Mapping[str, Any]) -> None:
    """Stop if the optimiser's state of one parameter or of one network has overflowed.

    Raises:
        NonFiniteError: names the state.
    """
    for name, value in state.items():
        if isinstance(value, Tensor) and not torch.isfinite(value).all():
            raise NonFiniteError(f"optimizer: {name} is not finite; a smaller learning rate may help")


class BestEpoch:
    """Keeps the weights of the best epoch, and says whether to go on.

    Args:
        monitor: which validation score decides.
        patience: epochs without improvement after which training stops, or None.
    """

    def __init__(self, monitor: Monitor, patience: int | None) -> None:
        self.monitor = monitor
        self.patience = patience
        self.epoch: int | None = None
        self.value = math.nan
        self.weights: dict[str, Tensor] = {}
        self.last_epoch = -1

    def update(self, epoch: int, scores: dict[str, float], network: Network) -> bool:
        """Record an epoch's scores; return whether it is the best so far (of equal epochs the first is)."""
        value = scores[self.monitor]
        better = value > self.value if self.monitor == "validation_accuracy" else value < self.value
        self.last_epoch = epoch
        if self.epoch is None or better:
            self.epoch, self.value = epoch, value
            self.weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
            return True
        return False

    def as_loss(self, scores: dict[str, float]) -> float:
        """Return the score that decides, the lower the better."""
        return -scores[self.monitor] if self.monitor == "validation_accuracy" else scores[self.monitor]

    @property
    def should_stop(self) -> bool:
        """Return whether patience has run out."""
        if self.patience is None or self.epoch is None:
            return False
        return self.last_epoch - self.epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and the count of patience, for a checkpoint."""
        return {
            "epoch": self.epoch,
            "value": self.value,
            "weights": self.weights,
            "last_epoch": self.last_epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the best weights and the count of patience from a checkpoint."""
        self.epoch = state["epoch"]
        self.value = state["value"]
        self.weights = state["weights"]
        self.last_epoch = state["last_epoch"]
