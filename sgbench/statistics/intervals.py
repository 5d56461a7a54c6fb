"""Mean and interval over the seeds of one method."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Holds mean over `n` seeds, with half the width of its interval, or None where one seed gives none."""

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float | None:
        """Return the lower end of the interval; None with one seed."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Return the upper end of the interval; None with one seed."""
        return None if self.half_width is None else self.mean + self.half_width


def summarise(values: Sequence[float], *, confidence: float = 0.95) -> Summary:
    r"""Compute mean and Student t-interval of values that vary by training noise.

    .. math:: \bar x \pm t_{n-1,\,(1+c)/2} \, \frac{s}{\sqrt n}

    With s the standard deviation with n - 1 in the denominator. One value has no interval. Sums are exact, so
    the order of the values changes nothing. A percentile bootstrap of five values covers the mean in 85 of 100
    cases where this interval covers it in 95.

    Source: Student 1908, Biometrika 6(1).

    Args:
        values: one per seed, in any unit; at least one.
        confidence: c, the share of intervals that cover the true mean if values are normally distributed.

    >>> summary = summarise([0.90, 0.92])  # t = 12.706, s / sqrt(2) = 0.01
    >>> round(summary.mean, 4), round(summary.half_width, 4)
    (0.91, 0.1271)
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, None, n)
    return Summary(mean, t_quantile(confidence, n - 1) * standard_deviation(values) / math.sqrt(n), n)


@functools.cache
def t_quantile(confidence: float, degrees: float) -> float:
    """Compute how many standard errors a two-sided interval of Student's t reaches to each side.

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
