"""The contract of a loss: from the readout over time to one number, and to logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import cross_entropy

from sgbench.signals.trajectory import Target, Trajectory, valid_steps


class Loss(ABC):
    """Cross-entropy on logits made of the readout's output over each sample's own steps."""

    targets: ClassVar[tuple[Target, ...]] = ("class",)
    readout: ClassVar[Literal["binary", "real", "any"]] = "any"
    online: ClassVar[bool] = False  # whether `per_step` exists

    @abstractmethod
    def logits(self, trajectory: Trajectory) -> Tensor:
        """What is predicted: class scores [B, C], of which the largest counts, or outputs [B, T, C]."""

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Mean loss over the batch, a scalar."""
        return cross_entropy(self.logits(trajectory), target)

    def per_step(self, output: Tensor, target: Tensor, lengths: Tensor, step: int) -> Tensor:
        """This step's share of `whole`, so that the shares add up to it.

        Args:
            output: of the readout in this step [B, C].
            target: class indices [B], or outputs wanted [B, T, C].
            lengths: valid steps [B].
            step: counted from 0.
        """
        raise NotImplementedError(f"loss {type(self).__name__} needs the whole sequence")


class OutputLoss(Loss):
    """Compares the output of every step with the one that is wanted."""

    def logits(self, trajectory: Trajectory) -> Tensor:
        """The outputs themselves [B, T, C], zero behind each sample's end."""
        return inside(trajectory.output, trajectory.lengths).transpose(0, 1)

    @abstractmethod
    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Mean loss over the batch, a scalar."""


def inside(output: Tensor, lengths: Tensor) -> Tensor:
    """Outputs [T, B, C] with zeros behind each sample's end."""
    return output.masked_fill(~valid_steps(lengths, len(output))[..., None], 0.0)
