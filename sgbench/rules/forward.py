"""A pass forward in time, a window of steps at a time, whose memory does not grow with the number of steps.

Each layer goes through a window by itself; a rule turns the slopes of the window's losses into learning signals
of each layer's spikes, and traces carry what came before.

Legend: n steps of a window, B batch, N neurons, C outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
from sgbench.rules.eligibility import Filtered, add_gradient, traces_of, why_not_shared
from sgbench.signals.spikes import Signal, SparseSpikes
from sgbench.signals.trajectory import Batch, Trajectory

WINDOW = 50
"""Steps after which every synapse is touched, where weights move once a sequence."""
CONVOLVED_WINDOW = 10
"""The same where weights are shared: a convolution touches them in every step, so long windows spare nothing."""
FORMS = ("online", "unrolled")
UPDATES = ("per_sequence", "per_step")
READOUT = "neuron@readout=leaky_readout"


def form_and_update(form: str, update: str) -> tuple[str, str]:
    """Check in which form a rule computes and when weights move.

    Raises:
        InputError: an unknown one, or weights that move in every step of a pass over the whole sequence.
    """
    require_choice("rule.update", update, UPDATES)
    if (require_choice("rule.form", form, FORMS), update) == ("unrolled", "per_step"):
        raise InputError(
            "rule.form=unrolled: weights move once a sequence; use rule.update=per_sequence or rule.form=online"
        )
    return form, update


class Span(NamedTuple):
    """Holds the states and outputs of all layers in a window of time steps."""

    first: int  # its first step
    hidden: list[TimeWindow]  # with the Jacobians of their neurons
    readout: TimeWindow


class Forward:
    """Runs a pass forward in time, with the states of all layers.

    It does not go on after the longest sample, where an update would have no gradient.
    """

    def __init__(self, network: Network, batch: Batch) -> None:
        self.network, self.batch = network, batch
        self.states: list[Any] = [None] * len(network.layers)
        self.output = network.readout.weight.new_zeros(())

    def spans(self, size: int = WINDOW, *, readout: bool = False) -> Iterator[Span]:
        """Run so many steps at a time.

        Args:
            size: steps of a window.
            readout: whether the Jacobians of the readout's units are wanted too.
        """
        steps = int(self.batch.lengths.max())
        layers = [*self.network.hidden_layers, self.network.readout]
        for first in range(0, steps, size):
            signal: Signal = part(self.batch.x, first, min(first + size, steps))
            windows = []
            for index, layer in enumerate(layers):
                wanted = readout or layer is not self.network.readout
                windows.append(walk(layer, signal, self.states[index], jacobians=wanted))
                self.states[index] = windows[-1].state
                signal = windows[-1].output
            self.output = windows[-1].output
            yield Span(first, windows[:-1], windows[-1])

    def trajectory(self) -> Trajectory:
        """Return a trajectory of the final states, for the check that all is finite."""
        return Trajectory(self.output[-1:], self.batch.lengths, (), (), tuple(self.states))


def part(signal: Signal, first: int, last: int) -> Signal:
    """Select steps [first, last) of a signal."""
    return signal.window(first, last) if isinstance(signal, SparseSpikes) else signal[first:last]


@torch.enable_grad()
def step_slopes(loss: Loss, output: Tensor, batch: Batch, first: int) -> tuple[Tensor, Tensor]:
    """Compute a window's share in a loss that remembers nothing, and its slopes by the outputs [n, B, C].

    Args:
        loss: that splits into steps.
        output: of the window [n, B, C].
        batch: of which targets and lengths are used.
        first: the window's first step; those before the first of the loss have no share.
    """
    leaf = output.detach().requires_grad_()
    total = leaf.new_zeros(())
    for step, now in enumerate(leaf.unbind(0)):
        if first + step >= 0:
            share, _ = loss.per_step(now, batch, first + step, None)
            total = total + share
    if not total.requires_grad:
        return total.detach(), torch.zeros_like(leaf)
    (slopes,) = torch.autograd.grad(total, leaf)
    return total.detach(), slopes


def learning_signals(network: Network, span: Span, slopes: Tensor) -> list[Tensor]:
    """Propagate the slopes of outputs [n, B, C] to each hidden layer's spikes [n, B, N] within their step.

    Args:
        network: whose readout is leaky and takes each current as it comes.
        span: of it.
        slopes: of the outputs.
    """
    errors = [slopes @ network.readout.acting()[0]]
    for layer, window in zip(network.hidden_layers[:0:-1], span.hidden[:0:-1], strict=True):
        errors.append((errors[-1] * slope_of(window)) @ layer.acting()[0])
    return errors[::-1]


def slope_of(window: TimeWindow) -> Tensor:
    """Compute the derivative of each spike by the current of its own step [n, B, N]."""
    spike = window.before._fields.index("s")
    slope = window.local.by_current[spike]  # type: ignore[union-attr]
    return torch.zeros_like(window.output) if slope is None else slope


class ReadoutTraces:
    """Computes gradients of a leaky readout's weights, from spikes filtered as its units do."""

    def __init__(self, network: Network) -> None:
        self.readout = network.readout
        kappa = decay_of(network)
        self.filtered, self.ones = Filtered(kappa), Filtered(kappa)

    def advance(self, arriving: Tensor, slopes: Tensor) -> None:
        """Add a window's share to the gradients of the readout's weights.

        Args:
            arriving: spikes of the last hidden layer [n, B, N].
            slopes: of the outputs [n, B, C].
        """
        if not self.readout.weight.requires_grad:
            return
        heard = self.readout.arriving(arriving)
        add_gradient(self.readout.weight, self.filtered.advance(heard, slopes))
        if self.readout.bias is not None:
            one = slopes.new_ones(*slopes.shape[:2], 1)
            add_gradient(self.readout.bias, self.ones.advance(one, slopes)[:, 0])


