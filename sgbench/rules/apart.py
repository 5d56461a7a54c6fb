"""Layers run apart: each takes what arrives as given, and the rule says what reaches its spikes.

The readout's units hand back how the loss depends on their current; what a rule makes of it enters each hidden
layer as the gradient of its spikes, and the layer's own adjoint over time runs on the engine.

Legend: T steps, B batch, N neurons of a layer, R currents of the readout's units (one a unit for most).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.engine.layer import LayerRun
from sgbench.engine.matmul import multiply
from sgbench.errors import InputError
from sgbench.networks.base import Chain, Network
from sgbench.networks.layers import Layer
from sgbench.neurons.base import Neuron
from sgbench.rules.base import Objective
from sgbench.signals.spikes import Signal, dense
from sgbench.signals.trajectory import POTENTIAL, Batch, Keep, Trajectory


@dataclass(frozen=True)
class Apart:
    """Runs a pass in which no gradient crosses from one layer to the next.

    Args:
        hidden: what each hidden layer came to, with the history of its own weights and numbers alone.
        readout: the network's.
        arriving: at the readout [T, B, N].
        given: the readout's current [T, B, R], which its units take as given.
        units: what the readout's units made of `given`.
        seen: what a loss and a penalty look at; outputs, spikes and potentials are leaves.
    """

    hidden: list[LayerRun]
    readout: Layer
    arriving: Tensor
    given: Tensor
    units: LayerRun
    seen: Trajectory

    def slopes(self, objective: Objective, target: Tensor) -> ObjectiveSlopes:
        """Compute how the objective depends on what is seen of each layer, taken by itself."""
        loss = objective.whole(self.seen, target)
        sent = [*self.seen.spikes[: len(self.hidden)]]
        potentials = list(self.seen.u)
        leaves = [self.seen.output, *sent, *potentials]
        found = list(torch.autograd.grad(loss, leaves, allow_unused=True))
        of_output = found.pop(0)
        of_output = torch.zeros_like(self.seen.output) if of_output is None else of_output
        return ObjectiveSlopes(loss.detach(), of_output, found[: len(sent)], found[len(sent) :])

    def of_current(self, error: Tensor) -> Tensor:
        """Convert an error of the outputs [T, B, C] to one of the readout's currents [T, B, R]."""
        (found,) = torch.autograd.grad(self._output, self.given, error, retain_graph=True)
        return found

    def learn_readout(self, slopes: ObjectiveSlopes) -> None:
        """Add the exact gradient of the readout's weights and of its units' numbers."""
        ends, starts = [self._output], [slopes.output]
        if self.units.u is not None and slopes.u[-1] is not None:
            ends, starts = [*ends, self.units.u], [*starts, slopes.u[-1]]
        torch.autograd.backward(ends, starts)
        current: Tensor = self.given.grad  # type: ignore[assignment]
        synapses = self.readout.synapses()
        if synapses is None:
            self.readout.current(self.arriving).backward(current)
            return
        flat = current.flatten(0, 1)
        found = [multiply(flat.T, self.arriving.flatten(0, 1)), flat.sum(0)]
        learnt = [(each, slope) for each, slope in zip(synapses, found, strict=True) if each is not None]
        torch.autograd.backward([each for each, _ in learnt], [slope for _, slope in learnt])

    def learn(self, place: int, delta: Tensor, feedback: Tensor, slopes: ObjectiveSlopes) -> None:
        """Add the gradient of a hidden layer's weights and numbers, the error straight from the output.

        Args:
            place: of the layer.
            delta: error of the readout's currents [T, B, R].
            feedback: weights that carry it to the spikes [R, N].
            slopes: of the objective.
        """
        self.learn_from(place, multiply(delta.flatten(0, 1), feedback).view(*delta.shape[:2], -1), slopes)

    def learn_from(self, place: int, error: Tensor, slopes: ObjectiveSlopes) -> None:
        """Add the gradient of a hidden layer's weights and numbers, given the error of its spikes [T, B, N].

        What a penalty asks of the layer's own spikes and potentials is added to the error.
        """
        run, own = self.hidden[place], slopes.spikes[place]
        ends: list[Any] = [run.output]
        starts = [error if own is None else error + own]
        if run.u is not None and slopes.u[place] is not None:
            ends, starts = [*ends, run.u], [*starts, slopes.u[place]]
        torch.autograd.backward(ends, starts)

    @property
    def _output(self) -> Tensor:
        return self.units.output  # type: ignore[return-value]


@dataclass(frozen=True)
class ObjectiveSlopes:
    """Holds the derivatives of an objective by what is seen of each layer; None where it does not look."""

    loss: Tensor  # without gradient
    output: Tensor  # [T, B, C]
    spikes: Sequence[Tensor | None]  # of hidden layers [T, B, N]
    u: Sequence[Tensor | None]  # of all layers, where potentials are kept


