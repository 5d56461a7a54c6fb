"""Passes forward in time, window by window, whose memory does not grow with the number of steps.

Each layer runs through a window of steps. A rule converts the derivatives of the window's loss into learning
signals for each layer's spikes; eligibility traces carry the influence of earlier windows.

Legend: n steps of a window, B batch, N neurons, C outputs.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal, SparseSpikes
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.errors import InputError, require_choice
from sgbench.losses.base import Loss
from sgbench.networks.base import DenseLayer, Network
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.walk import TimeWindow, walk
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.base import Regulariser
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective, learnt_by
from sgbench.rules.demand import Sizes
from sgbench.rules.eligibility import SpikeFilter, add_gradient, traces_per_synapse, why_traces_differ

WINDOW = 50
"""Steps in a window, after which all traces are updated, if weights are updated once a sequence."""
CONVOLVED_WINDOW = 10
"""Steps in a window for convolutions, whose weights are accessed in every step anyway."""
FORMS = ("online", "unrolled")
UPDATES = ("per_sequence", "per_step")
READOUT = "neuron@readout=leaky_readout"


def form_and_update(form: str, update: str) -> tuple[str, str]:
    """Check a rule's form and when it updates weights, and return both."""
    require_choice("rule.update", update, UPDATES)
    require_choice("rule.form", form, FORMS)
    if (form, update) == ("unrolled", "per_step"):
        raise InputError(
            "rule.form=unrolled: weights move once a sequence; use rule.update=per_sequence or rule.form=online"
        )
    return form, update


class Span(NamedTuple):
    """Holds the states and outputs of all layers in a window of time steps."""

    first: int  # index of the window's first step
    hidden: list[TimeWindow]  # of each hidden layer, with the Jacobians of its neurons
    readout: TimeWindow


class Forward:
    """Runs a network forward in time, window by window, and keeps the states of all layers.

    It stops at the end of the longest sample. `network`: a chain of layers that can run step by step; `batch`: input,
    lengths and targets.
    """

    def __init__(self, network: Network, batch: Batch) -> None:
        self.network, self.batch = network, batch
        self.states: list[Any] = [None] * len(network.layers)
        self.output = network.readout.weight.new_zeros(())

    def spans(self, size: int = WINDOW, *, readout: bool = False) -> Iterator[Span]:
        """Run the network window by window, and yield after each.

        `size`: number of steps in a window; `readout`: whether to compute the Jacobians of the readout's units too.
        """
        steps = int(self.batch.lengths.max())
        layers = [*self.network.hidden_layers, self.network.readout]
        for first in range(0, steps, size):
            x, last = self.batch.x, min(first + size, steps)
            signal: Signal = x.window(first, last) if isinstance(x, SparseSpikes) else x[first:last]
            windows = []
            for index, layer in enumerate(layers):
                jacobians = readout or layer is not self.network.readout
                windows.append(walk(layer, signal, self.states[index], jacobians=jacobians))
                self.states[index] = windows[-1].state
                signal = windows[-1].output
            self.output = windows[-1].output
            yield Span(first, windows[:-1], windows[-1])

    def trajectory(self) -> Trajectory:
        """Return a trajectory of the last step alone: its output and states, to check that they are finite."""
        return Trajectory(self.output[-1:], self.batch.lengths, (), (), tuple(self.states))


@torch.enable_grad()
def step_slopes(loss: Loss, output: Tensor, batch: Batch, first: int) -> tuple[Tensor, Tensor]:
    """Compute the loss of a window's steps, a scalar, and its derivatives by the outputs [n, B, C].

    `loss`: a loss that is a sum over steps and has no state; `output`: outputs of the window [n, B, C]; `batch`: gives
    targets and lengths.
    """
    leaf = output.detach().requires_grad_()
    total = leaf.new_zeros(())
    for index, step in enumerate(leaf.unbind(0), start=first):
        if index >= 0:
            step_loss, _ = loss.per_step(step, batch, index, None)
            total = total + step_loss
    if not total.requires_grad:
        return total.detach(), torch.zeros_like(leaf)
    (slopes,) = torch.autograd.grad(total, leaf)
    return total.detach(), slopes


