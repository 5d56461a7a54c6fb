"""Statistics of a board: mean and interval over seeds, and ranks that admit ties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Mean over `n` seeds, with half the width of its interval, or None where one seed gives none."""

    mean: float
    half_width: float | None
    n: int

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


@dataclass(frozen=True)
class Place:
    """A rank; `tied` where another method has the same one."""

    rank: int
    tied: bool


def summarise(values: Sequence[float], *, confidence: float = 0.95) -> Summary:
    r"""Mean and Student t-interval of values that vary by training noise.

    .. math:: \bar x \pm t_{n-1,\,(1+c)/2} \, \frac{s}{\sqrt n}

    With s the standard deviation with n - 1 in the denominator. One value has no interval. Sums are exact, so
    the order of the values changes nothing.

    Args:
        values: one per seed, in any unit; at least one.
        confidence: c, the share of intervals that cover the true mean if values are normally distributed.

    >>> summary = summarise([0.90, 0.92])  # t = 12.706, s / sqrt(2) = 0.01
    >>> round(summary.mean, 4), round(summary.half_width, 4)
    (0.91, 0.1271)
    """
    from scipy.stats import t

    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, None, n)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Summary(mean, float(t.ppf((1 + confidence) / 2, n - 1)) * math.sqrt(variance / n), n)


def counted_accuracies(accuracies: Sequence[float | None], *, classes: int) -> list[float]:
    """One accuracy per seed; a seed that failed (None) counts as guessing, 1 / classes.

    >>> counted_accuracies([0.9, None], classes=10)
    [0.9, 0.1]
    """
    return [1 / classes if accuracy is None else accuracy for accuracy in accuracies]


def rank(summaries: Mapping[str, Summary]) -> dict[str, Place | None]:
    """Places by mean, where larger is better and overlapping intervals are not told apart.

    A method's rank is one plus the number of methods whose interval lies entirely above its own. Methods of one
    rank always overlap: one that lay above another would push it down. A method without an interval (one seed)
    has no place, None, and pushes nobody down.

    >>> places = rank({"a": Summary(0.9, 0.01, 5), "b": Summary(0.89, 0.01, 5), "c": Summary(0.5, 0.01, 5)})
    >>> [(name, place.rank, place.tied) for name, place in places.items()]
    [('a', 1, True), ('b', 1, True), ('c', 3, False)]
    """
    ends = {
        name: (summary.low, summary.high)
        for name, summary in summaries.items()
        if summary.low is not None and summary.high is not None
    }
    ranks = {name: 1 + sum(low > high for low, _ in ends.values()) for name, (_, high) in ends.items()}
    taken = list(ranks.values())
    return {
        name: Place(ranks[name], taken.count(ranks[name]) > 1) if name in ranks else None
        for name in summaries
    }
