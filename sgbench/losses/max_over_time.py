"""Cross-entropy on the largest output over time."""

from __future__ import annotations

from torch import Tensor

from sgbench.engine.peaks import largest
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory, all_valid, valid_steps


class MaxOverTime(Loss):
    r"""Computes the cross-entropy on :math:`\max_t y[t]`.

    The initial zero of the readout is not part of the trace: where it is, units that stay negative all tie at
    exactly 0, get no gradient, and the prediction falls on the first of them. Steps before the first spike reaches
    the readout are such zeros too, and are part of it; `max_since_input` leaves them out.

    Source: Neftci, Mostafa & Zenke 2019, companion code, without its initial sample.

    >>> import torch
    >>> output = torch.tensor([[[-3.0, -1.0]], [[-2.0, -4.0]]])
    >>> trajectory = Trajectory(output, torch.tensor([2]), (), (), ())
    >>> MaxOverTime().logits(trajectory).tolist()
    [[-2.0, -1.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Take each class's largest output within the sample's steps as its score [B, C]."""
        output, lengths = trajectory.output, trajectory.lengths
        if not all_valid(lengths, output.shape[0]):
            output = output.masked_fill(~valid_steps(lengths, output.shape[0])[..., None], -float("inf"))
        return largest(output)
