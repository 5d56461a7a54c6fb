"""A learning rate that falls when validation no longer improves."""

import math

from sgbench.errors import InputError, require_number
from sgbench.schedules.base import Moment, RateSchedule


class Plateau(RateSchedule):
    """Multiplies the learning rate by `by` after more than `wait_epochs` epochs without improvement in validation.

    It equals `torch.optim.lr_scheduler.ReduceLROnPlateau(factor=by, patience=wait_epochs, threshold=threshold,
    min_lr=least * lr)`, stepped once an epoch with the validation loss, or with minus the validation accuracy.

    Args:
        by: factor of each reduction, between 0 and 1.
        wait_epochs: number of epochs without improvement that do not yet reduce it.
        threshold: relative decrease of the best value that counts as an improvement, from 0 to 1.
        least: lowest factor on the learning rate, from 0 to 1.

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
        """Return the factor after all finished epochs of the moment, computed from their losses."""
        best, epochs_without, factor = math.inf, 0, 1.0
        for loss in moment.losses:
            # As in torch, the threshold is relative to the best value, also where that is minus an accuracy.
            if loss < best * (1 - self.threshold):
                best, epochs_without = loss, 0
            else:
                epochs_without += 1
            if epochs_without > self.wait_epochs:
                factor, epochs_without = max(factor * self.by, self.least), 0
        return factor
