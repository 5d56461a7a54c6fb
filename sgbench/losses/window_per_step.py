"""Cross-entropy in every step at the end of a sample."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Batch, Trajectory


class WindowPerStep(Loss):
    r"""Averages the cross-entropy of every step while the answer is due over these steps, then over the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{W_b} \sum_{t = T_b - W_b}^{T_b - 1} \mathrm{CE}(y_b[t], c_b)

    W_b is the window in steps, or all of a sample that is shorter. Each step has a share of its own, so online
    rules can use it; `last_window` takes one cross-entropy of the mean output and is not split. The prediction is
    the class of the largest mean output within the window.

    Args:
        window_s: duration of the window [s].
        dt_s: duration of a step [s].

    Raises:
        InputError: a duration that is not above 0.

    Source: Bellec et al. 2020, Nature Communications 11:3625, Methods (evidence accumulation: the cross-entropy is
    taken in the steps of the recall period).

    >>> output = torch.zeros(4, 1, 2)
    >>> loss = WindowPerStep(window_s=0.002, dt_s=0.001)
    >>> trajectory = Trajectory(output, torch.tensor([3]), (), (), ())
    >>> round(loss.whole(trajectory, torch.tensor([0])).item(), 4)  # ln 2
    0.6931
    """

    online: ClassVar[bool] = True

    def __init__(self, *, window_s: float, dt_s: float, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
        dt_s = require_number("loss.dt_s", dt_s, low=0, open_low=True)
        self.steps = max(1, round(require_number("loss.window_s", window_s, low=0, open_low=True) / dt_s))

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Average the output over the window at each sample's end, giving one score a class [B, C]."""
        due = self._window_mask(len(trajectory.output), trajectory.lengths)
        total = trajectory.output.masked_fill(~due[..., None], 0.0).sum(0)
        return total / self._window_steps(trajectory.lengths, total)[:, None]

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropies over each sample's window, then over the batch, a scalar."""
        return self.each(trajectory, target).mean()

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropy over each sample's steps within the window [B]."""
        steps, batch, classes = trajectory.output.shape
        rows = trajectory.output.reshape(steps * batch, classes)
        every = self.cross_entropy(rows, target.repeat(steps), reduction="none").view(steps, batch)
        due = self._window_mask(steps, trajectory.lengths)
        return every.masked_fill(~due, 0.0).sum(0) / self._window_steps(trajectory.lengths, every)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of the loss, 0 for samples whose window it lies outside of."""
        lengths = batch.lengths
        due = (lengths > step) & (lengths - self.steps <= step)
        every = self.cross_entropy(output, batch.target, reduction="none").masked_fill(~due, 0.0)
        return (every / self._window_steps(lengths, every)).mean(), state

    def _window_mask(self, steps: int, lengths: Tensor) -> Tensor:
        """Mark the steps within each sample's window [T, B]."""
        step = torch.arange(steps, device=lengths.device)[:, None]
        return (step < lengths) & (step >= lengths - self.steps)

    def _window_steps(self, lengths: Tensor, like: Tensor) -> Tensor:
        """Count the steps of each sample's window [B]."""
        return lengths.clamp(max=self.steps).to(like.dtype)
