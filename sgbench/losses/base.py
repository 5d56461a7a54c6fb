"""The base classes of losses, which turn the readout's output over time into logits and one number."""

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from fastspiking.signals.trajectory import Batch, Target, Trajectory, inside
from sgbench.errors import require_number


class Loss(ABC):
    """Computes the cross-entropy of logits, which subclasses make of the readout's output in valid steps.

    An online loss can also be computed step by step, as the sum of a share for each step (`per_step`). If a share
    depends on earlier outputs too, the caller passes a state from step to step.

    Args:
        label_smoothing: share of the target that is spread evenly over all classes, 0 to 1, in training only
            (scores use `plain`). Source: Szegedy et al. 2016, CVPR, arXiv:1512.00567.
    """

    targets: ClassVar[tuple[Target, ...]] = ("class",)  # kinds of targets that the loss accepts
    readout: ClassVar[Literal["binary", "real", "any"]] = "any"  # whether the readout must spike
    on_times: ClassVar[bool] = False  # whether the loss depends on the times of first output spikes
    online: ClassVar[bool] = False  # whether `per_step` is implemented
    remembers: ClassVar[bool] = False  # whether a step's share depends on earlier outputs
    label_smoothing: float = 0.0

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = require_number("loss.label_smoothing", label_smoothing, low=0, high=1)

    def plain(self) -> Self:
        """Return a copy without label smoothing, from which scores are computed."""
        unsmoothed = copy.copy(self)
        unsmoothed.label_smoothing = 0.0
        return unsmoothed

    def cross_entropy(self, logits: Tensor, target: Tensor, **options: Any) -> Tensor:
        """Compute `torch.nn.functional.cross_entropy` of logits and target with this loss's label smoothing."""
        return functional.cross_entropy(logits, target, label_smoothing=self.label_smoothing, **options)

    @abstractmethod
    def logits(self, trajectory: Trajectory) -> Tensor:
        """Return the predictions: class scores [B, C], the largest is the predicted class, or outputs [B, T, C]."""

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch, a scalar."""
        return self.cross_entropy(self.logits(trajectory), target)

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B]; its mean is `whole`."""
        return self.cross_entropy(self.logits(trajectory), target, reduction="none")

    def begin(self, batch: Batch) -> Any:
        """Return the state before the first step, for `per_step`; None if steps do not depend on each other."""
        _ = batch  # used by subclasses
        return None

    def per_step(self, output: Tensor, batch: Batch, step: int, state: Any) -> tuple[Tensor, Any]:
        """Return one step's share of `whole`, a scalar, and the state after the step; shares of all steps sum up.

        Args:
            output: of the readout in this step [B, C].
            batch: its targets and lengths are used.
            step: index of the step, from 0.
            state: returned by the previous step, or by `begin`.
        """
        raise NotImplementedError(f"loss {type(self).__name__} needs the whole sequence")


class OutputLoss(Loss):
    """Compares the output of every step with a target for that step."""

    def logits(self, trajectory: Trajectory) -> Tensor:
        """Return the readout's outputs [B, T, C], zero after each sample's end."""
        return inside(trajectory.output, trajectory.lengths).transpose(0, 1)

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the mean loss of a batch, a scalar."""
        return self.each(trajectory, target).mean()

    @abstractmethod
    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """Compute the loss of each sample [B] over its valid steps."""


class WindowLoss(Loss):
    """Computes class scores from a window of time at each sample's end.

    Args:
        window_s: duration of the window [s]; shorter samples have one of their own length.
        dt_s: duration of a step [s].
        label_smoothing: see `Loss`.

    Raises:
        InputError: a duration is not above 0.
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
