"""A training loop without a framework: gradients, clipping, optimiser steps, selection and early stopping."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.errors import NonFiniteError
from sgbench.networks.base import Network, check_finite, must_be_finite
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.training.finiteness import Deferred
from sgbench.training.gradient_norms import GradientNorms
from sgbench.training.together import Together


class Accumulation:
    r"""Averages the gradients of several batches, weighted by their numbers of samples.

    .. math:: g = \sum_k n_k g_k \Big/ \sum_k n_k

    g_k is the gradient of the mean loss of batch k with n_k samples. The running mean is stored, not the sum, so no
    intermediate number is larger than the gradients.

    So k batches of B samples give the step of one batch of k B, if samples are independent: statistics of a batch
    normalisation, and penalties that are not linear in samples, are those of each batch. `weights`: parameters whose
    gradients are averaged.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> both = Accumulation([weight])
    >>> weight.grad = torch.tensor([1.0])
    >>> both.add(3, due=False)
    >>> weight.grad = torch.tensor([5.0])
    >>> both.add(1, due=True), weight.grad
    (tensor(2.), tensor([2.]))
    """

    def __init__(self, weights: Sequence[torch.nn.Parameter]) -> None:
        self.weights = list(weights)
        self.clear()

    def clear(self) -> None:
        """Clear the gradients of the batches since the last step."""
        self.means: list[Tensor | None] = [None for _ in self.weights]
        self.samples = 0

    def add(self, samples: int, *, due: bool) -> Tensor | None:
        """Add the weights' gradients of a batch with so many samples to the mean.

        If the step is `due`, set the gradients to the mean, start anew, and return the mean's L2 norm; else return
        None.
        """
        self.samples += samples
        share = samples / self.samples
        for index, weight in enumerate(self.weights):
            before = self.means[index]
            if before is not None:
                before.mul_(1 - share)
            if weight.grad is not None:
                part = weight.grad * share
                self.means[index] = part if before is None else before.add_(part)
        if not due:
            return None
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.grad = mean
        self.clear()
        return torch.nn.utils.get_total_norm([w.grad for w in self.weights if w.grad is not None])


BAD_GRADIENT = ": the gradient is not finite"
Monitor = Literal["validation_loss", "validation_accuracy"]


class SteppingOptimizer(Protocol):
    """Defines the methods of an optimiser that the loop calls."""

    def step(self, closure: Any = None) -> Any:
        """Update the weights by one step; an optimiser that needs a second gradient calls the closure for it."""

    def zero_grad(self) -> None:
        """Clear the gradients."""


class TrainLoop:
    """Trains one network by one learning rule on one objective.

    `objective`: loss and penalty that are minimised. `clip_norm`: L2 norm over all weights to which gradients are
    clipped; None: no clipping. `accumulates`: whether a step takes the gradients of several batches.
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
        self.plain_loss = objective.loss.plain()
        self.accumulation = Accumulation(list(network.parameters())) if accumulates else None
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.clip_value = math.inf  # largest entry of a gradient, which Lightning's Trainer can set
        weight = next(network.parameters(), None)
        on_cpu = weight is None or weight.device.type == "cpu"
        self.deferred = None if on_cpu else Deferred()  # checks that need not wait for an accelerator
        self.together: Together | None = None  # set if several processes share each batch
        self.norms: GradientNorms | None = None  # set if a logger shows the layers' gradient norms

    def train_batch(
        self, batch: Batch, optimizer: SteppingOptimizer, *, due: bool = True, twice: bool = False
    ) -> Tensor:
        """Train on one batch, with an optimiser step each time the rule yields a gradient; return the batch's loss."""
        try:
            return self._train_batch(batch, optimizer, due=due, twice=twice)
        except NonFiniteError:
            if self.accumulation is not None:
                self.accumulation.clear()
            raise

    def _train_batch(self, batch: Batch, optimizer: SteppingOptimizer, *, due: bool, twice: bool) -> Tensor:
        """Compute what `train_batch` does; after an error accumulated gradients are left."""
        total = torch.zeros((), dtype=batch.x.dtype, device=batch.x.device)
        optimizer.zero_grad()
        for progress in self._gradients_of(batch):
            norm = self.check(progress)
            if self.norms is not None:
                self.norms.add([weight.grad for weight in self.network.parameters()])
            if self.accumulation is not None:
                norm = self._accumulate(self.accumulation, len(batch.target), due=due)
            if norm is not None:
                self._step(batch, optimizer, norm, twice=twice)
            optimizer.zero_grad()
            total += progress.loss
        return total

    def _gradients_of(self, batch: Batch) -> Iterator[Progress]:
        together = self.together
        if together is None:
            yield from self.rule.gradients(self.network, batch, self.objective)
            return
        mine = together.share(batch)
        for progress in self.rule.gradients(self.network, mine, self.objective):
            yield together.averaged(self.network, progress, len(mine.target))

    def _accumulate(self, accumulation: Accumulation, samples: int, *, due: bool) -> Tensor | None:
        """Add the gradients of a batch to the accumulated ones; return their norm if a step is due, else None."""
        norm = accumulation.add(samples, due=due)
        if norm is not None:
            self._check_norm(norm)
        return norm

    def _step(self, batch: Batch, optimizer: SteppingOptimizer, norm: Tensor, *, twice: bool) -> None:
        """Clip the gradients, whose norm is given, and step; with `twice` only the second gradient is clipped."""
        if twice:
            optimizer.step(lambda: self._second_gradient(batch))
            return
        self._clip(norm)
        optimizer.step()

    def _clip(self, norm: Tensor) -> None:
        if self.clip_value < math.inf:
            torch.nn.utils.clip_grad_value_(self.network.parameters(), self.clip_value)
        if self.clip_norm < math.inf:
            torch.nn.utils.clip_grads_with_norm_(self.network.parameters(), self.clip_norm, norm)

    def _second_gradient(self, batch: Batch) -> None:
        """Fill the gradients of a batch at the present weights, and clip them; running statistics do not change."""
        buffers = [buffer.clone() for buffer in self.network.buffers()]
        for weight in self.network.parameters():
            weight.grad = None
        try:
            for progress in self.rule.gradients(self.network, batch, self.objective):
                self._clip(self.check(progress))
        finally:  # also after a gradient that is not finite
            for buffer, before in zip(self.network.buffers(), buffers, strict=True):
                buffer.copy_(before)

    def check(self, progress: Progress) -> Tensor:
        message = "loss: not finite although every membrane potential is"
        if self.deferred is not None:
            self.deferred.add([*must_be_finite(self.network, progress.trajectory), (message, progress.loss)])
        else:
            check_finite(self.network, progress.trajectory)
            if not math.isfinite(progress.loss.item()):
                raise NonFiniteError(message)
        gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._check_norm(norm)
        return norm

    def _check_norm(self, norm: Tensor) -> None:
        if self.deferred is not None:
            self.deferred.add([*self._gradients(), (f"network{BAD_GRADIENT}", norm)])
        elif not math.isfinite(norm.item()):
            bad = (message for message, gradient in self._gradients() if not torch.isfinite(gradient).all())
            raise NonFiniteError(next(bad, f"network{BAD_GRADIENT}"))

    def _gradients(self) -> Iterator[tuple[str, Tensor]]:
        for layer in [*self.network.hidden_layers, self.network.readout]:
            for name, parameter in layer.named_parameters():
                if parameter.grad is not None:
                    yield f"layer '{layer.name}', {name}{BAD_GRADIENT}", parameter.grad

    def check_deferred(self) -> None:
        """Raise an error if a step since the last call was not finite, before its weights are scored or stored."""
        if self.deferred is not None:
            self.deferred.ask()

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> tuple[Trajectory, Tensor, Tensor]:
        """Run the network; return the trajectory with spikes, logits [B, C] and the mean loss without penalty."""
        trajectory = self.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        check_finite(self.network, trajectory)
        logits = self.objective.loss.logits(trajectory)
        return trajectory, logits, self.plain_loss.whole(trajectory, batch.target)


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Check that an optimiser's state has not overflowed, after which weights would silently stop changing."""
    for state in optimizer.state.values():
        check_optimizer_state(state)


def check_optimizer_state(state: Mapping[str, Any]) -> None:
    """Check that the optimiser state of one parameter, or of one network, has not overflowed."""
    for name, value in state.items():
        if isinstance(value, Tensor) and not torch.isfinite(value).all():
            raise NonFiniteError(f"optimizer: {name} is not finite; a smaller learning rate may help")


class BestEpoch:
    """Holds the weights of the best epoch, and decides whether to stop early.

    `monitor`: the validation score by which epochs are compared. `patience`: number of epochs without improvement after
    which training stops; None: never.
    """

    def __init__(self, monitor: Monitor, patience: int | None) -> None:
        self.monitor = monitor
        self.patience = patience
        self.epoch: int | None = None
        self.value = math.nan
        self.weights: dict[str, Tensor] = {}
        self.last_epoch = -1

    def update(self, epoch: int, scores: dict[str, float], network: Network) -> bool:
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
        """Restore from a checkpoint what `state_dict` returned."""
        self.epoch = state["epoch"]
        self.value = state["value"]
        self.weights = state["weights"]
        self.last_epoch = state["last_epoch"]
