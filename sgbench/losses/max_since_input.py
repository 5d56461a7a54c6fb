"""The cross-entropy of each output's largest value since the first spike reached the readout."""

from torch import Tensor

from fastspiking.peaks import largest
from fastspiking.signals.trajectory import Trajectory, valid_steps
from sgbench.losses.base import Loss


class MaxSinceInput(Loss):
    r"""Computes the cross-entropy of :math:`\max_{t \ge t_0} y[t]`; t_0 is the first step with a non-zero output.

    Until a spike reaches the readout, all outputs are exactly 0. `max_over_time` counts these steps: an output that
    is negative in all later steps has the score 0 and no gradient, which can happen at large learning rates. This
    loss leaves them out. If all outputs of a sample are 0, every valid step counts.

    Source: `max_over_time`, without the steps before the first input.

    >>> import torch
    >>> output = torch.tensor([[[0.0, 0.0]], [[-3.0, 1.0]], [[-2.0, 4.0]]])
    >>> MaxSinceInput().logits(Trajectory(output, torch.tensor([3]))).tolist()
    [[-2.0, 4.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Return the largest outputs [B, C] over the steps from the first output that is not 0; over all if none is."""
        output, lengths = trajectory.output, trajectory.lengths
        inside = valid_steps(lengths, len(output))
        counts = inside & (output.detach() != 0).any(-1).cumsum(0).bool()
        counts |= inside & ~counts.any(0)
        return largest(output.masked_fill(~counts[..., None], -float("inf")))
