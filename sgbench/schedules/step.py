"""A learning rate that falls by the same factor at regular intervals."""

from sgbench.errors import InputError, require_count, require_number
from sgbench.schedules.base import Moment, RateSchedule


class StepRate(RateSchedule):
    r"""Multiplies the learning rate by `by` after every `every_epochs` epochs.

    .. math:: f(e) = r^{\min(\lfloor e / k \rfloor, n)}

    for epoch e. It equals `torch.optim.lr_scheduler.StepLR(step_size=k, gamma=r)`, stepped once an epoch, if n is
    unlimited.

    Args:
        by: factor r of each reduction, above 0 and up to 1.
        every_epochs: number k of epochs between two reductions.
        times: largest number n of reductions; None for no limit.

    Raises:
        InputError: a number out of range.

    >>> schedule = StepRate(by=0.5, every_epochs=10, times=None)
    >>> schedule.factor(Moment(epoch=25, epochs=30, batch=0, batches=1, losses=()))
    0.25
    """

    def __init__(self, *, by: float, every_epochs: int, times: int | None) -> None:
        self.by = require_number("schedule.by", by, low=0, high=1)
        if not self.by:
            raise InputError("schedule.by=0: a factor above 0 is needed, e.g. 0.1")
        self.every_epochs = require_count("schedule.every_epochs", every_epochs)
        self.times = None if times is None else require_count("schedule.times", times)

    def factor(self, moment: Moment) -> float:
        reductions = moment.epoch // self.every_epochs
        return self.by ** (reductions if self.times is None else min(reductions, self.times))
