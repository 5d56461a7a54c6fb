"""Real-time recurrent learning, whole or with each weight's influence on its own neuron alone.

Legend: P weights, B batch, N neurons of one layer, V recurrent weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.networks.layers import DenseLayer
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.tangents import Unrolling, Weights, add_gradients, learnt, require_slopes
from sgbench.signals.spikes import dense
from sgbench.signals.trajectory import Batch, Trajectory

MOST_NEURONS = 50
"""Hidden neurons up to which influences are carried: memory grows with their cube, time with the fourth power."""
RECURRENT = ("network.recurrence=all_to_all", "loss=per_step")
Carried = tuple[Any, ...]
"""Weights or a share of the loss, then states of all layers and of a loss that remembers; or of each its derivative
by every weight [P, ...]. Before the first step there are no states."""


class Rtrl(LearningRule):
    r"""Carries the derivative of every state by every weight forward in time: real-time recurrent learning.

    .. math:: G[t] = \frac{\partial h[t]}{\partial h[t-1]} G[t-1] + \frac{\partial h[t]}{\partial w}, \qquad
        \frac{dL}{dw} = \sum_t \Big( \frac{\partial \ell_t}{\partial h[t]} G[t]
        + \frac{\partial \ell_t}{\partial w} \Big)

    with h the states of all layers, and the surrogate in place of the derivative of spikes. Equal to
    back-propagation through time, without a pass back and in a memory that does not grow with time, but with
    B N P numbers: an oracle for tiny networks, no competitor, so that more than 50 hidden neurons are refused.

    Source: Williams & Zipser 1989, Neural Computation 1(2); Neftci, Mostafa & Zenke 2019, section III.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt_cut", RECURRENT, weights="hidden")
    name: ClassVar[str] = "rtrl"

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse networks without a step or too large, and losses that wait for the end."""
        self._check_network(network)
        require_slopes(self.name, network)
        if not objective.loss.online:
            raise InputError(f"rule={self.name}: needs a loss in every step; use loss=per_step")
        if not isinstance(objective.regulariser, NoPenalty):
            raise InputError(
                f"rule={self.name}: goes forward in time, and a penalty waits for the end; use regulariser=none"
            )

    def _check_network(self, network: Network) -> None:
        if not network.spiking:
            raise InputError(
                f"rule={self.name}: follows spikes step by step, and the network has none; use rule=bptt"
            )
        reason = network.needs_all_steps
        if reason is not None:
            raise InputError(f"rule={self.name}: goes step by step, but {reason}; use rule=bptt")
        neurons = sum(layer.neurons for layer in network.hidden_layers)
        if neurons > MOST_NEURONS:
            raise InputError(
                f"rule={self.name}: carries the influence of every weight on every neuron, of {neurons} hidden "
                f"ones; up to {MOST_NEURONS} are taken; use rule=bptt"
            )

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the influence of each weight on each state, carried over connections that gradient crosses."""
        weights = sizes.synapses + sum(layer.biases for layer in sizes.layers)
        return Demand(
            numbers=(weights + 1) * sizes.states,
            weight_products=sizes.synapses,
            error_products=weights * (sizes.between + sizes.crossed_within),
            needs=("own_trace", "errors_of_others", "weights_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Carry all influences forward in time, add to the `.grad` of the weights, and yield once a batch."""
        weights, x = learnt(network), dense(batch.x)
        total, loss = x.new_zeros(sum(weight.numel() for weight in weights.values())), x.new_zeros(())
        at: Carried = (weights,)
        moving: Carried = (_basis(weights),)
        for step in range(len(x)):
            advance = partial(_advance, Unrolling(network), batch, objective, x[step : step + 1], step)
            with torch.no_grad():
                (share, *states), (slope, *influences) = _pushed(advance, at, moving)
            total, loss = total + slope, loss + share
            at, moving = (weights, *states), (moving[0], *influences)
        add_gradients(network, _parts(total, weights))
        yield Progress(loss, Trajectory(x.new_zeros(0), batch.lengths, (), (), at[1]))


class Snap1(Rtrl):
    r"""Learns as real-time recurrent learning does, without a neuron's influence on others of its layer: SnAp-1.

    .. math:: I[t] = W x[t] + \mathrm{diag}(V) \, s[t-1] + (V - \mathrm{diag}(V)) \, \mathrm{const}(s[t-1])

    So of a weight into neuron i only the influence on the states of neuron i goes on in time within its layer,
    which is the mask of SnAp-1; influence on later layers and on the readout is whole. It is exact where neurons of
    a layer do not reach each other, and e-prop where none reaches itself over a recurrent weight. Influences are
    stored as those of `rtrl`, zeros included, since this is a definition to compare with.

    Source: Menick, Elsen, Evci, Osindero, Simonyan & Graves 2021, ICLR, arXiv:2006.07232.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt_own", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt", RECURRENT, weights="hidden")
    name: ClassVar[str] = "snap1"

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute gradients with other neurons' spikes taken as constants, and yield once a batch."""
        with own_spikes_alone(network):
            (progress,) = super().gradients(network, batch, objective)
        yield progress

    def _check_network(self, network: Network) -> None:
        """Refuse networks that `Rtrl` refuses, and layers whose weights do not lead to a single neuron."""
        super()._check_network(network)
        for layer in network.layers:
            if not isinstance(layer, DenseLayer):
                raise InputError(f"rule={self.name}: layer '{layer.name}' is not dense; use network=mlp")


def _advance(
    run: Unrolling,
    batch: Batch,
    objective: Objective,
    now: Tensor,
    step: int,
    weights: Weights,
    state: tuple[Any, ...] | None = None,
    loss_state: Any = None,
) -> Carried:
    """Advance one step: return its share of the loss, and the new states; without states, the first step."""
    trajectory = run.with_weights(weights, now, batch.lengths, state)
    loss_state = objective.loss.begin(batch) if state is None else loss_state
    share, loss_state = objective.loss.per_step(trajectory.output[0], batch, step, loss_state)
    return (share, trajectory.state) if loss_state is None else (share, trajectory.state, loss_state)


def _pushed(advance: Any, at: Carried, moving: Carried) -> tuple[Carried, Carried]:
    """Advance one step of values, and of their derivatives by every weight side by side."""

    def one(*direction: Any) -> tuple[Any, Any]:
        return torch.func.jvp(advance, at, direction)  # type: ignore[no-any-return]

    return torch.func.vmap(one, out_dims=(None, 0), randomness="same")(*moving)  # type: ignore[no-any-return]


@contextmanager
def own_spikes_alone(network: Network) -> Iterator[None]:
    """Treat recurrent spikes of a layer's other neurons as constants for a while; values stay what they are."""

    def feedback(layer: DenseLayer, s: Tensor) -> Tensor:
        wires, count = layer.recurrent_acting(), layer.neurons
        rows = torch.arange(len(wires), device=s.device)
        # Row r of V leads to neuron r, of neurons of several currents to r modulo N.
        own = wires[rows, rows % count]
        moving = (s - s.detach()).repeat(1, layer.neuron.currents)
        return layer.rewired(s.detach(), wires) + own * moving

    wired = [layer for layer in network.layers if layer.recurrence == "all_to_all" and not layer.cut]
    for layer in wired:
        layer.feedback = partial(feedback, layer)  # type: ignore[assignment, arg-type]
    try:
        yield
    finally:
        for layer in wired:
            del layer.feedback


def _basis(weights: Weights) -> Weights:
    """Return one direction for each weight, by parameter [P, ...]."""
    count = sum(weight.numel() for weight in weights.values())
    first = next(iter(weights.values()))
    return _parts(torch.eye(count, dtype=first.dtype, device=first.device), weights)


def _parts(flat: Tensor, weights: Weights) -> Weights:
    """Split a flat vector over all weights [..., P] by parameter."""
    pieces = flat.split([weight.numel() for weight in weights.values()], dim=-1)
    return {
        name: piece.reshape((*flat.shape[:-1], *weight.shape))
        for (name, weight), piece in zip(weights.items(), pieces, strict=True)
    }