def decay_of(network: Network) -> Any:
    """Return the decay of a leaky readout."""
    return network.readout.neuron.beta()  # type: ignore[operator]


class TraceCost(NamedTuple):
    """Counts what a pass forward holds of one sample, and what its traces multiply in a step."""

    numbers: float
    products: float  # beside one a synapse


def traced_forward(
    network: Network,
    sizes: Sizes,
    *,
    window: int = WINDOW,
    filters: int = 1,
    readout: bool = False,
    kappa: float | Tensor = 1.0,
) -> TraceCost:
    """Count one window of steps, and the traces of hidden synapses.

    Args:
        network: of the run.
        sizes: of it.
        window: steps that are taken at once.
        filters: after the spikes, each of which has traces of its own.
        readout: whether the readout's synapses have traces as hidden ones do.
        kappa: decay of the filters; with 0 no trace is kept of spikes.
    """
    traced = [*network.hidden_layers, *([network.readout] if readout else [])]
    window = min(window, sizes.steps)
    later = (math.ceil(sizes.steps / window) - 1) / sizes.steps  # windows that begin with traces
    held, products = float(window * sizes.states), float(sizes.readout.biases)
    for layer, size in zip(traced, sizes.layers, strict=False):
        shared, own = traces_of(layer, kappa)
        arriving = size.synapses + size.neurons  # a bias counts as a synapse
        traces = own * arriving + shared * _signals(layer, arriving / size.neurons)
        held += filters * traces + size.neurons
        products += filters * (traces + later * (own + shared) * arriving)
        products += size.neurons + (filters - 1) * arriving
    return TraceCost(held, products)


def _signals(layer: Layer, per_neuron: float) -> float:
    """Count the signals that arrive at a layer, the bias's among them."""
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
    """Refuse networks and objectives for which no pass forward in time is defined.

    Args:
        rule: its name.
        network: of the run.
        objective: of the run.
        instead: overrides that accept what is refused here.
        penalised: whether the rule knows penalties on spikes filtered as the readout does.
        convolved: whether it supports weights shared by many positions, and a pooled input of the readout.

    Raises:
        InputError: layers whose synapses have no traces, that send gradient over recurrent spikes or go not step
            by step, neurons that learn or take several currents, another readout than a leaky one, a loss without
            shares of steps, or a penalty.
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


def _check_penalty(
    rule: str, network: Network, regulariser: Regulariser, instead: str, penalised: bool
) -> None:
    """Refuse a penalty, unless the rule's own traces are filtered as it is."""
    if isinstance(regulariser, NoPenalty):
        return
    decay = regulariser.decay
    if decay is None or not penalised:
        other = ", regulariser=filtered_rate" if penalised else ""
        raise InputError(
            f"rule={rule}: knows no penalty on activity of this kind; use regulariser=none{other} or {instead}"
        )
    kappa = decay_of(network)
    if not math.isclose(decay, kappa, rel_tol=1e-9):
        remedy = f"readout.beta={decay!r}"
        raise InputError(
            f"rule={rule}: traces are filtered by the readout's decay {kappa:g}, the penalty by {decay:g}; use "
            f"{remedy} or {instead}"
        )


def _check_convolutions(rule: str, network: Network, instead: str) -> None:
    """Refuse convolutions after which traces differ by position."""
    for layer in network.hidden_layers:
        if isinstance(layer, ConvLayer):
            why = why_not_shared(layer, decay_of(network))
            if why is not None:
                raise InputError(f"rule={rule}: layer '{layer.name}' {why[0]}; use {why[1]} or {instead}")


def check_layers(rule: str, network: Network, instead: str, *, convolved: bool = False) -> None:
    """Refuse hidden layers whose synapses have no traces, and neurons in them that learn.

    Args:
        rule: name in messages.
        network: what is checked.
        instead: overrides that accept what is refused here, for messages.
        convolved: whether convolutional layers are accepted beside dense ones.

    Raises:
        InputError: a network that needs all steps at once, a layer of another kind, or neurons that learn or take
            several currents.
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
    """Refuse a layer whose neurons learn.

    Raises:
        InputError: they learn.
    """
    learnt, remedy = learnt_by(group, layer.neuron)
    if learnt:
        raise InputError(
            f"rule={rule}: trains weights only, but layer {layer.name} learns {learnt}; use {remedy} or {instead}"
        )


def check_units(rule: str, network: Network, instead: str) -> None:
    """Refuse a readout that is no leaky one with a single decay, and one that learns."""
    units = network.readout.neuron
    if not isinstance(units, LeakyReadout):
        raise InputError(f"rule={rule}: needs a leaky readout; use {READOUT} or {instead}")
    refuse_learnt(rule, "readout", network.readout, instead)
    if units.input_gain.kind != "one" or units.beta.spread is not None:
        raise InputError(
            f"rule={rule}: needs one decay and no gain in the readout; use readout.input_gain=one and a single "
            f"readout.beta"
        )
