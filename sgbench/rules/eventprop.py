r"""EventProp on a grid of time steps: gradients of spike times, without a surrogate.

Legend: T steps, B batch, N neurons, C outputs, K inputs.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch, Trajectory, valid_steps
from sgbench.errors import InputError
from sgbench.losses.base import Loss
from sgbench.networks.base import Chain, Network
from sgbench.networks.layers import DenseLayer
from sgbench.networks.walk import walk
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress, learnt_by
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.eligibility import add_gradient

OVERRIDES = ("neuron=synaptic", "neuron@readout=synaptic_readout", "network.recurrence=all_to_all")
SLOWEST = 1e-6
"""Lower bound of a potential's rise per step at a spike [thresholds]; it is a divisor."""


class Eventprop(LearningRule):
    r"""Computes EventProp in time steps, for current-based neurons: gradients by the times of spikes.

    With p and q the derivatives of the loss by the potential u and the current i after a step, and :math:`S_n[t]`
    that by a spike of neuron n in step t, through later layers, recurrence and a loss on spikes,

    .. math::
        p_n[t] &= e_n[t] + \beta p_n[t+1] \quad \text{where it does not fire} \\
        p_n[t] &= \frac{1}{\dot u^-} \Big[ \dot u^+ \beta p_n[t+1] - (S_n[t+1] - S_n[t]) -
        \frac{\partial L}{\partial t_n} \Big] \quad \text{where it fires} \\
        q_n[t] &= g \, p_n[t] + \alpha q_n[t+1], \qquad
        \dot u^- = -\ln\beta \Big(\frac{g \, i[t]}{1 - \beta} - \theta\Big), \;
        \dot u^+ = \dot u^- - \theta \ln\beta

    with alpha, beta, g and theta of `Synaptic`, t_n the time of a spike, and e the derivative of the loss by the
    readout's potential, 0 in hidden layers. The gradient of a weight is q times its presynaptic spikes. Spikes lie
    on the grid, so the gradient is that of the network in continuous time, up to an error that shrinks with the
    step (tested). A silent neuron learns nothing.

    It is defined for dense chains of `synaptic` neurons with a reset, and the readout `synaptic_readout`, or
    `synaptic` with a loss on first spikes.

    Source: Wunderlich & Pehle 2021, Scientific Reports 11:12829 (equations 5 to 10); in time steps as in Nowotny,
    Turner & Knight, arXiv:2212.01232 (genn_eventprop).
    """

    exact_reference: ClassVar[Claim] = Claim("event_adjoint", OVERRIDES)
    must_differ_from: ClassVar[Claim] = Claim("bptt", OVERRIDES, weights="hidden")
    requires: ClassVar[tuple[str, ...]] = ("neuron=synaptic", "firing=step")

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for other networks, neurons and losses than those that the rule is defined for."""
        if not network.spiking:
            raise InputError("rule=eventprop: follows spikes step by step, and the network has none; use rule=bptt")
        if type(network).unroll is not Chain.unroll or not all(type(part) is DenseLayer for part in network.layers):
            raise InputError(
                f"rule=eventprop: knows dense layers in a chain, {type(network).__name__} has others; "
                f"use network=mlp or rule=bptt"
            )
        for layer in network.hidden_layers:
            _check_neurons(layer)
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError("rule=eventprop: knows no penalty on activity; use regulariser=none")
        shaped = (part for layer in network.layers for part in (layer.normaliser, layer.dropout))  # type: ignore[union-attr]
        if any(part is not None for part in shaped):
            raise InputError(
                "rule=eventprop: currents are those of weights alone; use normalisation=none and dropout=none"
            )
        _check_readout(network.readout, objective.loss)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of all steps, and errors over the same synapses as in back-propagation."""
        return Demand(
            numbers=sizes.steps * sizes.states,
            weight_products=sizes.synapses,
            error_products=sizes.between + sizes.crossed_within,
            needs=("errors_of_others", "weights_of_others", "future"),
        )

    @torch.no_grad()
    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Run the layers forward, then solve the adjoint equations backward, the readout first; yield once."""
        chain: list[DenseLayer] = [*network.hidden_layers, network.readout]
        inside = valid_steps(batch.lengths, batch.x.shape[0])[..., None]
        signal, passes = dense(batch.x), []
        for layer in chain:
            passes.append(_forward(layer, signal))
            signal = passes[-1].output
        trajectory = Trajectory(
            output=passes[-1].output,
            lengths=batch.lengths,
            spikes=tuple(layer_pass.output for layer_pass in passes if layer_pass.fires),
            u=(),
            state=tuple(layer_pass.state for layer_pass in passes),
        )
        loss, by_output, by_time = _loss_slopes(trajectory, batch, objective.loss, fires=passes[-1].fires)
        by_spike = torch.zeros_like(passes[-1].output)
        for layer_pass in reversed(passes):
            # The derivatives of the loss enter at the readout only, by its outputs or its spike times; a layer
            # before it gets `by_spike` from the next layer.
            by_spike = layer_pass.backward(by_spike, by_output if layer_pass is passes[-1] else None, by_time, inside)
            by_time = None
        yield Progress(loss, trajectory)


class _Pass(NamedTuple):
    """Holds a layer's forward pass, without autograd graph; of some fields only if the layer `fires`."""

    layer: DenseLayer
    arrived: Tensor  # input [T, B, K]
    output: Tensor  # spikes or potentials [T, B, N]
    before: Tensor  # if it fires: spikes of the step before [T, B, N]
    rate: Tensor  # if it fires: rise of the potential per step, at threshold before a reset [T, B, N]
    state: Any  # after the last step
    fires: bool  # whether its neurons spike

    def backward(self, by_spike: Tensor, by_potential: Tensor | None, by_time: Tensor | None, inside: Tensor) -> Tensor:
        """Add to the `.grad` of the layer's weights; return the derivative of the loss by its input [T, B, K].

        `by_spike`: derivative of the loss by the amplitude of a spike in each step [T, B, N]. `by_potential`:
        derivative by the potential of a readout [T, B, N]; None for other layers. `by_time`: derivative by the step of
        each first spike [B, N]; None if the loss does not use it. `inside`: whether a step is within the sample
        [T, B, 1]. The names p, q and S (here `slope`; `later` is S[t + 1]) are those of `Eventprop`.
        """
        spec: Any = self.layer.neuron.recurrence_spec()
        alpha, beta, gain = (float(coefficient) for coefficient in (spec.second_decay, spec.decay, spec.coupling))
        theta, leak = float(spec.threshold) if self.fires else 0.0, -math.log(beta)
        # 1 in the step of each neuron's first spike, else 0.
        first = self.output * (self.output.cumsum(0) == 1) if by_time is not None else None
        p = q = torch.zeros_like(self.output[0])
        later, adjoints = torch.zeros_like(p), torch.empty_like(self.output)
        for step in range(len(self.output) - 1, -1, -1):
            slope = by_spike[step]
            if self.layer.recurrent is not None:
                slope = slope + self._recurrent_adjoint(q)
            carried = beta * p
            if self.fires:
                fired, rate = self.output[step] > 0, self.rate[step]
                delayed = later - slope
                if first is not None:
                    delayed = delayed + by_time * first[step]  # type: ignore[operator]
                jump = ((rate + leak * theta) * carried - delayed) / rate
                carried = torch.where(fired, jump, carried)
            p = carried if by_potential is None else carried + by_potential[step]
            p, later = p * inside[step], slope * inside[step]
            q = (gain * p + alpha * q) * inside[step]
            adjoints[step] = q
        return self._add_gradients(adjoints)

    def _recurrent_adjoint(self, q: Tensor) -> Tensor:
        """Return the derivative by a spike through the recurrent weights [B, N], from q of the next step [B, N]."""
        recurrent = self.layer.recurrent
        return q * recurrent if self.layer.recurrence == "one_to_one" else q @ recurrent  # type: ignore[operator]

    def _add_gradients(self, q: Tensor) -> Tensor:
        """Add to the `.grad` of all weights from q [T, B, N]; return the derivative by the input [T, B, K]."""
        layer, flat = self.layer, q.flatten(0, 1)
        add_gradient(layer.weight, flat.T @ self.arrived.flatten(0, 1))
        add_gradient(layer.bias, flat.sum(0))
        if layer.recurrent is not None:
            before = self.before.flatten(0, 1)
            dense_recurrence = layer.recurrence == "all_to_all"
            add_gradient(layer.recurrent, flat.T @ before if dense_recurrence else (flat * before).sum(0))
        return q @ layer.weight


