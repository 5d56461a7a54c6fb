"""Cross-entropy of every step with that step's own class."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from sgbench.losses.base import OutputLoss
from sgbench.signals.trajectory import UNLABELLED, Batch, Target, Trajectory, labels_inside


class LabelPerStep(OutputLoss):
    r"""Averages each step's cross-entropy with its own label over a sample's labelled steps, then over the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{|S_b|} \sum_{t \in S_b} \mathrm{CE}(y_b[t], c_b[t])

    S_b are the steps of sample b before its end that have a label; the labels of other steps are ignored. The
    prediction of a step is the class of its largest output.

    Source: Yin, Corradi & Bohte 2021, Nature Machine Intelligence 3:905 (streaming tasks, there the QT data base).

    >>> import torch
    >>> output = torch.zeros(3, 1, 2)
    >>> trajectory = Trajectory(output, torch.tensor([3]), (), (), ())
    >>> round(LabelPerStep().whole(trajectory, torch.tensor([[0, 1, -1]])).item(), 4)  # ln 2
    0.6931
    """

    targets: ClassVar[tuple[Target, ...]] = ("class_per_step",)
    online: ClassVar[bool] = True

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropy over each sample's labelled steps, all steps at once [B]."""
        labels = labels_inside(target, trajectory.lengths)
        losses = self.cross_entropy(
            trajectory.output.permute(1, 2, 0), labels, reduction="none", ignore_index=UNLABELLED
        )
        return _shares(losses, labels, labels).sum(1)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of the loss: its labelled samples' cross-entropy over their labelled steps."""
        labels = labels_inside(batch.target, batch.lengths)
        now = labels[:, step : step + 1]
        losses = self.cross_entropy(output, now[:, 0], reduction="none", ignore_index=UNLABELLED)
        return _shares(losses[:, None], now, labels).sum() / len(labels), state


def _shares(losses: Tensor, now: Tensor, labels: Tensor) -> Tensor:
    """Multiply each loss by 1 / |S_b| where there is a label; set it to 0 elsewhere, whatever stands there."""
    steps = (labels != UNLABELLED).sum(1, keepdim=True).clamp(min=1)
    return losses.masked_fill(now == UNLABELLED, 0.0) / steps.to(losses.dtype)
