"""The cross-entropy of every step's output with the sample's class."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory, valid_steps
from sgbench.losses.base import Loss


class PerStep(Loss):
    r"""Averages the cross-entropy of every step over each sample's valid steps and then over the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{T_b} \sum_{t<T_b} \mathrm{CE}(y_b[t], c_b)

    y_b[t] is the output of sample b in step t, c_b its class and T_b its number of valid steps. Online learning
    rules can use it. The class of the largest mean output is predicted.

    Source: snnTorch `functional.ce_rate_loss`; Bellec et al. 2020, Nature Communications 11:3625, equation 4.

    >>> import torch
    >>> output = torch.zeros(3, 1, 2)
    >>> trajectory = Trajectory(output, torch.tensor([2]))
    >>> round(PerStep().whole(trajectory, torch.tensor([0])).item(), 4)  # ln 2
    0.6931
    """

    online: ClassVar[bool] = True

    def logits(self, trajectory: Trajectory) -> Tensor:
        valid = valid_steps(trajectory.lengths, trajectory.output.shape[0])
        total = trajectory.output.masked_fill(~valid[..., None], 0.0).sum(0)
        return total / trajectory.lengths[:, None].to(total.dtype)

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        return self.each(trajectory, target).mean()

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropy over each sample's valid steps [B]; target: classes [B]."""
        steps, batch, classes = trajectory.output.shape
        losses = self.cross_entropy(
            trajectory.output.reshape(steps * batch, classes), target.repeat(steps), reduction="none"
        ).view(steps, batch)
        inside = valid_steps(trajectory.lengths, steps)
        return _shares(losses, inside, trajectory.lengths).sum(0)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole` and the unused state: mean over samples of cross-entropy / T_b."""
        losses = self.cross_entropy(output, batch.target, reduction="none")
        return _shares(losses, batch.lengths > step, batch.lengths).mean(), state


def _shares(losses: Tensor, inside: Tensor, lengths: Tensor) -> Tensor:
    """Divide losses [..., B] by their samples' valid steps, `lengths` [B]; set them to 0 where not `inside`."""
    return losses.masked_fill(~inside, 0.0) / lengths.to(losses.dtype)
