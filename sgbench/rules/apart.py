"""Passes in which no gradient crosses from layer to layer; a rule sets the gradient of each layer's spikes.

The readout's backward pass gives the derivative of the loss by its currents. From it a rule computes a gradient for
the spikes of each hidden layer, from which the engine back-propagates over time within the layer.

Legend: T steps, B batch, N neurons of a layer, C outputs, R currents of the readout's units (mostly R = C).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.layer import LayerRun
from fastspiking.matmul import multiply
from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import POTENTIAL, Batch, Keep, Trajectory
from sgbench.errors import InputError
from sgbench.networks.base import Chain, Network
from sgbench.networks.layers import Layer
from sgbench.neurons.base import Neuron
from sgbench.rules.base import Objective


@dataclass(frozen=True)
class DetachedPass:
    """Holds a pass of a network in which no gradient crosses from one layer to the next."""

    network: Network
    hidden: list[LayerRun]  # runs of the hidden layers, each with the autograd graph of its own parameters
    readout: LayerRun  # run of the readout, likewise
    # Currents of the readout [T, B, R], with the graph of its weights; None if its units ran together with them.
    current: Tensor | None
    current_leaf: Tensor | None  # a detached copy, which the readout's units took as input
    window: int | None  # steps over which gradient flows back within a layer; None for all
    trajectory: Trajectory  # for loss and penalty; its outputs, spikes and potentials are leaves of autograd

    def slopes(self, objective: Objective, target: Tensor) -> ObjectiveSlopes:
        """Compute the derivatives of the objective by outputs, spikes and potentials, each as independent."""
        loss = objective.whole(self.trajectory, target)
        spikes = [*self.trajectory.spikes[: len(self.hidden)]]
        leaves = [self.trajectory.output, *spikes, *self.trajectory.u]
        by_output, *others = torch.autograd.grad(loss, leaves, allow_unused=True)
        return ObjectiveSlopes(
            loss=loss.detach(),
            output=torch.zeros_like(self.trajectory.output) if by_output is None else by_output,
            spikes=others[: len(spikes)],
            u=others[len(spikes) :],
        )

    def to_currents(self, error: Tensor) -> Tensor:
        """Propagate an error of the outputs [T, B, C] back to the readout's currents [T, B, R]."""
        output, current = self.readout.output, self.current_leaf
        if current is None:  # the units are linear, so that their derivative is the same at any current
            layer = self.network.readout
            current = error.new_zeros(*error.shape[:2], layer.neuron.currents * layer.neurons).requires_grad_()
            output = self.network.engine.unroll([ReadoutUnits(layer)], current, window=self.window)[0].output
        (slope,) = torch.autograd.grad(output, current, error, retain_graph=True)  # type: ignore[arg-type]
        return slope

    def to_hidden(self, delta: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """Multiply an error by feedback weights, which gives an error of each hidden layer's spikes [T, B, N].

        `delta`: error of the readout's currents [T, B, R]; `weights`: feedback weights of each hidden layer [R, N].
        """
        flat = delta.flatten(0, 1)
        return [multiply(flat, weight).view(*delta.shape[:2], -1) for weight in weights]

    def learn(self, errors: Sequence[Tensor], slopes: ObjectiveSlopes) -> None:
        """Add to the `.grad` of all parameters: hidden layers learn from their errors, the readout exactly.

        Derivatives of a penalty by a layer's own spikes and potentials are added to its error.

        `errors`: errors of the spikes of each hidden layer [T, B, N]; `slopes`: derivatives of the objective.
        """
        values: list[Any] = [run.output for run in (*self.hidden, self.readout)]
        pairs = zip(errors, slopes.spikes, strict=True)
        gradients = [error if penalty is None else error + penalty for error, penalty in pairs]
        gradients.append(slopes.output)
        for run, slope in zip((*self.hidden, self.readout), slopes.u, strict=False):
            if run.u is not None and slope is not None:
                values.append(run.u)
                gradients.append(slope)
        torch.autograd.backward(values, gradients)
        if self.current is not None:
            self.current.backward(self.current_leaf.grad)  # type: ignore[union-attr]


@dataclass(frozen=True)
class ObjectiveSlopes:
    """Holds an objective's value, and its derivatives by outputs, spikes and potentials (None if independent)."""

    loss: Tensor  # value of the objective, a scalar without gradient
    output: Tensor  # derivative by the outputs [T, B, C]
    spikes: Sequence[Tensor | None]  # derivatives by the spikes of hidden layers [T, B, N]
    u: Sequence[Tensor | None]  # derivatives by the potentials of all layers, if these are kept [T, B, N]


def run_detached(
    network: Network, batch: Batch, keep: Keep, *, window: int | None = None, by_current: bool = True
) -> DetachedPass:
    """Run each layer over all steps, with its input detached.

    `network`: a chain of layers. `batch`: input and lengths. `keep`: signals to keep for the objective, such as
    potentials. `window`: steps over which gradient flows back within a layer; None for all. `by_current`: whether
    `to_currents` will be called.
    """
    network.begin_pass(batch.lengths, batch.x.shape[0])
    layers: list[Any] = [*network.hidden_layers, network.readout]
    spec = network.readout.neuron.recurrence_spec()
    # Linear units have the same derivative at any current; others need the current of this pass, so they run apart.
    split = by_current and (spec is None or spec.surrogate is not None)
    runs = network.engine.unroll(
        layers[:-1] if split else layers, batch.x, keep_u=POTENTIAL in keep, window=window, apart=True
    )
    current = leaf = None
    if split:
        current = network.readout.current(dense(runs[-1].output.detach()))  # type: ignore[union-attr]
        leaf = current.detach().requires_grad_()
        runs += network.engine.unroll([ReadoutUnits(network.readout)], leaf, keep_u=POTENTIAL in keep, window=window)
    return DetachedPass(
        network=network,
        hidden=runs[:-1],
        readout=runs[-1],
        current=current,
        current_leaf=leaf,
        window=window,
        trajectory=_detached_trajectory(network, batch, runs),
    )


def _detached_trajectory(network: Network, batch: Batch, runs: Sequence[LayerRun]) -> Trajectory:
    """Build the trajectory of all layers' runs, with detached values that are leaves of autograd."""
    outputs = [run.output.detach().requires_grad_() for run in runs]  # type: ignore[union-attr]
    fires = network.readout.neuron.output == "binary"
    return Trajectory(
        output=outputs[-1],
        lengths=batch.lengths,
        spikes=tuple(outputs if fires else outputs[:-1]),
        u=tuple(run.u.detach().requires_grad_() for run in runs if run.u is not None),
        state=tuple(type(run.state)(*(field.detach() for field in run.state)) for run in runs),
    )


def require_chain(rule: str, network: Network) -> None:
    if not isinstance(network, Chain):
        raise InputError(
            f"rule={rule}: needs layers one behind the other, {type(network).__name__} has others; use rule=bptt"
        )


def require_cut(rule: str, network: Network) -> None:
    if any(layer.recurrent is not None and not layer.cut for layer in network.hidden_layers):
        raise InputError(f"rule={rule}: sends nothing back over recurrent spikes; use network.recurrence_gradient=cut")


def direct_weights(network: Network, feedback: str) -> list[Tensor]:
    """Return the feedback weights from the readout's currents to each hidden layer [R, N], detached.

    `network`: the network, prepared by the rule's `begin`. `feedback`: "symmetric" (the readout's own weights, for one
    hidden layer), "adaptive" (learnt ones); any other value stands for fixed random ones.
    """
    if feedback == "symmetric":
        return [network.readout.weights_in_use()[0].detach()]
    if feedback == "adaptive":
        return [weight.detach() for weight in network.learnt_feedback]
    return list(network.direct_feedback)  # type: ignore[arg-type]


def draw_direct_feedback(network: Network, gain: float, generator: torch.Generator) -> list[Tensor]:
    """Draw random feedback weights from the readout's currents to each hidden layer [R, N], float64.

    They are normal, with a standard deviation of `gain` times the root mean square of the readout's weights.
    """
    weight = network.readout.weight.detach()
    rows = network.readout.neuron.currents * network.readout.neurons
    scale = gain * weight.square().mean().sqrt()
    return [
        scale * torch.randn(rows, layer.neurons, generator=generator, dtype=torch.float64)
        for layer in network.hidden_layers
    ]


class Feedback(nn.Module):
    """Holds fixed feedback weights of all hidden layers as buffers, which the weights file stores.

    `weights`: one tensor [R, N] for each hidden layer, in their order.
    """

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__()
        for index, weight in enumerate(weights):
            self.register_buffer(str(index), weight)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.buffers())


class NonRecurrent:
    """Is the base of layers without recurrence that a rule makes for the engine, beside those of the network."""

    recurrence = "none"
    recurrent = None
    cut = False

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros of the shape of the spikes s: there is no recurrence."""
        return torch.zeros_like(s)


class ReadoutUnits(NonRecurrent):
    """Holds the readout's units without its weights, as a layer whose input is their current."""

    def __init__(self, layer: Layer) -> None:
        self.name = layer.name
        self.neuron: Neuron = layer.neuron

    def synapses(self) -> None:
        """Return None: there are no weights."""

    def current(self, x: Tensor) -> Tensor:
        """Return the input unchanged as the current."""
        return x
