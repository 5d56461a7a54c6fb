"""The cross-entropy of the mean output in a window at each sample's end."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.losses.base import Loss
from sgbench.signals.trajectory import Trajectory


class LastWindow(Loss):
    r"""Computes the cross-entropy of the mean output, :math:`\frac{1}{W_b} \sum_{t = T_b - W_b}^{T_b - 1} y[t]`.

    y[t] is the output in step t, T_b the number of valid steps of sample b, and W_b the window in steps, at most
    T_b. It is for tasks whose answer is due at the end; earlier outputs do not count.

    Args:
        window_s: duration of the window [s].
        dt_s: duration of a step [s].

    Source: Bellec et al. 2020, Nature Communications 11:3625 (evidence accumulation, loss during recall).

    >>> output = torch.tensor([[[9.0, 9.0]], [[1.0, 2.0]], [[3.0, 4.0]], [[7.0, 7.0]]])
    >>> LastWindow(window_s=0.002, dt_s=0.001).logits(Trajectory(output, torch.tensor([3]))).tolist()
    [[2.0, 3.0]]
    """

    def __init__(self, *, window_s: float, dt_s: float, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing=label_smoothing)
        dt_s = require_number("loss.dt_s", dt_s, low=0, open_low=True)
        self.steps = max(1, round(require_number("loss.window_s", window_s, low=0, open_low=True) / dt_s))

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Average the output over the window at each sample's end, as class scores [B, C]."""
        in_window = self._window_mask(len(trajectory.output), trajectory.lengths)
        total = trajectory.output.masked_fill(~in_window[..., None], 0.0).sum(0)
        return total / self._window_steps(trajectory.lengths, total)[:, None]

    def _window_mask(self, steps: int, lengths: Tensor) -> Tensor:
        """Return a mask of the steps within each sample's window, bool [T, B]."""
        step = torch.arange(steps, device=lengths.device)[:, None]
        return (step < lengths) & (step >= lengths - self.steps)

    def _window_steps(self, lengths: Tensor, like: Tensor) -> Tensor:
        """Return the number of steps W_b of each sample's window [B], in the dtype of `like`."""
        return lengths.clamp(max=self.steps).to(like.dtype)