def run_apart(network: Network, batch: Batch, keep: Keep, *, window: int | None = None) -> Apart:
    """Run each layer over all steps, with what arrives taken as given.

    Args:
        network: a chain.
        batch: input and lengths.
        keep: what the objective looks at.
        window: steps over which gradient flows back within a layer; None: all of them.
    """
    network.begin_pass(batch.lengths, batch.x.shape[0])
    engine, potentials = network.engine, POTENTIAL in keep
    signal: Signal = batch.x
    hidden: list[LayerRun] = []
    for layer in network.hidden_layers:
        hidden += engine.unroll([layer], signal, keep_u=potentials, window=window)
        signal = hidden[-1].output.detach()  # type: ignore[union-attr]
    arriving = dense(signal)
    given = _current(network.readout, arriving).requires_grad_()
    (units,) = engine.unroll([ReadoutUnits(network.readout)], given, keep_u=potentials, window=window)
    return Apart(hidden, network.readout, arriving, given, units, _seen(network, batch, [*hidden, units]))


@torch.no_grad()
def _current(layer: Layer, arriving: Tensor) -> Tensor:
    """Compute the current of all steps, without history."""
    synapses = layer.synapses()
    if synapses is None:
        return layer.current(arriving)
    weight, bias = synapses
    return multiply(arriving.flatten(0, 1), weight.T, bias).view(*arriving.shape[:2], -1)


def _seen(network: Network, batch: Batch, runs: Sequence[LayerRun]) -> Trajectory:
    """Build a trajectory of detached leaves of the same values."""
    sent = [run.output.detach().requires_grad_() for run in runs]  # type: ignore[union-attr]
    fires = network.readout.neuron.output == "binary"
    return Trajectory(
        output=sent[-1],
        lengths=batch.lengths,
        spikes=tuple(sent if fires else sent[:-1]),
        u=tuple(run.u.detach().requires_grad_() for run in runs if run.u is not None),
        state=tuple(type(run.state)(*(field.detach() for field in run.state)) for run in runs),
    )


def require_chain(rule: str, network: Network) -> None:
    """Refuse a network whose layers do not stand one behind the other.

    Raises:
        InputError: names the rule and the remedy.
    """
    if not isinstance(network, Chain):
        raise InputError(
            f"rule={rule}: needs layers one behind the other, {type(network).__name__} has others; use rule=bptt"
        )


def require_cut(rule: str, network: Network) -> None:
    """Refuse a network that sends gradient over recurrent spikes where the rule does not.

    Raises:
        InputError: names the rule and the remedy.
    """
    if any(layer.recurrent is not None and not layer.cut for layer in network.hidden_layers):
        raise InputError(
            f"rule={rule}: sends nothing back over recurrent spikes; use network.recurrence_gradient=cut"
        )


def straight_weights(network: Network, feedback: str) -> list[Tensor]:
    """Return what carries an error of the outputs straight to each hidden layer [R, N], without gradient.

    Args:
        network: which has what the rule drew.
        feedback: "symmetric" for the readout's own, which one hidden layer has; "adaptive" for what is learnt; else
            what is fixed.
    """
    if feedback == "symmetric":
        return [network.readout.acting()[0].detach()]
    if feedback == "adaptive":
        return [each.detach() for each in network.learnt_feedback]
    return list(network.direct_feedback)  # type: ignore[arg-type]


def fixed_feedback(network: Network, gain: float, generator: torch.Generator) -> list[Tensor]:
    """Draw random weights from the readout's currents straight to each hidden layer [R, N].

    They are normal with `gain` times the root mean square of the readout's own weights, for which they stand in.
    """
    weight = network.readout.weight.detach()
    rows = network.readout.neuron.currents * network.readout.neurons
    scale = gain * weight.square().mean().sqrt()
    return [
        scale * torch.randn(rows, layer.neurons, generator=generator, dtype=torch.float64)
        for layer in network.hidden_layers
    ]


class Feedback(nn.Module):
    """Holds feedback weights of all hidden layers, in their order.

    Args:
        weights: one [R, N] for each hidden layer.
    """

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__()
        for place, weight in enumerate(weights):
            self.register_buffer(str(place), weight)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.buffers())


class ReadoutUnits:
    """Holds the readout's units without its weights: what arrives is their current.

    Args:
        layer: whose they are.
    """

    recurrence = "none"
    recurrent = None
    cut = False

    def __init__(self, layer: Layer) -> None:
        self.name = layer.name
        self.neuron: Neuron = layer.neuron

    def synapses(self) -> None:
        """Return None, since there is no matrix."""

    def current(self, x: Tensor) -> Tensor:
        """Return the input unchanged as the current."""
        return x

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros, since the units have no recurrence."""
        return torch.zeros_like(s)
