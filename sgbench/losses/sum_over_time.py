"""The cross-entropy of the outputs summed over time."""

from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, inside
from sgbench.losses.base import Loss


class SumOverTime(Loss):
    r"""Computes the cross-entropy of the outputs' sums, :math:`\sum_t y[t]`, over each sample's valid steps.

    Source: a usual readout, e.g. Bittar & Garner 2022, Frontiers in Neuroscience 16 (there summed softmax).

    >>> import torch
    >>> output = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    >>> SumOverTime().logits(Trajectory(output, torch.tensor([1]))).tolist()
    [[1.0, 2.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        return inside(trajectory.output, trajectory.lengths).sum(0)
