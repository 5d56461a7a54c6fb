"""The contract of a loss: from the readout over time to one number, and to logits."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

from torch import Tensor
from torch.nn import functional

from sgbench.errors import require_number
from sgbench.signals.trajectory import Batch, Target, Trajectory, inside


class Loss(ABC):
    """Computes the cross-entropy on logits made of the readout's output over each sample's own steps.

    An online loss also splits itself into the shares of steps. Where a share depends on earlier outputs too, what
    it remembers of them is a state that the caller carries, as it carries a neuron's.

    Args:
        label_smoothing: share of the target that is spread evenly over all classes, from 0 to 1, while weights are
            trained; scores are those of `plain`. Source: Szegedy et al. 2016, CVPR, arXiv:1512.00567.
    """

    targets: ClassVar[tuple[Target, ...]] = ("class",)
    readout: ClassVar[Literal["binary", "real", "any"]] = "any"
    on_times: ClassVar[bool] = False  # whether it looks at when an output first spikes
    online: ClassVar[bool] = False  # whether `per_step` exists
    remembers: ClassVar[bool] = False  # whether a step's share depends on earlier outputs
    label_smoothing: float = 0.0

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = require_number("loss.label_smoothing", label_smoothing, low=0, high=1)

    def plain(self) -> Self:
        """Return the loss that scores are made of: this one without label smoothing."""
        same = copy.copy(self)
        same.label_smoothing = 0.0
        return same

    def cross_entropy(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Compute torch's cross-entropy, with the labels smoothed as this loss has it."""
        return functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing, **options)

    @abstractmethod
    def logits(self, trajectory: Trajectory) -> Tensor:
        """Return the predictions: class scores [B, C], of which the largest counts, or outputs [B, T, C]."""

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the loss over the batch into one number, a scalar."""
        return self.cross_entropy(self.logits(trajectory), target)

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B], whose mean is `whole`."""
        return self.cross_entropy(self.logits(trajectory), target, reduction="none")

    def begin(self, batch: Batch) -> Any:
        """Return the state before the first step, of a loss that remembers earlier outputs; None of the others."""
        _ = batch  # most remember nothing
        return None

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return this step's share of `whole`, so that the shares add up to it, and the state after the step.

        Args:
            output: of the readout in this step [B, C].
            batch: of which the target and the lengths are used.
            step: counted from 0.
            state: after the step before, from `begin` on.
        """
        raise NotImplementedError(f"loss {type(self).__name__} needs the whole sequence")


class OutputLoss(Loss):
    """Compares the output of every step with the one that is wanted."""

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Return the outputs themselves [B, T, C], zero after each sample's end."""
        return inside(trajectory.output, trajectory.lengths).transpose(0, 1)

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Average the loss over the batch into one number, a scalar."""
        return self.each(trajectory, target).mean()

    @abstractmethod
    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B] from its outputs of all steps."""
