"""Cross-entropy on the last output."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory


class LastStep(Loss):
    r"""Computes the cross-entropy on :math:`y[T_b]`, the output of each sample's last step.

    Source: a usual readout; Neftci, Mostafa & Zenke 2019, companion code, names it as an alternative.

    >>> output = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    >>> LastStep().logits(Trajectory(output, torch.tensor([1]), (), (), ())).tolist()
    [[1.0, 2.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Pick the output of each sample's last step as its class scores [B, C]."""
        samples = torch.arange(len(trajectory.lengths), device=trajectory.output.device)
        return trajectory.output[trajectory.lengths - 1, samples]
