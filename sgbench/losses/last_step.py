"""The cross-entropy of the output in each sample's last step."""

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory
from sgbench.losses.base import Loss


class LastStep(Loss):
    r"""Computes the cross-entropy of :math:`y[T_b - 1]`, the output in the last of each sample's T_b valid steps.

    Source: a usual readout; Neftci, Mostafa & Zenke 2019, companion code, names it as an alternative.

    >>> output = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    >>> LastStep().logits(Trajectory(output, torch.tensor([1]))).tolist()
    [[1.0, 2.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        samples = torch.arange(len(trajectory.lengths), device=trajectory.output.device)
        return trajectory.output[trajectory.lengths - 1, samples]
