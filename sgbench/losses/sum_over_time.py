"""Cross-entropy on the summed output."""

from __future__ import annotations

from torch import Tensor

from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory, inside


class SumOverTime(Loss):
    r"""Computes the cross-entropy on :math:`\sum_t y[t]`.

    Source: a usual readout, e.g. Bittar & Garner 2022, Frontiers in Neuroscience 16 (there summed softmax).

    >>> import torch
    >>> output = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    >>> SumOverTime().logits(Trajectory(output, torch.tensor([1]), (), (), ())).tolist()
    [[1.0, 2.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Add up each class's outputs within the sample's steps, as its score [B, C]."""
        return inside(trajectory.output, trajectory.lengths).sum(0)
