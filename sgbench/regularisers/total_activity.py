"""Penalties on the total number of spikes and on the squared spikes of each neuron."""

from typing import ClassVar

from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Keep, Trajectory, inside
from sgbench.errors import require_number
from sgbench.regularisers.base import Regulariser


class TotalActivity(Regulariser):
    r"""Adds penalties on the spikes of a whole batch, in total and squared per neuron, summed over layers.

    .. math:: \lambda_1 \sum_{bi} n_{bi} + \lambda_2 \left\langle \left( \sum_b n_{bi} \right)^2 \right\rangle_i

    for the spike count n of neuron i in sample b; angle brackets are means over neurons. Nothing is divided by the
    batch size, so the strengths depend on it.

    Args:
        total_strength: weight lambda_1 of all spikes, 0 or more.
        square_strength: weight lambda_2 of the squared counts, 0 or more.

    Source: Neftci, Mostafa & Zenke 2019, companion code (SpyTorch, tutorials 3 and 4).

    >>> import torch
    >>> spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])  # 2 spikes of one neuron of two
    >>> trajectory = Trajectory(spikes, torch.tensor([2]), (spikes,), (), ())
    >>> TotalActivity(total_strength=1.0, square_strength=1.0).penalty(trajectory).item()  # 2 + (4 + 0) / 2
    4.0
    """

    needs: ClassVar[Keep] = frozenset({SPIKES})

    def __init__(self, *, total_strength: float, square_strength: float) -> None:
        self.total_strength = require_number("regulariser.total_strength", total_strength, low=0)
        self.square_strength = require_number("regulariser.square_strength", square_strength, low=0)

    def penalty(self, trajectory: Trajectory) -> Tensor:
        """Compute the sum of both penalties over all spiking layers, a scalar with gradient."""
        total = trajectory.output.new_zeros(())
        for spikes in trajectory.spikes:
            count = inside(spikes, trajectory.lengths).sum((0, 1))
            total = total + self.total_strength * count.sum() + self.square_strength * count.square().mean()
        return total