def learning_signals(network: Network, span: Span, slopes: Tensor) -> list[Tensor]:
    """Propagate derivatives of the loss back to each hidden layer's spikes [n, B, N], within each step only.

    `network`: a network with a leaky readout of gain 1; `span`: states and outputs of its layers in a window; `slopes`:
    derivatives of the loss by the outputs [n, B, C].
    """
    errors = [slopes @ network.readout.weights_in_use()[0]]
    for layer, window in zip(network.hidden_layers[:0:-1], span.hidden[:0:-1], strict=True):
        errors.append((errors[-1] * spike_slopes(window)) @ layer.weights_in_use()[0])
    return errors[::-1]


def spike_slopes(window: TimeWindow) -> Tensor:
    """Return the derivative of each spike in a window by the current of the same step [n, B, N]."""
    spike = window.before._fields.index("s")
    slope = window.local.by_current[spike]  # type: ignore[union-attr]
    return torch.zeros_like(window.output) if slope is None else slope


class ReadoutTraces:
    """Computes gradients of a leaky readout's weights and bias, from its input filtered by its decay."""

    def __init__(self, network: Network) -> None:
        self.readout = network.readout
        kappa = readout_decay(network)
        self.filtered_input, self.filtered_ones = SpikeFilter(kappa), SpikeFilter(kappa)

    def advance(self, arriving: Tensor, slopes: Tensor) -> None:
        """Add the gradients of a window's steps to the `.grad` of the readout's weights and bias.

        `arriving`: spikes of the last hidden layer [n, B, N]; `slopes`: derivatives of the loss by the outputs [n, B,
        C].
        """
        if not self.readout.weight.requires_grad:
            return
        inputs = self.readout.arriving(arriving)
        add_gradient(self.readout.weight, self.filtered_input.advance(inputs, slopes))
        if self.readout.bias is not None:
            ones = slopes.new_ones(*slopes.shape[:2], 1)
            add_gradient(self.readout.bias, self.filtered_ones.advance(ones, slopes)[:, 0])


def readout_decay(network: Network) -> Any:
    """Return the decay per step of a network's leaky readout, a number or a scalar tensor."""
    return network.readout.neuron.beta()  # type: ignore[operator]


class TraceCost(NamedTuple):
    """Counts the memory and the products of learning forward in time, for one sample."""

    numbers: float  # states of a window, and traces
    products: float  # per step, beside one per synapse


def count_traces(
    network: Network,
    sizes: Sizes,
    *,
    window: int = WINDOW,
    filters: int = 1,
    readout: bool = False,
    kappa: float | Tensor = 1.0,
) -> TraceCost:
    """Count the stored states of one window and the traces of synapses, and the products that they take.

    `network`: the network of the run. `sizes`: its numbers of neurons, synapses and steps. `window`: number of steps in
    a window. `filters`: number of filters of the spikes, each of which has its own traces. `readout`: whether the
    readout's synapses have traces too. `kappa`: decay of the filters; with 0 no trace of filtered spikes is stored.
    """
    layers = [*network.hidden_layers, *([network.readout] if readout else [])]
    window = min(window, sizes.steps)
    later_windows = (math.ceil(sizes.steps / window) - 1) / sizes.steps  # per step; the first has no old traces
    stored, products = float(window * sizes.states), float(sizes.readout.biases)
    for layer, size in zip(layers, sizes.layers, strict=False):
        per_signal, per_synapse = traces_per_synapse(layer, kappa)
        synapses = size.synapses + size.neurons  # a bias counts as a synapse
        traces = per_synapse * synapses + per_signal * _count_signals(layer, synapses / size.neurons)
        stored += filters * traces + size.neurons
        products += filters * (traces + later_windows * (per_synapse + per_signal) * synapses)
        products += size.neurons + (filters - 1) * synapses
    return TraceCost(numbers=stored, products=products)


def _count_signals(layer: Layer, per_neuron: float) -> float:
    """Count a layer's presynaptic signals, the bias included; `per_neuron` is the number of synapses of a neuron."""
    if not isinstance(layer, ConvLayer):
        return per_neuron
    within = layer.neurons if layer.recurrence == "convolution" else 0
    return math.prod(layer.image_in) + 1 + within


