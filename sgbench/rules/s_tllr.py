"""A rule with traces of both sides of a synapse: spikes before, and surrogate slopes before (S-TLLR)."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.errors import InputError, require_number
from sgbench.networks.base import Network
from sgbench.networks.layers import Layer
from sgbench.networks.walk import TimeWindow
from sgbench.rules.apart import require_chain
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.eligibility import add_gradient
from sgbench.rules.forward import (
    WINDOW,
    Forward,
    ReadoutTraces,
    check_forward,
    learning_signals,
    spike_slopes,
    step_slopes,
)

FORGETFUL = ("loss=per_step", "network.hidden=[6]", "readout.beta=0.0")


class STllr(LearningRule):
    r"""Multiplies errors, sent between layers within a step, by a causal and an anti-causal trace (S-TLLR).

    .. math::
        e_{ij}[t] = \alpha_\mathrm{pre} \, \psi_i[t] \sum_{t' \le t} \lambda_\mathrm{pre}^{t-t'} s_j[t']
            + \alpha_\mathrm{post} \, s_j[t] \sum_{t' < t} \lambda_\mathrm{post}^{t-1-t'} \psi_i[t'], \qquad
        \frac{dL}{dW^l} := \sum_t g^l[t] \, e^l[t]

    for the presynaptic spikes s_j, the slopes psi_i of the surrogate, and the learning signal g of `Ostl`. The
    first term is causal; the second pairs a presynaptic spike with the neuron's earlier slopes, as
    spike-timing-dependent plasticity does, and is no part of any gradient. With alpha_post = 0, alpha_pre = 1 and
    lambda_pre the membrane's decay it is OTTT. Beside a window of states it stores one trace per presynaptic signal
    and one per neuron.

    Args:
        alpha_pre: weight of the causal term.
        alpha_post: weight of the anti-causal term.
        lambda_pre: decay of the presynaptic trace per step [1].
        lambda_post: decay of the trace of slopes per step [1].

    Raises:
        InputError: a decay outside [0, 1], or a network, loss or penalty that online rules are not defined for.

    Source: Apolinario & Roy 2025, Transactions on Machine Learning Research, arXiv:2306.15220, equations 6 to 8.

    >>> import sgbench
    >>> sgbench.create("rule/s_tllr", alpha_post=0.2).alpha_post  # of a run: rule.alpha_post=0.2
    0.2
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", FORGETFUL, weights="readout")
    must_differ_from: ClassVar[Claim] = Claim("bptt", FORGETFUL, weights="hidden")
    requires: ClassVar[tuple[str, ...]] = ("network.recurrence_gradient=cut",)

    def __init__(self, *, alpha_pre: float, alpha_post: float, lambda_pre: float, lambda_post: float) -> None:
        self.alpha_pre = require_number("rule.alpha_pre", alpha_pre)
        self.alpha_post = require_number("rule.alpha_post", alpha_post)
        self.lambda_pre = require_number("rule.lambda_pre", lambda_pre, low=0, high=1)
        self.lambda_post = require_number("rule.lambda_post", lambda_post, low=0, high=1)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        require_chain("s_tllr", network)

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for networks and objectives that cannot learn forward in time."""
        if not network.spiking:
            raise InputError("rule=s_tllr: follows spikes step by step, and the network has none; use rule=bptt")
        check_forward("s_tllr", network, objective, instead="rule=bptt")

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of one window, and one trace per presynaptic signal and per neuron."""
        traces = sum(layer.synapses / layer.neurons + layer.neurons for layer in sizes.hidden)
        return Demand(
            numbers=min(WINDOW, sizes.steps) * sizes.states + traces,
            weight_products=2 * sum(layer.synapses for layer in sizes.hidden) + sizes.readout.synapses,
            error_products=sizes.between,
            needs=("own_trace", "errors_of_others", "weights_of_others"),
        )

    @torch.no_grad()
    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run forward in windows of time, add to the `.grad` of the weights, and yield once per batch."""
        forward, readout = Forward(network, batch), ReadoutTraces(network)
        pairs = [_TracePair(layer, self) for layer in network.hidden_layers]
        total = network.readout.weight.new_zeros(())
        for span in forward.spans():
            loss, slopes = step_slopes(objective.loss, span.readout.output, batch, span.first)
            total += loss
            readout.advance(span.hidden[-1].output, slopes)
            for index, error in enumerate(learning_signals(network, span, slopes)):
                pairs[index].advance(span.hidden[index], error)
        yield Progress(total, forward.trajectory())


class _TracePair:
    """Holds the two traces of one layer: of its presynaptic spikes, and of its surrogate slopes."""

    def __init__(self, layer: Layer, rule: STllr) -> None:
        self.layer, self.rule = layer, rule
        self.spike_trace: Any = 0.0  # [B, K], a number before the first step
        self.slope_trace: Any = 0.0  # [B, N], a number before the first step

    def advance(self, window: TimeWindow, error: Tensor) -> None:
        """Add the gradients of a window's steps to `.grad`, and advance both traces.

        `window`: states of the layer in the window, with Jacobians. `error`: learning signals for the layer's spikes
        [n, B, N].
        """
        rule, slopes = self.rule, spike_slopes(window)
        signals = self._presynaptic(window)
        spike_traces, slope_traces = [], []
        for signal, slope in zip(signals.unbind(0), slopes.unbind(0), strict=True):
            self.spike_trace = rule.lambda_pre * self.spike_trace + signal
            spike_traces.append(self.spike_trace)
            slope_traces.append(self.slope_trace + torch.zeros_like(slope))
            self.slope_trace = rule.lambda_post * self.slope_trace + slope
        causal = (error * slopes).flatten(0, 1).T @ torch.stack(spike_traces).flatten(0, 1)
        anticausal = (error * torch.stack(slope_traces)).flatten(0, 1).T @ signals.flatten(0, 1)
        gradient = rule.alpha_pre * causal + rule.alpha_post * anticausal
        inputs = window.arriving.shape[2]
        add_gradient(self.layer.weight, gradient[:, :inputs])
        add_gradient(self.layer.bias, gradient[:, inputs])
        if self.layer.recurrence == "all_to_all":
            add_gradient(self.layer.recurrent, gradient[:, inputs + 1 :])
        elif self.layer.recurrence == "one_to_one":
            add_gradient(self.layer.recurrent, gradient[:, inputs + 1 :].diagonal())

    def _presynaptic(self, window: TimeWindow) -> Tensor:
        """Return the presynaptic signals of each step [n, B, K]: inputs, 1 for the bias, own last spikes."""
        parts = [window.arriving, window.arriving.new_ones(*window.arriving.shape[:2], 1)]
        if self.layer.recurrence != "none":
            parts.append(window.before.s)
        return torch.cat(parts, 2)
