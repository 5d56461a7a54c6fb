"""Cosine annealing, after an optional linear warm-up."""

from sgbench.errors import InputError, require_number
from sgbench.schedules.base import Moment, RateSchedule, half_cosine


class CosineRate(RateSchedule):
    r"""Lowers the learning rate on half a cosine from epoch to epoch, after a linear warm-up.

    .. math::
        f(e) = \begin{cases} s + (1 - s) e / w & e < w \\
            r + (1 - r) \left(1 + \cos \pi \frac{e - w}{E - w}\right) / 2 & e \ge w \end{cases}

    for epoch e of E, a warm-up of w epochs from the factor s, and r the factor that the epoch after the last would
    have. It equals `torch.optim.lr_scheduler.LinearLR(start_factor=s, total_iters=w)`, followed by
    `CosineAnnealingLR(T_max=E - w, eta_min=r * lr)`, stepped once an epoch.

    Args:
        final: factor r, from 0 to 1; with 1 the learning rate is constant after the warm-up.
        warm_up_epochs: number w of epochs of the warm-up, 0 for none.
        start: factor s of the first epoch of a warm-up, from 1e-6 to 1.

    Raises:
        InputError: a number out of range.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983; the warm-up of Goyal et al. 2017, arXiv:1706.02677.

    >>> schedule = CosineRate(final=0.0, warm_up_epochs=0, start=0.1)
    >>> schedule.factor(Moment(epoch=5, epochs=10, batch=0, batches=1, losses=()))
    0.5
    """

    def __init__(self, *, final: float, warm_up_epochs: int, start: float) -> None:
        self.final = require_number("schedule.final", final, low=0, high=1)
        self.warm_up_epochs = int(require_number("schedule.warm_up_epochs", warm_up_epochs, low=0, high=1e6))
        if self.warm_up_epochs != warm_up_epochs:
            raise InputError(f"schedule.warm_up_epochs={warm_up_epochs}: a whole number of epochs is needed")
        self.start = require_number("schedule.start", start, low=1e-6, high=1)

    def factor(self, moment: Moment) -> float:
        """Return the factor f(e) of the moment's epoch, the same for all its batches.

        Raises:
            InputError: the warm-up takes all epochs.
        """
        cosine_epochs = moment.epochs - self.warm_up_epochs
        if cosine_epochs < 1:
            raise InputError(
                f"schedule.warm_up_epochs={self.warm_up_epochs}: the protocol has {moment.epochs} epochs; "
                f"leave at least one"
            )
        if moment.epoch < self.warm_up_epochs:
            return self.start + (1 - self.start) * moment.epoch / self.warm_up_epochs
        return half_cosine(1.0, self.final, (moment.epoch - self.warm_up_epochs) / cosine_epochs)
