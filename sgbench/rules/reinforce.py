"""The score-function estimate of the gradient of an expected loss (REINFORCE), for neurons with random spikes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch, valid_steps
from sgbench.errors import InputError, require_choice, require_count
from sgbench.firing.base import Chance
from sgbench.networks.base import Network, surrogates
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.apart import require_chain
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.surrogates.base import Surrogate

BASELINES = ("none", "batch", "draws")
BY_CHANCE = ("firing=escape", "loss=per_step", "network.recurrence=all_to_all")


class Reinforce(LearningRule):
    r"""Estimates the gradient of the expected loss from drawn spikes, without a surrogate (REINFORCE).

    .. math:: \hat g = \frac{1}{BK} \sum_{b,k} \Big[ (L_{bk} - c_{bk}) \, \nabla_w \sum_{t < T_b, i}
        \log P(s_i[t] \mid u_i[t]) + \nabla_w L_{bk} \Big]

    for the loss L of draw k of sample b, the drawn spikes s and potentials u of neurons i, and weights w. The drawn
    spikes are constants everywhere else: in resets, in recurrence and in the input of later layers. The expectation
    over draws is the exact gradient of the expected loss (tested by enumeration of all spike patterns, to 1e-10).
    The baseline c is the mean loss of other, independent draws, which leaves the expectation unchanged. Memory is
    that of back-propagation, times K.

    Args:
        draws: number K of spike patterns drawn for each sample.
        baseline: "none" (c = 0), "batch" (mean over all other draws in the batch) or "draws" (mean over the other
            draws of the same sample).

    Raises:
        InputError: a value out of range, or baseline="draws" with a single draw.

    Source: Williams 1992, Machine Learning 8 (REINFORCE, baselines); Neftci, Mostafa & Zenke 2019, section III
    (networks of spikes by chance).
    """

    exact_reference: ClassVar[Claim] = Claim("score_function", BY_CHANCE)
    must_differ_from: ClassVar[Claim] = Claim("bptt", BY_CHANCE, weights="hidden")
    by_chance: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("firing=escape",)

    def __init__(self, *, draws: int, baseline: str) -> None:
        self.draws = require_count("rule.draws", draws)
        self.baseline = require_choice("rule.baseline", baseline, BASELINES)
        if baseline == "draws" and self.draws == 1:
            raise InputError("rule.baseline=draws: there is one draw a sample; use rule.draws=2")

    def begin(self, network: Network, generator: torch.Generator) -> None:
        require_chain("reinforce", network)

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` unless every spike is drawn with a known probability, and there is no penalty."""
        for layer in network.layers:
            if layer.neuron.output == "binary":  # type: ignore[union-attr]
                _require_firing_probability(layer)
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError(
                "rule=reinforce: learns from the loss of each sample, of which a penalty has no share; "
                "use regulariser=none"
            )

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of all steps in each of K draws; beside its own, a neuron needs only the loss."""
        return Demand(
            numbers=self.draws * sizes.steps * sizes.states,
            weight_products=self.draws * sizes.synapses,
            error_products=(self.draws - 1) * sizes.synapses,  # forward passes beyond the first
            needs=("own_trace", "errors_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Estimate the gradients of a batch from drawn spikes and yield once."""
        drawn = repeat_batch(batch, self.draws)
        with score_spikes(network, valid_steps(drawn.lengths, drawn.x.shape[0])) as scores:
            trajectory = network.unroll(drawn.x, drawn.lengths)
        losses = objective.loss.each(trajectory, drawn.target)
        advantage = losses.detach() - self.baselines(losses.detach())
        total = (advantage * scores.total() + losses).mean()
        if total.requires_grad:
            total.backward()
        yield Progress(losses.detach().mean(), trajectory)

    def baselines(self, losses: Tensor) -> Tensor:
        """Compute the baseline of each draw of each sample [K B] from their losses [K B], draw after draw.

        >>> Reinforce(draws=2, baseline="draws").baselines(torch.tensor([1.0, 2.0, 5.0, 6.0]))
        tensor([5., 6., 1., 2.])
        """
        groups = losses.view(self.draws, -1) if self.baseline == "draws" else losses[:, None]
        if self.baseline == "none" or len(groups) == 1:
            return torch.zeros_like(losses)
        return ((groups.sum(0) - groups) / (len(groups) - 1)).flatten()


class SpikeLogProbability:
    """Sums the log probability of all spikes of a pass, step by step; `inside`: whether a step is within the sample."""

    def __init__(self, inside: Tensor) -> None:
        self.inside = inside
        self.calls: dict[int, list[Tensor]] = {}  # maps a surrogate's number to one [B] per call

    def add(self, number: int, log_probability: Tensor) -> None:
        """Record the log probability [B, ...] of one call of a surrogate; gated neurons make several per step."""
        self.calls.setdefault(number, []).append(log_probability.flatten(1).sum(1))

    def total(self) -> Tensor:
        """Return the sum over all layers and the steps within each sample [B]."""
        steps, samples = self.inside.shape
        per_surrogate = [torch.stack(calls).view(steps, -1, samples).sum(1) for calls in self.calls.values()]
        return sum(of_calls.masked_fill(~self.inside, 0.0).sum(0) for of_calls in per_surrogate)  # type: ignore[return-value]


@contextmanager
def score_spikes(network: Network, inside: Tensor) -> Iterator[SpikeLogProbability]:
    """Sum the log probability of a network's drawn spikes, and detach them, within a `with` block.

    Within it the network runs on the engine `reference`, step by step. `inside`: whether a step is within the sample,
    for the samples that will run [T, B].
    """
    scores = SpikeLogProbability(inside)

    def detach_and_score(number: int, surrogate: Surrogate, arguments: tuple[Tensor], spikes: Tensor) -> Tensor:
        drawn, firing = spikes.detach(), surrogate.firing
        if isinstance(firing, Chance):
            scores.add(number, firing.log_probability(drawn, arguments[0], surrogate))
        return drawn

    engine = network.engine
    with ExitStack() as stack:
        for number, surrogate in enumerate(surrogates(network)):
            handle: Any = surrogate.register_forward_hook(partial(detach_and_score, number))
            stack.callback(handle.remove)
        network.engine = Engine("reference", engine.device)
        stack.callback(setattr, network, "engine", engine)
        yield scores


def repeat_batch(batch: Batch, times: int) -> Batch:
    """Return the batch with all its samples repeated `times` times, copy after copy."""
    if times == 1:
        return batch
    x = dense(batch.x)
    return Batch(
        x.repeat(1, times, *[1] * (x.ndim - 2)),
        batch.target.repeat(times, *[1] * (batch.target.ndim - 1)),
        batch.lengths.repeat(times),
        batch.position.repeat(times),
    )


def _require_firing_probability(layer: Any) -> None:
    """Raise an `InputError` unless each spike of a layer is drawn with a probability that is known."""
    of_layer, all_at_once = surrogates(layer.neuron), layer.neuron.sees_all_steps
    if of_layer and all(isinstance(surrogate.firing, Chance) for surrogate in of_layer) and not all_at_once:
        return
    # A firing can be replaced by firing=escape; a neuron or surrogate with its own way to fire cannot.
    replaceable = not all_at_once and all(
        surrogate.firing is not None
        or (surrogate.output == "binary" and not surrogate.stochastic and type(surrogate).fire is Surrogate.fire)
        for surrogate in of_layer
    )
    raise InputError(
        f"rule=reinforce: layer '{layer.name}' does not draw each spike with a probability of its potential; "
        f"use {'firing=escape' if replaceable else 'rule=bptt'}"
    )
