"""The cross-entropy of every step in a window at each sample's end."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.losses.base import WindowLoss


class WindowPerStep(WindowLoss):
    r"""Averages the cross-entropy of every step over a window at each sample's end, then over the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{W_b} \sum_{t = T_b - W_b}^{T_b - 1} \mathrm{CE}(y_b[t], c_b)

    y_b[t] is the output of sample b in step t, c_b its class, T_b its number of valid steps, and W_b the window in
    steps, at most T_b. Online rules can use it, unlike `last_window`, which takes one cross-entropy of the mean
    output. The class of the largest mean output within the window is predicted.

    Args:
        window_s: duration of the window [s].

    Raises:
        InputError: a duration is not above 0.

    Source: Bellec et al. 2020, Nature Communications 11:3625, Methods (evidence accumulation: the cross-entropy is
    taken in the steps of the recall period).

    >>> import torch
    >>> output = torch.zeros(4, 1, 2)
    >>> loss = WindowPerStep(window_s=0.002, dt_s=0.001)
    >>> trajectory = Trajectory(output, torch.tensor([3]))
    >>> round(loss.whole(trajectory, torch.tensor([0])).item(), 4)  # ln 2
    0.6931
    """

    online: ClassVar[bool] = True

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        return self.each(trajectory, target).mean()

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropy over each sample's window [B]; target: classes [B]."""
        steps, batch, classes = trajectory.output.shape
        rows = trajectory.output.reshape(steps * batch, classes)
        losses = self.cross_entropy(rows, target.repeat(steps), reduction="none").view(steps, batch)
        in_window = self._window_mask(steps, trajectory.lengths)
        return losses.masked_fill(~in_window, 0.0).sum(0) / self._window_steps(trajectory.lengths, losses)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole`, and the unused state: mean over samples in whose window it lies."""
        lengths = batch.lengths
        in_window = (lengths > step) & (lengths - self.steps <= step)
        losses = self.cross_entropy(output, batch.target, reduction="none").masked_fill(~in_window, 0.0)
        return (losses / self._window_steps(lengths, losses)).mean(), state