def check_forward(
    rule: str,
    network: Network,
    objective: Objective,
    *,
    instead: str = "rule.form=unrolled",
    penalised: bool = False,
    convolved: bool = False,
) -> None:
    """Check that a rule can learn forward in time.

    `rule`: name of the rule, for messages. `network`: the network of the run. `objective`: the objective of the run.
    `instead`: overrides to suggest as a remedy, such as "rule.form=unrolled". `penalised`: whether the rule allows
    penalties on spikes filtered by the readout's decay. `convolved`: whether the rule allows convolutions, and a pooled
    input of the readout.
    """
    check_layers(rule, network, instead, convolved=convolved)
    if any(layer.recurrent is not None and not layer.cut for layer in network.hidden_layers):
        raise InputError(
            f"rule={rule}: forward in time nothing goes back over recurrent spikes; use "
            f"network.recurrence_gradient=cut or {instead}"
        )
    if not objective.loss.online or objective.loss.remembers:
        readout = "" if isinstance(network.readout.neuron, LeakyReadout) else f" and {READOUT}"
        classes = "class" in objective.loss.targets
        remedy = f"loss=per_step{readout} or {instead}" if classes else instead
        raise InputError(f"rule={rule}: needs a loss in every step; use {remedy}")
    check_units(rule, network, instead)
    if convolved:
        _check_convolutions(rule, network, instead)
    _check_penalty(rule, network, objective.regulariser, instead, penalised)


def _check_penalty(rule: str, network: Network, regulariser: Regulariser, instead: str, penalised: bool) -> None:
    """Raise an `InputError` for a penalty, unless the rule allows it and it has the readout's decay."""
    if isinstance(regulariser, NoPenalty):
        return
    decay = regulariser.decay
    if decay is None or not penalised:
        other = ", regulariser=filtered_rate" if penalised else ""
        raise InputError(
            f"rule={rule}: knows no penalty on activity of this kind; use regulariser=none{other} or {instead}"
        )
    kappa = readout_decay(network)
    if not math.isclose(decay, kappa, rel_tol=1e-9):
        remedy = f"readout.beta={decay!r}"
        raise InputError(
            f"rule={rule}: traces are filtered by the readout's decay {kappa:g}, the penalty by {decay:g}; use "
            f"{remedy} or {instead}"
        )


def _check_convolutions(rule: str, network: Network, instead: str) -> None:
    """Raise an `InputError` for a convolution whose traces differ by position."""
    for layer in network.hidden_layers:
        if isinstance(layer, ConvLayer):
            difference = why_traces_differ(layer, readout_decay(network))
            if difference is not None:
                reason, remedy = difference
                raise InputError(f"rule={rule}: layer '{layer.name}' {reason}; use {remedy} or {instead}")


def check_layers(rule: str, network: Network, instead: str, *, convolved: bool = False) -> None:
    """Check that all hidden layers can learn by eligibility traces.

    `rule`: name of the rule, for messages. `network`: the network of the run. `instead`: overrides to suggest as a
    remedy. `convolved`: whether convolutional layers are allowed beside dense ones.
    """
    if network.needs_all_steps is not None:
        raise InputError(f"rule={rule}: goes step by step, but {network.needs_all_steps}; use rule=bptt")
    for layer in network.hidden_layers:
        neuron = layer.neuron
        if not isinstance(layer, (DenseLayer, ConvLayer) if convolved else DenseLayer):
            raise InputError(
                f"rule={rule}: layer '{layer.name}' is not dense; use network=mlp, or {instead}"
                f"{' and rule.feedback=random' if rule == 'eprop' else ''}"
            )
        if neuron.currents > 1 or type(neuron).driven is not Neuron.driven:
            raise InputError(
                f"rule={rule}: every synapse moves the one current of its neuron, but {type(neuron).__name__} "
                f"takes several; use {instead}"
            )
        refuse_learnt(rule, "neuron", layer, instead)


def refuse_learnt(rule: str, group: str, layer: Any, instead: str) -> None:
    """Raise an `InputError` for a layer whose neurons have learnt parameters.

    `rule`: name of the rule, for the message; `group`: configuration group of the neurons, "neuron" or "readout";
    `instead`: overrides to suggest as a remedy.
    """
    learnt, remedy = learnt_by(group, layer.neuron)
    if learnt:
        raise InputError(
            f"rule={rule}: trains weights only, but layer {layer.name} learns {learnt}; use {remedy} or {instead}"
        )


def check_units(rule: str, network: Network, instead: str) -> None:
    """Raise an `InputError` unless the readout is leaky, with one fixed decay and an input gain of 1."""
    units = network.readout.neuron
    if not isinstance(units, LeakyReadout):
        raise InputError(f"rule={rule}: needs a leaky readout; use {READOUT} or {instead}")
    refuse_learnt(rule, "readout", network.readout, instead)
    if units.input_gain.kind != "one" or units.beta.spread is not None:
        raise InputError(
            f"rule={rule}: needs one decay and no gain in the readout; use readout.input_gain=one and a single "
            f"readout.beta"
        )
