"""Real-time recurrent learning, exact (RTRL) or with each weight's influence on its own neuron alone (SnAp-1).

Legend: P weights, B batch, N neurons of one layer, V recurrent weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.networks.layers import DenseLayer
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.tangents import Unrolling, Weights, add_gradients, learnt_parameters, require_slopes

MOST_NEURONS = 50
"""Most hidden neurons allowed: memory grows with their cube, time with their fourth power."""
RECURRENT = ("network.recurrence=all_to_all", "loss=per_step")
Carried = tuple[Any, ...]
"""Arguments or results of one step: the weights (as argument) or the step's loss (as result), the states of all
layers, and the state of the loss if it has one; or the derivatives of these by every weight [P, ...]. Before the
first step there are no states."""


class Rtrl(LearningRule):
    r"""Carries the derivative of every state by every weight forward in time: real-time recurrent learning.

    .. math:: G[t] = \frac{\partial h[t]}{\partial h[t-1]} G[t-1] + \frac{\partial h[t]}{\partial w}, \qquad
        \frac{dL}{dw} = \sum_t \Big( \frac{\partial \ell_t}{\partial h[t]} G[t]
        + \frac{\partial \ell_t}{\partial w} \Big)

    for the states h of all layers, weights w and the loss l_t of step t, with the surrogate in place of the
    derivative of spikes. It equals back-propagation through time, without a backward pass. Its memory does not grow
    with time, but has B N P numbers, and P^2 for the unit directions of all weights. It is a reference for tiny
    networks; more than 50 hidden neurons are refused.

    Source: Williams & Zipser 1989, Neural Computation 1(2); Neftci, Mostafa & Zenke 2019, section III.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt_cut", RECURRENT, weights="hidden")
    name: ClassVar[str] = "rtrl"

    def check(self, network: Network, objective: Objective) -> None:
        """Raise an `InputError` for networks too large or without slopes, and for losses at the end alone."""
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
            raise InputError(f"rule={self.name}: follows spikes step by step, and the network has none; use rule=bptt")
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
        """Count a number per weight and state, and a product per weight and synapse that carries errors."""
        weights = sizes.synapses + sum(layer.biases for layer in sizes.layers)
        return Demand(
            numbers=(weights + 1) * sizes.states,
            weight_products=sizes.synapses,
            error_products=weights * (sizes.between + sizes.crossed_within),
            needs=("own_trace", "errors_of_others", "weights_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Carry all derivatives forward in time, add to the `.grad` of the weights, and yield once per batch."""
        weights, x = learnt_parameters(network), dense(batch.x)
        total, loss = x.new_zeros(sum(weight.numel() for weight in weights.values())), x.new_zeros(())
        values: Carried = (weights,)
        identity = torch.eye(len(total), dtype=x.dtype, device=x.device)  # the unit directions of all weights
        tangents: Carried = (_split_by_parameter(identity, weights),)
        for step in range(len(x)):
            advance = partial(_advance, Unrolling(network), batch, objective, x[step : step + 1], step)
            with torch.no_grad():
                (step_loss, *states), (slope, *influences) = _push_forward(advance, values, tangents)
            total, loss = total + slope, loss + step_loss
            values, tangents = (weights, *states), (tangents[0], *influences)
        add_gradients(network, _split_by_parameter(total, weights))
        trajectory = Trajectory(output=x.new_zeros(0), lengths=batch.lengths, spikes=(), u=(), state=values[1])
        yield Progress(loss, trajectory)


class Snap1(Rtrl):
    r"""Learns as `Rtrl`, without the influence of a neuron on others of its layer over recurrent weights (SnAp-1).

    .. math:: I[t] = W x[t] + \mathrm{diag}(V) \, s[t-1] + (V - \mathrm{diag}(V)) \, \mathrm{const}(s[t-1])

    for the current I of a layer, its input x, spikes s, weights W and recurrent weights V; const detaches the
    gradient. So a weight into neuron i influences only neuron i of its layer at later steps, which is the mask of
    SnAp-1; its influence on later layers and the readout is complete. It is exact if recurrent weights connect each
    neuron to itself only, and equals e-prop if none does. Derivatives are stored as in `rtrl`, with zeros, as this
    is a reference.

    Source: Menick, Elsen, Evci, Osindero, Simonyan & Graves 2021, ICLR, arXiv:2006.07232.
    """

    exact_reference: ClassVar[Claim] = Claim("bptt_own", RECURRENT)
    must_differ_from: ClassVar[Claim] = Claim("bptt", RECURRENT, weights="hidden")
    name: ClassVar[str] = "snap1"

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        with detach_other_spikes(network):
            (progress,) = super().gradients(network, batch, objective)
        yield progress

    def _check_network(self, network: Network) -> None:
        super()._check_network(network)
        for layer in network.layers:
            if not isinstance(layer, DenseLayer):
                raise InputError(f"rule={self.name}: layer '{layer.name}' is not dense; use network=mlp")


def _advance(
    run: Unrolling,
    batch: Batch,
    objective: Objective,
    x: Tensor,
    step: int,
    weights: Weights,
    state: tuple[Any, ...] | None = None,
    loss_state: Any = None,
) -> Carried:
    """Run one step of the network and of its loss; return the step's loss and the new states.

    `run`: the network as a function of its weights. `batch`: gives targets and lengths. `objective`: its loss is used.
    `x`: input of the step [1, B, N]. `step`: index of the step. `weights`: learnt parameters by name. `state`: states
    of all layers before the step; None in the first step. `loss_state`: state of the loss before the step; None for
    losses without one.
    """
    trajectory = run.with_weights(weights, x, batch.lengths, state)
    loss_state = objective.loss.begin(batch) if state is None else loss_state
    step_loss, loss_state = objective.loss.per_step(trajectory.output[0], batch, step, loss_state)
    return (step_loss, trajectory.state) if loss_state is None else (step_loss, trajectory.state, loss_state)


def _push_forward(advance: Any, values: Carried, tangents: Carried) -> tuple[Carried, Carried]:
    """Compute a function and its derivatives by every weight, in forward mode.

    `advance`: function of one step. `values`: its arguments. `tangents`: derivatives of the arguments by every weight
    [P, ...].

    Returns:
        The results of the function, and their derivatives by every weight [P, ...].
    """

    def along_one_weight(*direction: Any) -> tuple[Any, Any]:
        return torch.func.jvp(advance, values, direction)  # type: ignore[no-any-return]

    return torch.func.vmap(along_one_weight, out_dims=(None, 0), randomness="same")(*tangents)  # type: ignore[no-any-return]


@contextmanager
def detach_other_spikes(network: Network) -> Iterator[None]:
    """Treat recurrent spikes of a layer's other neurons as constants, within a `with` block."""

    def feedback(layer: DenseLayer, s: Tensor) -> Tensor:
        weights = layer.recurrent_in_use()
        rows = torch.arange(len(weights), device=s.device)
        # Row r of V leads to neuron r, or r modulo N if neurons take several currents.
        own_weights = weights[rows, rows % layer.neurons]
        zero_with_gradient = (s - s.detach()).repeat(1, layer.neuron.currents)
        return layer.rewired(s.detach(), weights) + own_weights * zero_with_gradient

    recurrent = [layer for layer in network.layers if layer.recurrence == "all_to_all" and not layer.cut]
    for layer in recurrent:
        layer.feedback = partial(feedback, layer)  # type: ignore[assignment, arg-type]
    try:
        yield
    finally:
        for layer in recurrent:
            del layer.feedback


def _split_by_parameter(flat: Tensor, weights: Weights) -> Weights:
    """Split values of all weights [..., P] into a dictionary from parameter name to [..., *shape]."""
    pieces = flat.split([weight.numel() for weight in weights.values()], dim=-1)
    return {
        name: piece.reshape((*flat.shape[:-1], *weight.shape))
        for (name, weight), piece in zip(weights.items(), pieces, strict=True)
    }
