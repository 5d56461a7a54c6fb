"""Cross-entropy on the largest output since anything has reached the readout."""

from __future__ import annotations

from torch import Tensor

from sgbench.engine.peaks import largest
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory, valid_steps


class MaxSinceInput(Loss):
    r"""Computes the cross-entropy on :math:`\max_{t \ge t_0} y[t]`, from the first output other than 0 on.

    Until a spike reaches the readout its outputs are exactly 0. `max_over_time` counts these steps: a class whose
    output stays negative from then on has the logit 0 and no gradient, and is never predicted again. Large learning
    rates bring that about. Here it counts as it is. Where all outputs of a sample are 0, every step counts.

    Source: `max_over_time`, without the steps before the first input.

    >>> import torch
    >>> output = torch.tensor([[[0.0, 0.0]], [[-3.0, 1.0]], [[-2.0, 4.0]]])
    >>> MaxSinceInput().logits(Trajectory(output, torch.tensor([3]), (), (), ())).tolist()
    [[-2.0, 4.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Take each class's largest output within a sample's steps since its first input as its score [B, C]."""
        output, lengths = trajectory.output, trajectory.lengths
        inside = valid_steps(lengths, len(output))
        counts = inside & (output.detach() != 0).any(-1).cumsum(0).bool()
        counts |= inside & ~counts.any(0)
        return largest(output.masked_fill(~counts[..., None], -float("inf")))
