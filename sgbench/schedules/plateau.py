"""A learning rate that falls where validation stands still."""

from __future__ import annotations

import math

from sgbench.errors import InputError, require_number
from sgbench.schedules.base import Moment, RateSchedule


class Plateau(RateSchedule):
    """Multiplies the learning rate by `by` after more than `wait_epochs` epochs without a better validation.

    Better is what the protocol's monitor says, by more than the share `threshold`. It is
    `torch.optim.lr_scheduler.ReduceLROnPlateau(factor=by, patience=wait_epochs, threshold=threshold,
    min_lr=least * lr)`, stepped once an epoch with the validation loss, or with minus the validation accuracy.

    Args:
        by: factor of each fall, between 0 and 1.
        wait_epochs: epochs without a better one that are borne.
        threshold: share by which a better one has to be lower, from 0 to 1.
        least: factor below which the learning rate does not fall.

    Raises:
        InputError: a number out of range.

    >>> schedule = Plateau(by=0.1, wait_epochs=1, threshold=1e-4, least=0.0)
    >>> schedule.factor(Moment(epoch=4, epochs=10, batch=0, batches=1, losses=(1.0, 0.9, 0.9, 0.9)))
    0.1
    """

    def __init__(self, *, by: float, wait_epochs: int, threshold: float, least: float) -> None:
        self.by = require_number("schedule.by", by, low=0, high=1)
        if self.by in (0, 1):
            raise InputError(f"schedule.by={by}: a factor between 0 and 1 is needed, e.g. 0.1")
        self.wait_epochs = int(require_number("schedule.wait_epochs", wait_epochs, low=0, high=1e6))
        if self.wait_epochs != wait_epochs:
            raise InputError(f"schedule.wait_epochs={wait_epochs}: a whole number of epochs is needed")
        self.threshold = require_number("schedule.threshold", threshold, low=0, high=1)
        self.least = require_number("schedule.least", least, low=0, high=1)

    def factor(self, moment: Moment) -> float:
        """Return the factor after all whole epochs of the moment."""
        best, bad, factor = math.inf, 0, 1.0
        for loss in moment.losses:
            # as torch does it, the share is of the best value itself, whose sign an accuracy turns
            if loss < best * (1 - self.threshold):
                best, bad = loss, 0
            else:
                bad += 1
            if bad > self.wait_epochs:
                factor, bad = max(factor * self.by, self.least), 0
        return factor
