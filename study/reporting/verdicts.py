"""Verdicts on registered hypotheses: confirmed, refuted or open, with their statistics."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sgbench.statistics.pairs import holm
from sgbench.tables import NONE, p_text

VerdictWord = Literal["confirmed", "refuted", "open"]
Item = str | float | int | None
"""Content of a table cell."""


@dataclass(frozen=True)
class HypothesisResult:
    """Describes one hypothesis and its test on the runs."""

    name: str  # H1 to H9
    claim: str  # in words
    cells: str  # that it is decided by, in words
    seeds: str  # how many there are, in words
    # Of the claim, as the registration defines it; None where no run speaks of it.
    p_confirmed: float | None = None
    p_refuted: float | None = None  # of what would refute it
    why: str = ""  # the numbers in one sentence
    header: tuple[str, ...] = ()
    rows: tuple[tuple[Item, ...], ...] = ()  # the numbers that the verdict rests on
    level_factor: float = 1.0  # how many times stricter its level is than the others'
    # Of the more likely of the two, after Holm's correction over all hypotheses.
    p_corrected: float | None = None
    level: float = 0.05

    @property
    def p(self) -> float | None:
        """Return the smaller of the two p-values, scaled to the level of the study."""
        if self.p_confirmed is None or self.p_refuted is None:
            return None
        return min(1.0, self.level_factor * min(self.p_confirmed, self.p_refuted))

    @property
    def alone(self) -> VerdictWord:
        return self._word(self.p)

    @property
    def verdict(self) -> VerdictWord:
        return self._word(self.p_corrected)

    @property
    def p_texts(self) -> list[str]:
        """Write the p-values of the claim, of what would refute it, and after correction; a dash for none."""
        return [NONE if p is None else p_text(p) for p in (self.p_confirmed, self.p_refuted, self.p_corrected)]

    def _word(self, p: float | None) -> VerdictWord:
        """Return the verdict for a corrected p: open unless it is below the level."""
        if p is None or p > self.level or self.p_confirmed is None or self.p_refuted is None:
            return "open"
        return "confirmed" if self.p_confirmed <= self.p_refuted else "refuted"


def corrected(results: Sequence[HypothesisResult]) -> list[HypothesisResult]:
    """Correct the p-values of all hypotheses together by Holm's method; one without a p-value is not counted.

    Of each hypothesis the smaller of its two p-values takes part. Only one of the two claims can be false, so the
    chance of a false verdict among all stays at the level as with tests that also name a direction.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2); Shaffer 1980, Annals of Statistics 8(6), for
    directions.
    """
    p = holm(np.array([math.nan if result.p is None else result.p for result in results]))
    return [
        replace(result, p_corrected=None if math.isnan(value) else value)
        for result, value in zip(results, p.tolist(), strict=True)
    ]


def one_side(count: int, runs: int, *, above: bool) -> float:
    """Return the p-value of Wilson's interval: at most .05 exactly where that of 95 % excludes one half.

    It is 1 where the share lies on the other side of one half.

    >>> round(one_side(10, 10, above=True), 4), one_side(10, 10, above=False), round(one_side(8, 10, above=True), 3)
    (0.0016, 1.0, 0.058)
    """
    from scipy.special import ndtr

    z = (count - runs / 2) / math.sqrt(runs / 4)
    if (z > 0) != above or z == 0:
        return 1.0
    return 2 * float(ndtr(-abs(z)))


def limits(numbers: Iterable[float], level: float) -> tuple[float, float]:
    """Compute the one-sided limits of a mean by Student's t, each at a level.

    >>> low, high = limits([1.0, 2.0, 3.0], 0.05)  # 2 -+ 2.920 / sqrt(3)
    >>> round(low, 3), round(high, 3)
    (0.314, 3.686)
    """
    from scipy.stats import t

    values = np.asarray(list(numbers), dtype=float)
    half = float(t.ppf(1 - level, len(values) - 1) * values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def p_below(numbers: Iterable[float], border: float) -> float:
    """Return the one-sided p-value of "the mean is below a border" by a t-test; 0 or 1 where nothing varies.

    >>> round(p_below([0.0, 1.0, 2.0], 3.0), 4), p_below([2.0, 2.0], 3.0)  # t = -2 sqrt 3 with 2 degrees of freedom
    (0.0371, 0.0)
    """
    from scipy.stats import t

    values = np.asarray(list(numbers), dtype=float)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error == 0:
        return float(values.mean() >= border)
    return float(t.cdf((values.mean() - border) / error, len(values) - 1))
