"""The cross-entropy of every step with a class for that step."""

from typing import Any, ClassVar

from torch import Tensor

from fastspiking.signals.trajectory import UNLABELLED, Batch, Target, Trajectory, labels_inside
from sgbench.losses.base import OutputLoss


class LabelPerStep(OutputLoss):
    r"""Averages the cross-entropy of each step's output and label over a sample's labelled steps, then the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{|S_b|} \sum_{t \in S_b} \mathrm{CE}(y_b[t], c_b[t])

    y_b[t] is the output of sample b in step t, c_b[t] its label, and S_b the set of valid steps with a label. The
    class of a step's largest output is predicted.

    Source: Yin, Corradi & Bohte 2021, Nature Machine Intelligence 3:905 (streaming tasks, there the QT data base).

    >>> import torch
    >>> output = torch.zeros(3, 1, 2)
    >>> trajectory = Trajectory(output, torch.tensor([3]))
    >>> round(LabelPerStep().whole(trajectory, torch.tensor([[0, 1, -1]])).item(), 4)  # ln 2
    0.6931
    """

    targets: ClassVar[tuple[Target, ...]] = ("class_per_step",)
    online: ClassVar[bool] = True

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the cross-entropy over each sample's labelled steps [B]; target: labels [B, T]."""
        labels = labels_inside(target, trajectory.lengths)
        losses = self.cross_entropy(
            trajectory.output.permute(1, 2, 0), labels, reduction="none", ignore_index=UNLABELLED
        )
        return _shares(losses, labels, labels).sum(1)

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole`, and the unused state: CE of labelled samples / (|S_b| B)."""
        labels = labels_inside(batch.target, batch.lengths)
        of_step = labels[:, step : step + 1]
        losses = self.cross_entropy(output, of_step[:, 0], reduction="none", ignore_index=UNLABELLED)
        return _shares(losses[:, None], of_step, labels).sum() / len(labels), state


def _shares(losses: Tensor, step_labels: Tensor, labels: Tensor) -> Tensor:
    """Divide losses [B, n] by their sample's number of labelled steps; set those of unlabelled steps to 0.

    step_labels: of the same n steps [B, n]; labels: of all steps [B, T].
    """
    steps = (labels != UNLABELLED).sum(1, keepdim=True).clamp(min=1)
    return losses.masked_fill(step_labels == UNLABELLED, 0.0) / steps.to(losses.dtype)
