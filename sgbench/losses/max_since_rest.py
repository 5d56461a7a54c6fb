"""Cross-entropy on the largest output over time, rest included."""

from __future__ import annotations

from torch import Tensor

from sgbench.engine.peaks import largest
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory, inside


class MaxSinceRest(Loss):
    r"""Computes the cross-entropy on :math:`\max(0, \max_t y[t])`: the readout's rest, 0, is part of the trace.

    An output that stays negative has the logit 0 and no gradient; where all do, the first class is predicted. To
    compare with results that were made so; `max_since_input` has no such floor.

    Source: Neftci, Mostafa & Zenke 2019, companion code, whose trace begins with the initial zero.

    >>> import torch
    >>> output = torch.tensor([[[-3.0, 1.0]], [[-2.0, 4.0]]])
    >>> trajectory = Trajectory(output, torch.tensor([2]), (), (), ())
    >>> MaxSinceRest().logits(trajectory).tolist()
    [[0.0, 4.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Take each class's largest output within the sample's steps, or rest's 0, as its score [B, C]."""
        return largest(inside(trajectory.output, trajectory.lengths)).clamp(min=0.0)
