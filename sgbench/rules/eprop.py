"""Eligibility propagation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sgbench.engine.matmul import multiply
from sgbench.errors import InputError, require_choice
from sgbench.networks.base import DenseLayer, Network
from sgbench.networks.walk import Stretch, walk
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.apart import Feedback, fixed_feedback, require_chain, run_apart
from sgbench.rules.base import Claim, LearningRule, Objective, Progress, learnt_by
from sgbench.rules.demand import Demand, Sizes, needs
from sgbench.rules.eligibility import Eligibility, Filtered, add_gradient, traces_of
from sgbench.signals.spikes import Events, Signal
from sgbench.signals.trajectory import Batch, Trajectory

STRETCH = 50
"""Steps after which the online form touches every synapse, where weights move once a sequence."""
FEEDBACKS = ("symmetric", "random", "adaptive")
FORMS = ("online", "unrolled")
UPDATES = ("per_sequence", "per_step")
READOUT = "neuron@readout=leaky_readout"
RECURRENT = (
    "loss=per_step",
    "network.hidden=[6]",
    "network.recurrence=all_to_all",
    "network.recurrence_gradient=cut",
)
FULL = (*RECURRENT[:-1], "network.recurrence_gradient=full")


class EProp(LearningRule):
    r"""Eligibility propagation: what each synapse did to its own neuron, times what reaches that neuron.

    Forward in time, each synapse carries how it moved its neuron's state z through the neuron alone:

    .. math::
        \epsilon_{ij}[t] &= \frac{\partial z_i[t]}{\partial z_i[t-1]} \epsilon_{ij}[t-1]
            + \frac{\partial z_i[t]}{\partial I_i[t]} \mathrm{pre}_j[t] \
        e_{ij}[t] &= \partial s_i[t] / \partial W_{ij} \text{ along these paths}, \quad
            \bar e[t] = \kappa \bar e[t-1] + e[t] \
        \frac{dL}{dW_{ij}} &= \sum_t \bar e_{ij}[t] \sum_k B_{ki} \frac{\partial \ell_t}{\partial y_k[t]}

    The local Jacobians come from the neuron's own `step`, so every elementwise neuron is covered, whatever its
    reset. What is dropped is the path over other neurons: with symmetric feedback the gradient equals that of
    back-propagation with recurrent spikes cut, and differs from the full one in a recurrent net. The feedback is

    - "symmetric": B = O, the readout's weights, which only one hidden layer has;
    - "random": fixed and drawn, from the output straight to each hidden layer;
    - "adaptive": drawn, then moved by the gradient that readout weights of that layer would have. With weight decay
      (`optimizer.weight_decay`) and one hidden layer it comes close to O.

    Two forms compute the same numbers. "online" goes forward step by step. "unrolled" sends the sum over k,
    filtered back in time by the readout, into the spikes of each layer, whose adjoint over its own states does the
    rest on the engine; it takes any loss, penalty, readout and learnt decay, and remembers all steps.

    Args:
        update: "per_sequence", or "per_step" (weights move in every step, so the sum is no longer a gradient).
        feedback: one of the three; None is "symmetric".
        form: one of the two; None is "online".

    Raises:
        InputError: a value out of range, or a network, loss or penalty that the form is not defined for.

    Source: Bellec et al. 2020, Nature Communications 11:3625, equations 3, 4 and 13, and Methods (random and
    adaptive feedback).
    """

    exact_reference: ClassVar[Claim] = Claim("bptt_cut", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt", RECURRENT, weights="hidden")

    def __init__(self, *, update: str, feedback: str | None = None, form: str | None = None) -> None:
        self.update = require_choice("rule.update", update, UPDATES)
        self.feedback = require_choice("rule.feedback", feedback or "symmetric", FEEDBACKS)
        self.form = require_choice("rule.form", form or "online", FORMS)
        if (self.form, self.update) == ("unrolled", "per_step"):
            raise InputError(
                "rule.form=unrolled: weights move once a sequence; use rule.update=per_sequence or rule.form=online"
            )

    def begin(self, network: Network, generator: torch.Generator) -> None:
        """Draw feedback weights where they are not the readout's own."""
        if self.feedback == "symmetric":
            return
        require_chain("eprop", network)
        drawn = fixed_feedback(network, 1.0, generator)
        if self.feedback == "random":
            network.direct_feedback = Feedback(drawn)
        else:
            network.adaptive_feedback = nn.ParameterList(drawn)

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse what the form is not defined for, and a network that disagrees on its recurrence."""
        if not network.spiking:
            raise InputError("rule=eprop: follows spikes, and the network has none; use rule=bptt")
        require_chain("eprop", network)
        layers = network.hidden_layers
        if any(layer.recurrent is not None and not layer.cut for layer in layers):
            raise InputError(
                "rule=eprop: sends nothing back over recurrent spikes; use network.recurrence_gradient=cut"
            )
        if self.feedback == "symmetric":
            if len(layers) != 1:
                raise InputError(
                    f"rule.feedback=symmetric: the readout has weights from the last of {len(layers)} hidden "
                    f"layers alone; use rule.feedback=random and rule.form=unrolled"
                )
            if network.readout.synapses() is None:
                raise InputError(
                    "rule.feedback=symmetric: what reaches the readout is pooled, dropped or delayed on its way; "
                    "use rule.feedback=random and rule.form=unrolled"
                )
        if self.form == "online":
            check_online(network, objective)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Unrolled all steps are remembered, online the traces of synapses and one stretch of steps."""
        error = ("own_trace", "errors_of_others")
        weights = ("weights_of_others",) if self.feedback == "symmetric" else ()
        learnt = sizes.straight if self.feedback == "adaptive" else 0
        numbers, traced = float(sizes.steps * sizes.states), 0.0
        if self.form == "online":
            stretch = min(self._stretch, sizes.steps)
            later = (math.ceil(sizes.steps / stretch) - 1) / sizes.steps  # stretches that begin with traces
            numbers = stretch * sizes.states
            for layer, size in zip(network.hidden_layers, sizes.hidden, strict=True):
                shared, own = traces_of(layer)
                arriving = size.synapses + size.neurons  # a bias counts as a synapse
                numbers += own * arriving + shared * arriving / size.neurons + size.neurons
                traced += size.neurons + own * arriving + shared * arriving / size.neurons
                traced += later * (own + shared) * arriving
            traced += sizes.readout.biases
        return Demand(
            numbers=numbers,
            weight_products=sizes.synapses + learnt + traced,
            error_products=sizes.straight,
            needs=needs(error, weights),  # type: ignore[arg-type]
        )

    @property
    def _stretch(self) -> int:
        """Steps that are taken at once."""
        return 1 if self.update == "per_step" else STRETCH

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """One yield a batch, or one a step."""
        if self.form == "unrolled":
            yield self._unrolled(network, batch, objective)
        else:
            yield from self._online(network, batch, objective)

    def _unrolled(self, network: Network, batch: Batch, objective: Objective) -> Progress:
        apart = run_apart(network, batch, objective.keep)
        slopes = apart.slopes(objective, batch.target)
        delta = apart.of_current(slopes.output)
        apart.learn_readout(slopes)
        for place, weight in enumerate(self._weights(network)):
            apart.learn(place, delta, weight, slopes)
            if self.feedback == "adaptive":
                add_gradient(
                    network.learnt_feedback[place],
                    multiply(delta.flatten(0, 1).T, apart.seen.spikes[place].detach().flatten(0, 1)),
                )
        return Progress(slopes.loss, apart.seen)

    def _weights(self, network: Network) -> list[Tensor]:
        """Feedback weights of each hidden layer [C, N], without gradient."""
        if self.feedback == "symmetric":
            return [network.readout.acting()[0].detach()]
        found = network.direct_feedback if self.feedback == "random" else network.learnt_feedback
        return [each.detach() for each in found]  # type: ignore[union-attr]

    def _online(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Forward in stretches of time; not behind the longest sample, where an update would have no gradient."""
        forward = _Forward(network, batch)
        steps, size = int(batch.lengths.max()), self._stretch
        total = network.readout.weight.new_zeros(())
        for first in range(0, steps, size):
            feedback = self._weights(network)  # which moves where it is learnt, or is the readout's
            share = forward.advance(objective, feedback, first, min(first + size, steps))
            total += share
            if self.update == "per_step":
                yield Progress(share, forward.trajectory())
        if self.update == "per_sequence":
            yield Progress(total, forward.trajectory())


class _Forward:
    """A pass forward in time: the states of all layers and the eligibilities of the hidden ones.

    Args:
        network: a chain with a leaky readout.
        batch: what it runs over.
    """

    def __init__(self, network: Network, batch: Batch) -> None:
        self.network, self.batch = network, batch
        kappa = network.readout.neuron.beta()  # type: ignore[operator]
        self.states: list[Any] = [None] * len(network.layers)
        self.traces = [Eligibility(layer, kappa) for layer in network.hidden_layers]
        self.filtered = [Filtered(kappa) for _ in network.hidden_layers]
        self.ones = Filtered(kappa)
        self.output = network.readout.weight.new_zeros(())

    def advance(self, objective: Objective, feedback: list[Tensor], first: int, last: int) -> Tensor:
        """Run steps [first, last), add to the gradients, and return their share of the loss."""
        signal: Signal = part(self.batch.x, first, last)
        stretches = []
        for place, layer in enumerate([*self.network.hidden_layers, self.network.readout]):
            hidden = place < len(self.traces)
            stretches.append(walk(layer, signal, self.states[place], jacobians=hidden))
            self.states[place] = stretches[-1].state
            signal = stretches[-1].output
        share, slopes = self._loss(objective, stretches[-1].output, first)
        self.output = stretches[-1].output
        with torch.no_grad():
            for place, trace in enumerate(self.traces):
                trace.advance(stretches[place], slopes @ feedback[place])
            self._learn_behind(stretches, slopes)
        return share

    def _loss(self, objective: Objective, output: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """The share of these steps, and its slopes by their outputs [n, B, C]."""
        leaf = output.detach().requires_grad_()
        total = leaf.new_zeros(())
        for place, now in enumerate(leaf.unbind(0)):
            share, _ = objective.loss.per_step(now, self.batch, first + place, None)
            total = total + share
        (slopes,) = torch.autograd.grad(total, leaf)
        return total.detach(), slopes

    def _learn_behind(self, stretches: list[Stretch], slopes: Tensor) -> None:
        """Gradients of the readout, and of feedback that learns as readout weights would."""
        found = [
            filtered.advance(stretch.output, slopes)
            for filtered, stretch in zip(self.filtered, stretches, strict=False)
        ]
        readout, learnt = self.network.readout, self.network.learnt_feedback
        add_gradient(readout.weight, found[-1])
        if readout.bias is not None:
            add_gradient(readout.bias, self.ones.advance(slopes.new_ones(*slopes.shape[:2], 1), slopes)[:, 0])
        for weight, gradient in zip(learnt, found, strict=False):
            add_gradient(weight, gradient)

    def trajectory(self) -> Trajectory:
        """Its final states, for the check that all is finite."""
        return Trajectory(self.output[-1:], self.batch.lengths, (), (), tuple(self.states))


def part(signal: Signal, first: int, last: int) -> Signal:
    """Steps [first, last) of a signal."""
    return signal.window(first, last) if isinstance(signal, Events) else signal[first:last]


def check_online(network: Network, objective: Objective) -> None:
    """Refuse what the form online is not defined for.

    Raises:
        InputError: layers that are not dense or go not step by step, neurons that learn or take several currents,
            another readout than a leaky one, a loss without shares of steps, or a penalty.
    """
    if network.needs_all_steps is not None:
        raise InputError(f"rule=eprop: goes step by step, but {network.needs_all_steps}; use rule=bptt")
    for layer in network.hidden_layers:
        neuron = layer.neuron
        if not isinstance(layer, DenseLayer):
            raise InputError(
                f"rule=eprop: layer '{layer.name}' is not dense; use network=mlp, or rule.form=unrolled and "
                f"rule.feedback=random"
            )
        if neuron.currents > 1 or type(neuron).driven is not Neuron.driven:
            raise InputError(
                f"rule=eprop: every synapse moves the one current of its neuron, but {type(neuron).__name__} takes "
                f"several; use rule.form=unrolled"
            )
    _check_readout(network, objective)
    for group, layer in [("neuron", each) for each in network.hidden_layers] + [("readout", network.readout)]:
        learnt, words = learnt_by(group, layer.neuron)
        if learnt:
            raise InputError(
                f"rule=eprop: trains weights only, but layer {layer.name} learns {learnt}; use {words} or "
                f"rule.form=unrolled"
            )


def _check_readout(network: Network, objective: Objective) -> None:
    """A leaky readout with one decay, a loss that splits into steps, no penalty."""
    units = network.readout.neuron
    if not objective.loss.online or objective.loss.remembers:
        readout = "" if isinstance(units, LeakyReadout) else f" and {READOUT}"
        classes = "class" in objective.loss.targets
        remedy = f"loss=per_step{readout} or rule.form=unrolled" if classes else "rule.form=unrolled"
        raise InputError(f"rule=eprop: needs a loss in every step; use {remedy}")
    if not isinstance(objective.regulariser, NoPenalty):
        raise InputError(
            "rule=eprop: knows no penalty on activity; use regulariser=none or rule.form=unrolled"
        )
    if not isinstance(units, LeakyReadout):
        raise InputError(f"rule=eprop: needs a leaky readout; use {READOUT} or rule.form=unrolled")
    if units.input_gain.kind != "one" or units.beta.spread is not None:
        raise InputError(
            "rule=eprop: needs one decay and no gain in the readout; use readout.input_gain=one and a single "
            "readout.beta"
        )
