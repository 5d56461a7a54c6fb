"""The score-function estimate of the gradient of an expected loss, for neurons that fire by chance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, require_choice, require_count
from sgbench.firing.chance import Chance
from sgbench.networks.base import Network, surrogates
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.apart import require_chain
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import Batch, valid_steps
from sgbench.surrogates.base import Surrogate

BASELINES = ("none", "batch", "draws")
BY_CHANCE = ("firing=escape", "loss=per_step", "network.recurrence=all_to_all")


class Reinforce(LearningRule):
    r"""Estimates the gradient of the expected loss from drawn spikes alone, without a surrogate: REINFORCE.

    .. math:: \hat g = \frac{1}{BK} \sum_{b,k} \Big[ (L_{bk} - c_{bk}) \, \nabla_w \sum_{t < T_b, i}
        \log P(s_i[t] \mid u_i[t]) + \nabla_w L_{bk} \Big]

    with the drawn spikes as constants everywhere else: in resets, in recurrence and on their way to later layers.
    Its expectation over draws is the exact gradient of the expected loss (tested by enumeration of all spike
    patterns, to 1e-10). The baseline c is the mean loss of other draws, which are independent of this one and so
    leave the expectation as it is: of all others in the batch, or of the other draws of the same sample. Memory
    grows as that of back-propagation, times K.

    Args:
        draws: K, spike patterns drawn for each sample.
        baseline: "none", "batch" or "draws".

    Raises:
        InputError: a value out of range, or a baseline of draws that are not there.

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
        """Refuse layers that are no chain; no random numbers are drawn."""
        require_chain("reinforce", network)

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse neurons that do not fire by a known probability, and penalties."""
        for layer in network.layers:
            if layer.neuron.output == "binary":  # type: ignore[union-attr]
                _require_firing_probability(layer)
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError(
                "rule=reinforce: learns from the loss of each sample, of which a penalty has no share; "
                "use regulariser=none"
            )

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count every draw of all steps, remembered and run; each neuron's score is its own, times one loss."""
        return Demand(
            numbers=self.draws * sizes.steps * sizes.states,
            weight_products=self.draws * sizes.synapses,
            error_products=(self.draws - 1) * sizes.synapses,  # of the passes beside the first
            needs=("own_trace", "errors_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Estimate the gradients of a batch from drawn spikes and yield once."""
        drawn = repeated(batch, self.draws)
        with scored(network, valid_steps(drawn.lengths, drawn.x.shape[0])) as scores:
            trajectory = network.unroll(drawn.x, drawn.lengths)
        losses = objective.loss.each(trajectory, drawn.target)
        advantage = losses.detach() - self.expected(losses.detach())
        total = (advantage * scores.total() + losses).mean()
        if total.requires_grad:
            total.backward()
        yield Progress(losses.detach().mean(), trajectory)

    def expected(self, losses: Tensor) -> Tensor:
        """Return the baseline of each draw [K B]; losses of one draw lie side by side.

        >>> Reinforce(draws=2, baseline="draws").expected(torch.tensor([1.0, 2.0, 5.0, 6.0]))
        tensor([5., 6., 1., 2.])
        """
        groups = losses.view(self.draws, -1) if self.baseline == "draws" else losses[:, None]
        if self.baseline == "none" or len(groups) == 1:
            return torch.zeros_like(losses)
        return ((groups.sum(0) - groups) / (len(groups) - 1)).flatten()


class SpikeLogProbability:
    """Sums the log-probability of the spikes of a pass, call by call.

    Args:
        inside: steps that count [T, B].
    """

    def __init__(self, inside: Tensor) -> None:
        self.inside = inside
        self.calls: dict[int, list[Tensor]] = {}  # by number of the surrogate, of each call [B]

    def add(self, number: int, log_probability: Tensor) -> None:
        """Record the log-probability [B, ...] of one draw by a surrogate; gated neurons draw more than once."""
        self.calls.setdefault(number, []).append(log_probability.flatten(1).sum(1))

    def total(self) -> Tensor:
        """Sum the log-probabilities over all layers and each sample's own steps [B]."""
        steps, samples = self.inside.shape
        per_surrogate = [torch.stack(calls).view(steps, -1, samples).sum(1) for calls in self.calls.values()]
        return sum(of_calls.masked_fill(~self.inside, 0.0).sum(0) for of_calls in per_surrogate)  # type: ignore[return-value]


@contextmanager
def scored(network: Network, inside: Tensor) -> Iterator[SpikeLogProbability]:
    """Run a network step by step, its drawn spikes as constants, and gather how likely they are.

    Args:
        network: whose neurons fire by chance.
        inside: steps that count, of the samples that are about to run [T, B].
    """
    scores = SpikeLogProbability(inside)

    def note_spikes(number: int, surrogate: Surrogate, arguments: tuple[Tensor], spikes: Tensor) -> Tensor:
        given, firing = spikes.detach(), surrogate.firing
        if isinstance(firing, Chance):
            scores.add(number, firing.log_probability(given, arguments[0], surrogate))
        return given

    engine = network.engine
    with ExitStack() as stack:
        for number, surrogate in enumerate(surrogates(network)):
            handle: Any = surrogate.register_forward_hook(partial(note_spikes, number))
            stack.callback(handle.remove)
        network.engine = Engine("reference", engine.device)
        stack.callback(setattr, network, "engine", engine)
        yield scores


def repeated(batch: Batch, times: int) -> Batch:
    """Repeat the whole batch so many times."""
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
    """Refuse a layer whose spikes are not drawn from one firing probability, step by step."""
    drawn_by, whole = surrogates(layer.neuron), layer.neuron.sees_all_steps
    if drawn_by and all(isinstance(surrogate.firing, Chance) for surrogate in drawn_by) and not whole:
        return
    # Another firing can give way; a neuron or a surrogate that decides how it fires cannot.
    could = not whole and all(
        surrogate.firing is not None
        or (
            surrogate.output == "binary"
            and not surrogate.stochastic
            and type(surrogate).fire is Surrogate.fire
        )
        for surrogate in drawn_by
    )
    raise InputError(
        f"rule=reinforce: layer '{layer.name}' does not draw each spike with a probability of its potential; "
        f"use {'firing=escape' if could else 'rule=bptt'}"
    )
