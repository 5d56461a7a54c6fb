"""One cycle: the learning rate rises to the optimiser's own and falls far below it, batch by batch."""

from sgbench.errors import InputError, require_number
from sgbench.schedules.base import Moment, RateSchedule, half_cosine


class OneCycle(RateSchedule):
    r"""Raises the learning rate to the optimiser's own on half a cosine and lowers it on another, batch by batch.

    For batch b of n in all, with the peak at :math:`p = \mathrm{rise} \cdot n - 1` and half cosines between values:

    .. math::
        f(b) = \begin{cases} \mathrm{cosine}(1/\mathrm{up} \to 1, \; b / p) & b \le p \\
            \mathrm{cosine}(1 \to 1/(\mathrm{up} \cdot \mathrm{down}), \; (b - p) / (n - 1 - p)) & b > p \end{cases}

    It equals `torch.optim.lr_scheduler.OneCycleLR(max_lr=lr, total_steps=n, pct_start=rise, div_factor=up,
    final_div_factor=down, cycle_momentum=False)`, stepped once a batch.

    Args:
        rise: share of the batches on the way up, between 0 and 1.
        up: ratio of the peak to the first learning rate, 1 or more.
        down: ratio of the first to the last learning rate, 1 or more.

    Raises:
        InputError: a number out of range.

    Source: Smith & Topin 2018, arXiv:1708.07120.

    >>> schedule = OneCycle(rise=0.3, up=25.0, down=10000.0)
    >>> schedule.factor(Moment(epoch=0, epochs=10, batch=2, batches=1, losses=()))
    1.0
    """

    def __init__(self, *, rise: float, up: float, down: float) -> None:
        self.rise = require_number("schedule.rise", rise, low=0, high=1)
        if self.rise in (0, 1):
            raise InputError(f"schedule.rise={rise}: a share between 0 and 1 is needed, e.g. 0.3")
        self.up = require_number("schedule.up", up, low=1, high=1e9)
        self.down = require_number("schedule.down", down, low=1, high=1e9)

    def factor(self, moment: Moment) -> float:
        """Return the factor f(b) of the moment's batch."""
        batch, last = moment.epoch * moment.batches + moment.batch, moment.epochs * moment.batches - 1
        peak = self.rise * (last + 1) - 1
        if batch <= peak:
            return half_cosine(1 / self.up, 1.0, batch / peak if peak > 0 else 1.0)
        return half_cosine(1.0, 1 / (self.up * self.down), (batch - peak) / (last - peak))