def _forward(layer: DenseLayer, signal: Tensor) -> _Pass:
    """Run a layer step by step on its input signal [T, B, K]."""
    window = walk(layer, signal, None, jacobians=False)
    fires = layer.neuron.output == "binary"
    before = window.before.s if fires else window.output
    rate = window.output
    if fires:
        spec: Any = layer.neuron.recurrence_spec()
        beta, theta = float(spec.decay), float(spec.threshold)
        i = torch.cat([window.before.i[1:], window.state.i[None]])
        rate = -math.log(beta) * (float(spec.coupling) * i / (1 - beta) - theta)
        rate = rate.clamp(min=SLOWEST * theta)
    return _Pass(layer, signal, window.output, before, rate, window.state, fires)


def _loss_slopes(
    trajectory: Trajectory, batch: Batch, loss: Loss, *, fires: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Compute the loss, and its derivative by the outputs [T, B, C] or by the steps of first spikes [B, C].

    The second applies if the readout `fires`, else the first; the other one is None.
    """
    with torch.enable_grad():
        if not fires:
            output = trajectory.output.detach().requires_grad_()
            value = loss.whole(replace(trajectory, output=output), batch.target)
            return value.detach(), torch.autograd.grad(value, output)[0], None
        inside = valid_steps(batch.lengths, len(trajectory.output))[..., None]
        spikes = trajectory.output * inside
        step = spikes.argmax(0).to(spikes.dtype).masked_fill(~spikes.any(0), math.inf)
        times = step.requires_grad_()
        value = loss.whole(replace(trajectory, times=times), batch.target)
        return value.detach(), None, torch.autograd.grad(value, times)[0]


def _check_neurons(layer: DenseLayer) -> None:
    """Raise an `InputError` unless a hidden layer's neurons are current-based ones that `Eventprop` covers."""
    neuron = layer.neuron
    if type(neuron) is not Synaptic:
        raise InputError(
            f"rule=eventprop: spikes of {type(neuron).__name__} neurons have no times that a current moves; "
            f"use neuron=synaptic"
        )
    _check_firing(layer, "neuron")


def _check_firing(layer: DenseLayer, group: str) -> None:
    """Raise an `InputError` for learnt or several parameters, no reset, no leak, or spikes other than 0 and 1."""
    neuron: Any = layer.neuron
    names, remedy = learnt_by(group, neuron)
    if names:
        raise InputError(f"rule=eventprop: trains weights only, but layer {layer.name} learns {names}; use {remedy}")
    if neuron.next_potential.reset == "none":
        raise InputError(f"{group}.reset=none: rule=eventprop follows resets; use {group}.reset=zero")
    if neuron.surrogate.firing is not None:
        raise InputError("rule=eventprop: follows spikes that fire at threshold; use firing=step")
    if neuron.surrogate.output != "binary" or neuron.surrogate.stochastic:
        raise InputError("rule=eventprop: follows spikes of 0 and 1 without chance; use surrogate=atan")
    spec = neuron.recurrence_spec()
    for name, value in (("alpha", spec.second_decay), ("beta", spec.decay), ("threshold", spec.threshold)):
        if torch.as_tensor(value).numel() != 1:
            raise InputError(f"{group}.{name}: rule=eventprop takes one for all neurons; use a single number")
    if not 0 < float(spec.decay) < 1:
        raise InputError(f"{group}.beta={float(spec.decay):g}: rule=eventprop needs a leak; use {group}.beta=0.9")


def _check_readout(readout: DenseLayer, loss: Loss) -> None:
    """Raise an `InputError` unless the readout's potentials, or its first spikes, are what the loss compares."""
    neuron = readout.neuron
    if neuron.output == "real":
        if type(neuron) is not SynapticReadout:
            raise InputError(
                f"rule=eventprop: the potential of a {type(neuron).__name__} jumps with each spike; "
                f"use neuron@readout=synaptic_readout"
            )
        return
    if not loss.on_times:
        times = ", or loss=first_spike and neuron@readout=synaptic" if "class" in loss.targets else ""
        raise InputError(
            f"rule=eventprop: spikes of the readout have a slope by their times alone; use rule=bptt{times}"
        )
    if type(neuron) is not Synaptic:
        raise InputError(
            f"rule=eventprop: spikes of {type(neuron).__name__} neurons have no times that a current moves; "
            f"use neuron@readout=synaptic"
        )
    _check_firing(readout, "readout")
