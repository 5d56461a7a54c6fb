"""A penalty on spike counts below a lower and above an upper bound."""

from typing import ClassVar

import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Keep, Trajectory, inside
from sgbench.errors import require_number
from sgbench.regularisers.base import Regulariser


class ActivityBounds(Regulariser):
    r"""Adds quadratic penalties on too low and too high spike counts, summed over layers.

    .. math::
        \lambda_l \langle \max(0, \nu_l - n_{bi})^2 \rangle_{bi}
        + \lambda_u \langle \max(0, \langle n_{bi} \rangle_i - \nu_u)^2 \rangle_b

    for the spike count n of neuron i in sample b; angle brackets are means over the indices. The lower bound acts
    on each neuron; the upper acts on a layer's mean count and leaves single neurons free to be active.

    Args:
        lower_strength: weight lambda_l of the lower bound, 0 or more.
        lower_spikes: lower bound nu_l [spikes per neuron and sample].
        upper_strength: weight lambda_u of the upper bound, 0 or more.
        upper_spikes: upper bound nu_u [spikes per neuron and sample].

    Source: Zenke & Vogels 2021, Neural Computation 33(4), section 4.2.5; the averages as in stork's
    `LowerBoundL2` (per neuron) and `UpperBoundL2` (per population).

    >>> spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])  # counts 2 and 0
    >>> trajectory = Trajectory(spikes, torch.tensor([2]), (spikes,), (), ())
    >>> bounds = ActivityBounds(lower_strength=1.0, lower_spikes=1.0, upper_strength=1.0, upper_spikes=0.5)
    >>> bounds.penalty(trajectory).item()  # (0 + 1)/2 + (1 - 0.5)^2
    0.75
    """

    needs: ClassVar[Keep] = frozenset({SPIKES})

    def __init__(
        self, *, lower_strength: float, lower_spikes: float, upper_strength: float, upper_spikes: float
    ) -> None:
        self.lower_strength = require_number("regulariser.lower_strength", lower_strength, low=0)
        self.lower_spikes = require_number("regulariser.lower_spikes", lower_spikes, low=0)
        self.upper_strength = require_number("regulariser.upper_strength", upper_strength, low=0)
        self.upper_spikes = require_number("regulariser.upper_spikes", upper_spikes, low=0)

    def penalty(self, trajectory: Trajectory) -> Tensor:
        """Compute the sum of both penalties over all spiking layers, a scalar with gradient."""
        total = trajectory.output.new_zeros(())
        for spikes in trajectory.spikes:
            count = inside(spikes, trajectory.lengths).sum(0)
            below = torch.relu(self.lower_spikes - count).square().mean()
            above = torch.relu(count.mean(1) - self.upper_spikes).square().mean()
            total = total + self.lower_strength * below + self.upper_strength * above
        return total
