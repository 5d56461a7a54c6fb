"""The cross-entropy of every step in a window at each sample's end."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Batch, Trajectory


class WindowPerStep(Loss):
    r"""Averages the cross-entropy of every step over a window at each sample's end, then over the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{W_b} \sum_{t = T_b - W_b}^{T_b - 1} \mathrm{CE}(y_b[t], c_b)

    y_b[t] is the output of sample b in step t, c_b its class, T_b its number of valid steps, and W_b the window in
    steps, at most T_b. Online rules can use it, unlike `last_window`, which takes one cross-entropy of the mean
    output. The class of the largest mean output within the window is predicted.

    Args:
        window_s: duration of the window [s].
        dt_s: duration of a step [s].

    Raises:
        InputError: a duration is not above 0.

    Source: Bellec et al. 2020, Nature Communications 11:3625, Methods (evidence accumulation: the cross-entropy is
    taken in the steps of the recall period).

    >>> output = torch.zeros(4, 1, 2)
    >>> loss = WindowPerStep(window_s=0.002, dt_s=0.001)
    >>> trajectory = Trajectory(output, torch.tensor([3]))
    >>> round(loss.whole(trajectory, torch.tensor([0])).item(), 4)  # ln 2
    0.6931
    """

    online: ClassVar[bool] = True

    def __init__(self, *, window_s: float, dt_s: float, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
        dt_s = require_number("loss.dt_s", dt_s, low=0, open_low=True)
        self.steps = max(1, round(require_number("loss.window_s", window_s, low=0, open_low=True) / dt_s))

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Average the output over the window at each sample's end, as class scores [B, C]."""
        in_window = self._window_mask(len(trajectory.output), trajectory.lengths)
        total = trajectory.output.masked_fill(~in_window[..., None], 0.0).sum(0)
        return total / self._window_steps(trajectory.lengths, total)[:, None]

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch, a scalar."""
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

    def _window_mask(self, steps: int, lengths: Tensor) -> Tensor:
        """Return a mask of the steps within each sample's window, bool [T, B]."""
        step = torch.arange(steps, device=lengths.device)[:, None]
        return (step < lengths) & (step >= lengths - self.steps)

    def _window_steps(self, lengths: Tensor, like: Tensor) -> Tensor:
        """Return the number of steps W_b of each sample's window [B], in the dtype of `like`."""
        return lengths.clamp(max=self.steps).to(like.dtype)
