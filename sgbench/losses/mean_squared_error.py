"""The mean squared error of the output in every step."""

from typing import Any, ClassVar, Literal

from torch import Tensor

from fastspiking.signals.trajectory import Batch, Target, Trajectory, inside
from sgbench.losses.base import OutputLoss


class MeanSquaredError(OutputLoss):
    r"""Averages the squared error over the outputs c, the T_b valid steps t of each sample b, and the batch.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{T_b C} \sum_{t<T_b} \sum_c (y_{bc}[t] - \hat y_{bc}[t])^2

    with the outputs y and the targets y^.

    Source: Bellec et al. 2020, Nature Communications 11:3625, equation 3 (there a sum, halved).

    >>> import torch
    >>> output = torch.tensor([[[1.0]], [[3.0]], [[9.0]]])
    >>> target = torch.tensor([[[0.0], [1.0], [0.0]]])
    >>> MeanSquaredError().whole(Trajectory(output, torch.tensor([2])), target).item()
    2.5
    """

    readout: ClassVar[Literal["binary", "real", "any"]] = "real"
    online: ClassVar[bool] = True
    targets: ClassVar[tuple[Target, ...]] = ("trace",)

    def __init__(self) -> None:
        super().__init__()  # no labels to smooth

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the squared error over outputs and each sample's valid steps [B]; target: [B, T, C]."""
        lengths = trajectory.lengths
        valid_target = inside(target.transpose(0, 1), lengths)
        error = (inside(trajectory.output, lengths) - valid_target).square().mean(2).sum(0)
        return error / lengths

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole` and the unused state: mean over samples of squared error / T_b."""
        target, lengths = batch.target, batch.lengths
        if step >= target.shape[1]:
            return output.sum() * 0.0, state
        error = (output - target[:, step]).square().mean(1)
        return (error.masked_fill(lengths <= step, 0.0) / lengths).mean(), state
