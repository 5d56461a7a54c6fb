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
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import POTENTIAL, Batch, Keep, Trajectory


@dataclass(frozen=True)
class Apart:
    """Runs a pass in which no gradient crosses from one layer to the next."""

    network: Network  # which was run
    # What each hidden layer came to, with the history of its own weights and numbers alone.
    hidden: list[LayerRun]
    readout: LayerRun  # what the readout came to, likewise
    # Of the readout [T, B, R], with the history of its weights; None where its units came with them.
    current: Tensor | None
    given: Tensor | None  # the same as the units took it, a leaf
    window: int | None  # steps over which gradient flows back within a layer; None: all of them
    seen: Trajectory  # what a loss and a penalty look at; outputs, spikes and potentials are leaves

    def slopes(self, objective: Objective, target: Tensor) -> ObjectiveSlopes:
        """Compute how the objective depends on what is seen of each layer, taken by itself."""
        loss = objective.whole(self.seen, target)
        sent = [*self.seen.spikes[: len(self.hidden)]]
        potentials = list(self.seen.u)
        leaves = [self.seen.output, *sent, *potentials]
        slopes = list(torch.autograd.grad(loss, leaves, allow_unused=True))
        of_output = slopes.pop(0)
        of_output = torch.zeros_like(self.seen.output) if of_output is None else of_output
        return ObjectiveSlopes(loss.detach(), of_output, slopes[: len(sent)], slopes[len(sent) :])

    def of_current(self, error: Tensor) -> Tensor:
        """Convert an error of the outputs [T, B, C] to one of the readout's currents [T, B, R]."""
        output, given = self.readout.output, self.given
        if given is None:  # its units are linear, so that their adjoint is the same at any current
            layer = self.network.readout
            given = error.new_zeros(*error.shape[:2], layer.neuron.currents * layer.neurons).requires_grad_()
            output = self.network.engine.unroll([ReadoutUnits(layer)], given, window=self.window)[0].output
        (slope,) = torch.autograd.grad(output, given, error, retain_graph=True)  # type: ignore[arg-type]
        return slope

    def straight(self, delta: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """Send an error of the readout's currents [T, B, R] to the spikes of each hidden layer [T, B, N].

        Args:
            delta: the error.
            weights: that carry it to each layer [R, N].
        """
        flat = delta.flatten(0, 1)
        return [multiply(flat, weight).view(*delta.shape[:2], -1) for weight in weights]

    def learn(self, errors: Sequence[Tensor], slopes: ObjectiveSlopes) -> None:
        """Add gradients of weights and learnt numbers: of hidden layers by their errors, of the readout exactly.

        What a penalty asks of a layer's own spikes and potentials is added to its error.

        Args:
            errors: of the spikes of each hidden layer [T, B, N].
            slopes: of the objective.
        """
        ends: list[Any] = [run.output for run in (*self.hidden, self.readout)]
        starts = [
            error if own is None else error + own for error, own in zip(errors, slopes.spikes, strict=True)
        ]
        starts.append(slopes.output)
        for run, slope in zip((*self.hidden, self.readout), slopes.u, strict=False):
            if run.u is not None and slope is not None:
                ends.append(run.u)
                starts.append(slope)
        torch.autograd.backward(ends, starts)
        if self.current is not None:
            self.current.backward(self.given.grad)  # type: ignore[union-attr]


@dataclass(frozen=True)
class ObjectiveSlopes:
    """Holds the derivatives of an objective by output, spikes and potentials; None where it does not use them."""

    loss: Tensor  # without gradient
    output: Tensor  # [T, B, C]
    spikes: Sequence[Tensor | None]  # of hidden layers [T, B, N]
    u: Sequence[Tensor | None]  # of all layers, where potentials are kept


def run_apart(
    network: Network, batch: Batch, keep: Keep, *, window: int | None = None, by_current: bool = True
) -> Apart:
    """Run each layer over all steps, with what arrives taken as given.

    Args:
        network: a chain.
        batch: input and lengths.
        keep: what the objective reads.
        window: steps over which gradient flows back within a layer; None: all of them.
        by_current: whether `of_current` will be asked.
    """
    network.begin_pass(batch.lengths, batch.x.shape[0])
    layers: list[Any] = [*network.hidden_layers, network.readout]
    split = by_current and not _is_linear(network.readout)
    runs = network.engine.unroll(
        layers[:-1] if split else layers, batch.x, keep_u=POTENTIAL in keep, window=window, apart=True
    )
    current = given = None
    if split:
        current = network.readout.current(dense(runs[-1].output.detach()))  # type: ignore[union-attr]
        given = current.detach().requires_grad_()
        runs += network.engine.unroll(
            [ReadoutUnits(network.readout)], given, keep_u=POTENTIAL in keep, window=window
        )
    return Apart(
        network, runs[:-1], runs[-1], current, given, window, _detached_trajectory(network, batch, runs)
    )


def _is_linear(layer: Layer) -> bool:
    """Return whether a layer's neurons have an adjoint that does not depend on what they went through."""
    spec = layer.neuron.recurrence_spec()
    return spec is not None and spec.surrogate is None


def _detached_trajectory(network: Network, batch: Batch, runs: Sequence[LayerRun]) -> Trajectory:
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
    """Refuse a network whose layers do not form a chain.

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
    """Return the weights that carry output errors straight to each hidden layer [R, N], without gradient.

    Args:
        network: which has what the rule drew.
        feedback: "symmetric" for the readout's own, which one hidden layer has; "adaptive" for what is learnt; else
            what is fixed.
    """
    if feedback == "symmetric":
        return [network.readout.acting()[0].detach()]
    if feedback == "adaptive":
        return [weight.detach() for weight in network.learnt_feedback]
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
        for index, weight in enumerate(weights):
            self.register_buffer(str(index), weight)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.buffers())


class ReadoutUnits:
    """Holds the readout's units without its weights: what arrives is their current."""

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
