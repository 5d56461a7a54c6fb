"""Mean and interval over the seeds of one method."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Scale = Literal["real", "share", "positive"]
"""Range of values: any real number (differences), from 0 to 1 (accuracies), or above 0 (losses)."""
LARGEST_EXPONENT = 700.0
"""Largest exponent of e in double precision."""


@dataclass(frozen=True)
class Summary:
    r"""Holds the mean of `n` seeds with its interval, which stays within the range of the values.

    With h, half the width of Student's interval, the ends of real numbers are :math:`\bar x \pm h`. For shares the
    interval is computed on the logit, and for positive numbers on the logarithm, by the delta method:

    .. math::
        \operatorname{logit}(\bar x) \pm \frac{h}{\bar x (1 - \bar x)}, \qquad \ln \bar x \pm \frac{h}{\bar x}

    One seed has no interval, and equal seeds have one of width 0.

    >>> shares = Summary(0.98, 0.05, 3, "share")
    >>> round(shares.low, 4), round(shares.high, 4)
    (0.7926, 0.9984)
    """

    mean: float
    half_width: float | None  # of Student's interval; None with one seed
    n: int
    scale: Scale = "real"

    @property
    def low(self) -> float | None:
        return None if self.half_width is None else self._end(-self.half_width)

    @property
    def high(self) -> float | None:
        return None if self.half_width is None else self._end(self.half_width)

    @property
    def ends(self) -> tuple[float, float] | None:
        """Return both ends of the interval; None with one seed, or if the values of all seeds are equal."""
        low, high = self.low, self.high
        return None if low is None or high is None or low == high else (low, high)

    def _end(self, reach: float) -> float:
        """Return the end that is `reach` (plus or minus the half-width) from the mean, within the values' range."""
        mean = self.mean
        if self.scale == "share" and 0 < mean < 1:
            return mean / (mean + (1 - mean) * _exp(-reach / (mean * (1 - mean))))
        if self.scale == "positive" and mean > 0:
            return mean * _exp(reach / mean)
        return mean + reach


def _exp(exponent: float) -> float:
    return math.exp(min(exponent, LARGEST_EXPONENT))


def summarise(values: Sequence[float], *, confidence: float = 0.95, scale: Scale = "real") -> Summary:
    r"""Compute the mean of values over seeds, with Student's interval.

    .. math:: h = t_{n-1,\,(1+c)/2} \, \frac{s}{\sqrt n}

    s is the standard deviation with n - 1 in the denominator. `Summary` computes the ends; one value has none.
    Sums are exact, so the order of the values changes nothing. A percentile bootstrap of five values covers the
    mean in 85 of 100 cases where these intervals cover it in 95. Near 100 %, where accuracies are skewed, the
    interval on the logit covers it oftener than Student's; docs/protocols.md has the simulation.

    `values`: one value for each seed, in any unit; at least one. `confidence`: c, the share of intervals that cover the
    true mean if values are normally distributed. `scale`: range of the values: `real`, `share` (0 to 1) or `positive`.

    Source: Student 1908, Biometrika 6(1); Oehlert 1992, The American Statistician 46(1), for the delta method.

    >>> summary = summarise([0.90, 0.92])  # t = 12.706, s / sqrt(2) = 0.01
    >>> round(summary.mean, 4), round(summary.half_width, 4)
    (0.91, 0.1271)
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, None, n, scale)
    return Summary(mean, t_quantile(confidence, n - 1) * standard_deviation(values) / math.sqrt(n), n, scale)


@functools.cache
def t_quantile(confidence: float, degrees: float) -> float:
    """Compute the two-sided quantile of Student's t: half the width of an interval, in standard errors.

    >>> round(t_quantile(0.95, 4), 3)
    2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


def standard_deviation(values: Sequence[float]) -> float:
    """Compute the standard deviation of at least two values, with n - 1 in the denominator.

    >>> standard_deviation([1.0, 3.0])
    1.4142135623730951
    """
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
