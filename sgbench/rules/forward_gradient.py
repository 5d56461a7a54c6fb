"""The gradient's projection on drawn directions, by one forward pass for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import require_count
from sgbench.networks.base import Network
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes
from sgbench.rules.tangents import Unrolling, Weights, add_gradients, learnt, require_slopes
from sgbench.signals.streams import NoiseSource
from sgbench.signals.trajectory import Batch, Trajectory

WORDS = ("network.recurrence=all_to_all",)


class ForwardGradient(LearningRule):
    r"""Multiplies a random direction by the slope of the loss along it: forward gradient.

    .. math:: \hat g = \frac1K \sum_k (\nabla L \cdot v_k) \, v_k, \qquad v_k \sim \mathcal N(0, 1)

    Each slope comes from forward-mode differentiation of one pass, whose memory does not grow with time. Its
    expectation is the gradient of back-propagation through time; over an orthonormal basis in place of drawn
    directions the sum is that gradient exactly (tested to 1e-10). With P weights its cosine to it is about
    1 / sqrt(1 + P/K).

    Args:
        draws: K, directions for each batch; each costs a pass.

    Raises:
        InputError: no whole number above 0.

    Source: Baydin, Pearlmutter, Syme, Wood & Torr 2022, arXiv:2202.08587; Silver, Goyal, Danihelka, Hessel & van
    Hasselt 2022, ICLR.
    """

    exact_reference: ClassVar[Claim] = Claim("projection", WORDS)
    must_differ_from: ClassVar[Claim] = Claim("bptt", WORDS)
    by_chance: ClassVar[bool] = True

    def __init__(self, *, draws: int) -> None:
        self.draws = require_count("rule.draws", draws)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        """Give the network the generator that directions are drawn from."""
        network.rule_noise = NoiseSource()

    def check(self, network: Network, objective: Objective) -> None:
        """Refuse surrogates without a slope in forward mode."""
        require_slopes("forward_gradient", network)

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count one step and its tangents; each direction is a pass of values and one of tangents."""
        carried = sizes.between + sizes.crossed_within
        return Demand(
            numbers=2 * sizes.states,
            weight_products=self.draws * sizes.synapses,
            error_products=self.draws * carried + (self.draws - 1) * sizes.synapses,
            needs=("own_trace", "errors_of_others"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Average the projections on the drawn directions to a gradient, and yield once a batch."""
        weights, noise = learnt(network), network.rule_noise
        total, passes = {name: torch.zeros_like(weight) for name, weight in weights.items()}, []
        for _ in range(self.draws):
            direction = {name: noise.normal_like(weight) for name, weight in weights.items()}  # type: ignore[union-attr]
            passes.append(slope_along(network, batch, objective, direction))
            for name, part in direction.items():
                total[name] += passes[-1].slope / self.draws * part
        add_gradients(network, total)
        yield Progress(torch.stack([weight.loss for weight in passes]).mean(), passes[-1].trajectory)


class Along(NamedTuple):
    """Holds the results of a pass along one direction, without gradient history."""

    loss: Tensor
    slope: Tensor
    trajectory: Trajectory


def slope_along(network: Network, batch: Batch, objective: Objective, direction: Weights) -> Along:
    """Run the network and return the objective, its slope along a direction in weights, and the trajectory.

    Args:
        network: stays as it is.
        batch: on the network's device.
        objective: loss and penalty.
        direction: by name of the parameters that learn.
    """
    run = Unrolling(network)

    def passed(weights: Weights) -> tuple[Tensor, tuple[Any, ...]]:
        trajectory = run.with_weights(weights, batch.x, batch.lengths, None, objective.keep)
        return objective.whole(trajectory, batch.target), (trajectory.output, trajectory.state)

    with torch.no_grad():
        moved: Any = torch.func.jvp(passed, (learnt(network),), (direction,), has_aux=True)
    loss, slope, (output, state) = moved
    return Along(loss, slope, Trajectory(output, batch.lengths, (), (), state))
