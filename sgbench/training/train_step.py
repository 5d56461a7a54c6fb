"""One step of training: gradients by the rule, accumulation, clipping, norms, checks that all is finite, the update."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, Trajectory, valid_steps
from sgbench.dropouts.base import masks
from sgbench.errors import NonFiniteError
from sgbench.networks.base import Network, check_finite, must_be_finite, surrogates
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.steepness.base import Steepness
from sgbench.training.data_parallel import Together

if TYPE_CHECKING:
    from sgbench.training.loggers import RunLogger


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
            mean = self.means[index]
            if mean is not None:
                mean.mul_(1 - share)
            if weight.grad is not None:
                addend = weight.grad * share
                self.means[index] = addend if mean is None else mean.add_(addend)
        if not due:
            return None
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.grad = mean
        self.clear()
        return torch.nn.utils.get_total_norm([w.grad for w in self.weights if w.grad is not None])


BAD_GRADIENT = ": the gradient is not finite"


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
        self.network, self.rule, self.objective = network, rule, objective
        self.plain_loss = objective.loss.plain()
        self.accumulation = Accumulation(list(network.parameters())) if accumulates else None
        self.clip_norm = math.inf if clip_norm is None else clip_norm
        self.clip_value = math.inf  # largest entry of a gradient, which Lightning's Trainer can set
        weight = next(network.parameters(), None)
        on_cpu = weight is None or weight.device.type == "cpu"
        self.deferred = None if on_cpu else DeferredChecks()  # checks that need not wait for an accelerator
        self.together: Together | None = None  # set if several processes share each batch
        self.norms: GradientNorms | None = None  # set if a logger shows the layers' gradient norms

    def train_batch(
        self, batch: Batch, optimizer: SteppingOptimizer, *, due: bool = True, twice: bool = False
    ) -> Tensor:
        """Train on one batch, with an optimiser step each time the rule yields a gradient; return the batch's loss.

        `due`: whether to step, if batches are accumulated. `twice`: whether the optimiser asks for a second gradient.
        """
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
                norm = self.accumulation.add(len(batch.target), due=due)
                if norm is not None:
                    self._check_norm(norm)
            if norm is not None:  # a step is due
                self._step(batch, optimizer, norm, twice=twice)
            optimizer.zero_grad()
            total += progress.loss
        return total

    def _gradients_of(self, batch: Batch) -> Iterator[Progress]:
        """Yield each time the rule has set the gradients of a batch, averaged over processes if several share it."""
        together = self.together
        if together is None:
            yield from self.rule.gradients(self.network, batch, self.objective)
            return
        share = together.share(batch)
        for progress in self.rule.gradients(self.network, share, self.objective):
            yield together.averaged(self.network, progress, len(share.target))

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
        """Check that potentials, loss and gradients are finite, at once or deferred; return the gradients' L2 norm."""
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
        """Check by its norm that the gradient is finite, at once or deferred; the error names the first bad weight."""
        if self.deferred is not None:
            self.deferred.add([*self._gradients(), (f"network{BAD_GRADIENT}", norm)])
        elif not math.isfinite(norm.item()):
            bad = (message for message, gradient in self._gradients() if not torch.isfinite(gradient).all())
            raise NonFiniteError(next(bad, f"network{BAD_GRADIENT}"))

    def _gradients(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each weight's gradient, with the message for one that is not finite before it."""
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


Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Epochs:
    """Sets a network's steepness and generators by seed and epoch alone, so that training can be continued."""

    steepness: Steepness  # schedule of the surrogates' stretch factor
    count: int  # epochs of the protocol; the schedule ends at the last of them, even if training stops early
    seed: int

    def begin(self, network: Network, part: Part, epoch: int) -> None:
        """Prepare the network for a pass over one split in an epoch; all its generators start anew."""
        network.train(part == "train")
        progress = min(1.0, epoch / max(1, self.count - 1))
        network.advance(progress)
        for layer, surrogate in enumerate(surrogates(network)):
            surrogate.stretch = self.steepness.factor(progress)
            if surrogate.stochastic:
                surrogate.generator = generator(self.seed, "noise", layer, part, epoch)
        if network.rule_noise is not None:
            network.rule_noise.generator = generator(self.seed, "noise", "rule", part, epoch)
        for layer, mask in enumerate(masks(network)):
            mask.generator = generator(self.seed, "dropout", layer, part, epoch)


MOST_DEFERRED = 200
"""Checks, two per step, after which the host waits for the device; training goes on so long after a bad step."""


class DeferredChecks:
    """Records which numbers of the first bad step were NaN or infinite, without waiting for the device.

    On a CPU each step is checked at once. On an accelerator the host would have to wait for all queued work at each
    check. So results stay on the device until `ask` reads them. Training after a bad step is lost, but nothing is
    stored before `ask`.

    >>> found = DeferredChecks()
    >>> found.add([("loss", torch.tensor(1.0)), ("gradient", torch.tensor([0.0, torch.inf]))])
    >>> found.add([("loss", torch.tensor(torch.nan)), ("gradient", torch.tensor([0.0, 0.0]))])
    >>> found.ask()
    Traceback (most recent call last):
    ...
    sgbench.errors.NonFiniteError: gradient
    """

    def __init__(self) -> None:
        self.checks = 0  # since `ask`
        self.bad: Tensor | None = None  # whether one of them failed, a boolean on the device
        # Maps the messages of a kind of check to one number each, NaN where the first failed check found it.
        self.first: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def add(self, pairs: Iterable[tuple[str, Tensor]]) -> None:
        """Check tensors, each with the message for a number in it that is not finite."""
        messages, tensors = zip(*pairs, strict=True)
        marks = torch.stack([(tensor * 0).sum() for tensor in tensors])  # 0, or NaN if a number is not finite
        bad = marks.isnan().any()
        if self.bad is not None:  # only the first failed check counts
            marks, bad = marks.masked_fill(self.bad, 0), bad | self.bad
        self.first[messages] = self.first[messages] + marks if messages in self.first else marks
        self.bad = bad
        self.checks += 1
        if self.checks >= MOST_DEFERRED:
            self.ask()

    def ask(self) -> None:
        """Wait for the device, and raise an error if a check since the last call failed."""
        messages = [message for group in self.first for message in group]
        bad = torch.cat([*self.first.values()]).isnan().tolist() if self.first else []
        self.first, self.bad, self.checks = {}, None, 0
        if True in bad:
            raise NonFiniteError(messages[bad.index(True)])


class GradientNorms:
    r"""Averages the norm :math:`\lVert g_l \rVert_2` of each layer's gradient over an epoch, before clipping.

    `keep_last`: whether the gradients of the last step are kept, for histograms.
    """

    def __init__(self, network: Network, *, keep_last: bool = False) -> None:
        positions = {id(weight): position for position, weight in enumerate(network.parameters())}
        self.layers = {
            layer.name: [positions[id(weight)] for weight in layer.parameters()]
            for layer in [*network.hidden_layers, network.readout]
        }
        self.keep_last = keep_last
        self.begin()

    def begin(self) -> None:
        self.sums: dict[str, Tensor] = {}  # of norms, by layer
        self.steps = 0
        self.last: dict[str, Tensor] = {}  # gradients of the last step by layer, flat

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add the gradients of one step, in the order of the network's parameters; None for absent ones."""
        self.steps += 1
        for name, positions in self.layers.items():
            present = [gradient for position in positions if (gradient := gradients[position]) is not None]
            if not present:
                continue
            norm = torch.nn.utils.get_total_norm(present).detach()
            self.sums[name] = self.sums[name] + norm if name in self.sums else norm.clone()
            if self.keep_last:
                self.last[name] = torch.cat([gradient.detach().reshape(-1) for gradient in present])

    def by_layer(self) -> dict[str, float]:
        return {f"gradient_norm/{name}": total.item() / self.steps for name, total in self.sums.items()}


BINS = 64


def loggers_of_histograms(loggers: Sequence[RunLogger]) -> list[RunLogger]:
    return [logger for logger in loggers if getattr(logger, "histograms", False)]


@torch.no_grad()
def potentials(network: Network, batch: Batch) -> dict[str, Tensor]:
    """Return each layer's membrane potentials minus threshold by name, flat, without steps after a sample's end."""
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({POTENTIAL}))
    inside = valid_steps(batch.lengths, batch.x.shape[0])
    names = [layer.name for layer in [*network.hidden_layers, network.readout]]
    return {name: u[inside].reshape(-1) for name, u in zip(names, trajectory.u, strict=False)}


def log_histograms(
    loggers: Sequence[RunLogger], network: Network, norms: GradientNorms, batch: Batch, step: int
) -> None:
    """Log histograms of each layer's potentials on a batch, and of its gradients in the last training step."""
    values_by_key = {f"potential/{name}": values for name, values in potentials(network, batch).items()}
    values_by_key |= {f"gradient/{name}": values for name, values in norms.last.items()}
    for logger in loggers:
        if hasattr(logger.experiment, "add_histogram"):  # TensorBoard's
            for key, values in values_by_key.items():
                logger.experiment.add_histogram(key, values.cpu(), step, bins="auto")
        else:
            logger.log_metrics({key: _wandb_histogram(values) for key, values in values_by_key.items()}, step=step)


def _wandb_histogram(values: Tensor) -> Any:
    """Return a histogram of Weights & Biases, with `BINS` equal bins from the smallest to the largest value."""
    import wandb

    return wandb.Histogram(np_histogram=np.histogram(values.double().cpu().numpy(), bins=BINS))
