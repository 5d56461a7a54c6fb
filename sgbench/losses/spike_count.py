"""The cross-entropy of the numbers of output spikes."""

from typing import ClassVar, Literal

from torch import Tensor

from fastspiking.signals.trajectory import Trajectory, inside
from sgbench.losses.base import Loss


class SpikeCount(Loss):
    r"""Computes the cross-entropy of each output's number of spikes, :math:`\sum_t s[t]`; needs a spiking readout.

    Source: snnTorch `functional.ce_count_loss`; Eshraghian et al. 2023, Proceedings of the IEEE 111(9).

    >>> import torch
    >>> output = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]])
    >>> SpikeCount().logits(Trajectory(output, torch.tensor([2]))).tolist()
    [[2.0, 1.0]]
    """

    readout: ClassVar[Literal["binary", "real", "any"]] = "binary"

    def logits(self, trajectory: Trajectory) -> Tensor:
        return inside(trajectory.output, trajectory.lengths).sum(0)
