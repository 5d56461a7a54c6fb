"""The cross-entropy of each output's largest value over time, with the initial 0 included."""

from torch import Tensor

from fastspiking.peaks import largest
from fastspiking.signals.trajectory import Trajectory, inside
from sgbench.losses.base import Loss


class MaxSinceRest(Loss):
    r"""Computes the cross-entropy of :math:`\max(0, \max_t y[t])`; 0 is the readout's value before the first step.

    An output that stays negative has the score 0 and no gradient; if all do, the first class is predicted. It is
    for comparison with published results that use it; `max_since_input` has no such floor.

    Source: Neftci, Mostafa & Zenke 2019, companion code, whose trace begins with the initial zero.

    >>> import torch
    >>> output = torch.tensor([[[-3.0, 1.0]], [[-2.0, 4.0]]])
    >>> trajectory = Trajectory(output, torch.tensor([2]))
    >>> MaxSinceRest().logits(trajectory).tolist()
    [[0.0, 4.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        return largest(inside(trajectory.output, trajectory.lengths)).clamp(min=0.0)
