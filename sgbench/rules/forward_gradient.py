"""The forward gradient: projections of the gradient on random directions, by one forward pass for each."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.streams import NoiseSource
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.errors import require_count
from sgbench.networks.base import Network
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.tangents import Unrolling, Weights, add_gradients, learnt_parameters, require_slopes

OVERRIDES = ("network.recurrence=all_to_all",)


class ForwardGradient(LearningRule):
    r"""Multiplies a random direction by the slope of the loss along it: forward gradient.

    .. math:: \hat g = \frac1K \sum_k (\nabla L \cdot v_k) \, v_k, \qquad v_k \sim \mathcal N(0, 1)

    for the loss L and directions v_k in all weights. Each slope comes from forward-mode differentiation of one
    pass, whose memory does not grow with time. The expectation is the gradient of back-propagation through time;
    the sum over an orthonormal basis equals it (tested to 1e-10). With P weights the cosine between both is about 1
    / sqrt(1 + P/K).

    Args:
        draws: number K of directions for each batch; each costs a pass.

    Raises:
        InputError: draws is no whole number above 0.

    Source: Baydin, Pearlmutter, Syme, Wood & Torr 2022, arXiv:2202.08587; Silver, Goyal, Danihelka, Hessel & van
    Hasselt 2022, ICLR.
    """

    exact_reference: ClassVar[Claim] = Claim("projection", OVERRIDES)
    must_differ_from: ClassVar[Claim] = Claim("bptt", OVERRIDES)
    by_chance: ClassVar[bool] = True

    def __init__(self, *, draws: int) -> None:
        self.draws = require_count("rule.draws", draws)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        network.rule_noise = NoiseSource()

    def check(self, network: Network, objective: Objective) -> None:
        require_slopes("forward_gradient", network)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count the states of one step and their tangents; each direction costs a pass of both."""
        carried = sizes.between + sizes.crossed_within
        return Demand(
            numbers=2 * sizes.states,
            weight_products=self.draws * sizes.synapses,
            error_products=self.draws * carried + (self.draws - 1) * sizes.synapses,
            needs=("own_trace", "errors_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Compute the forward gradient of a batch from drawn directions, and yield once."""
        weights, noise = learnt_parameters(network), network.rule_noise
        total, passes = {name: torch.zeros_like(weight) for name, weight in weights.items()}, []
        for _ in range(self.draws):
            direction = {name: noise.normal_like(weight) for name, weight in weights.items()}  # type: ignore[union-attr]
            passes.append(slope_along(network, batch, objective, direction))
            for name, part in direction.items():
                total[name] += passes[-1].slope / self.draws * part
        add_gradients(network, total)
        yield Progress(torch.stack([each.loss for each in passes]).mean(), passes[-1].trajectory)


class DirectionalPass(NamedTuple):
    """Holds the results of a pass and its derivative along one direction, without autograd graph."""

    loss: Tensor  # value of the objective, a scalar
    slope: Tensor  # derivative of the objective along the direction, a scalar
    trajectory: Trajectory


def slope_along(network: Network, batch: Batch, objective: Objective, direction: Weights) -> DirectionalPass:
    """Run the network on a batch, and compute the derivative of the objective along a direction in its weights.

    `network`: the network, which is not changed. `batch`: input and targets, on the network's device. `objective`: loss
    and penalty. `direction`: maps the name of each learnt parameter to a tensor of its shape.
    """
    run = Unrolling(network)

    def objective_of(weights: Weights) -> tuple[Tensor, tuple[Any, ...]]:
        trajectory = run.with_weights(weights, batch.x, batch.lengths, None, objective.keep)
        return objective.whole(trajectory, batch.target), (trajectory.output, trajectory.state)

    with torch.no_grad():
        result: Any = torch.func.jvp(objective_of, (learnt_parameters(network),), (direction,), has_aux=True)
    loss, slope, (output, state) = result
    return DirectionalPass(loss, slope, Trajectory(output, batch.lengths, spikes=(), u=(), state=state))
