"""The cross-entropy of each output's largest value over time."""

from torch import Tensor

from fastspiking.peaks import largest
from fastspiking.signals.trajectory import Trajectory, all_valid, valid_steps
from sgbench.losses.base import Loss


class MaxOverTime(Loss):
    r"""Computes the cross-entropy of :math:`\max_t y[t]`, over the valid steps t of each sample.

    The readout's value 0 before the first step does not count: if it did, all outputs that stay negative would have
    the score 0 and no gradient. Outputs are 0, too, in the steps before a spike reaches the readout; these count
    here, and `max_since_input` leaves them out.

    Source: Neftci, Mostafa & Zenke 2019, companion code, without its initial sample.

    >>> import torch
    >>> output = torch.tensor([[[-3.0, -1.0]], [[-2.0, -4.0]]])
    >>> trajectory = Trajectory(output, torch.tensor([2]))
    >>> MaxOverTime().logits(trajectory).tolist()
    [[-2.0, -1.0]]
    """

    def logits(self, trajectory: Trajectory) -> Tensor:
        output, lengths = trajectory.output, trajectory.lengths
        if not all_valid(lengths, output.shape[0]):
            output = output.masked_fill(~valid_steps(lengths, output.shape[0])[..., None], -float("inf"))
        return largest(output)
