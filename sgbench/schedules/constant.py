"""The learning rate as the optimiser has it."""

from sgbench.schedules.base import Moment, RateSchedule


class ConstantRate(RateSchedule):
    """Leaves the learning rate as it is.

    >>> ConstantRate().factor(Moment(epoch=3, epochs=10, batch=0, batches=5, losses=(1.0, 0.9, 0.8)))
    1.0
    """

    def factor(self, moment: Moment) -> float:
        """Return 1 at any moment."""
        return 1.0
