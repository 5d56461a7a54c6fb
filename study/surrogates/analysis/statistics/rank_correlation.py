"""Does one number tell another: Spearman's rank correlation with its interval, and the error of a prediction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.statistics.intervals import summarise
from sgbench.statistics.score_table import MIN_INTERVAL_SEEDS, number_array, score_table

LARGEST = 0.999
"""Correlations are cut here before they are stretched, since 1 has no finite place on that scale."""


def error_between_groups(x: ArrayLike, y: ArrayLike, groups: Sequence[str]) -> float:
    """Return the mean absolute error of y predicted from x by the cases of all other groups.

    A case is predicted by the straight line between its two neighbours in x among the others, beyond which the
    nearest counts; of others with equal x their mean counts.

    >>> error_between_groups([1.0, 3.0, 2.0], [10.0, 30.0, 26.0], ["a", "a", "b"])  # 6, and 16 and 4 from one alone
    8.666666666666666
    """
    places, wanted, names = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(groups)
    errors = np.empty(len(places))
    for name in dict.fromkeys(groups):
        own = names == name
        steps, index = np.unique(places[~own], return_inverse=True)
        means = np.bincount(index, weights=wanted[~own]) / np.bincount(index)
        errors[own] = np.abs(np.interp(places[own], steps, means) - wanted[own])
    return float(errors.mean())


@dataclass(frozen=True)
class RankCorrelation:
    """Holds a mean correlation over seeds with its interval; the ends are None for fewer than five seeds."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation, equal values sharing a rank; NaN where one of the two does not vary.

    Source: Spearman 1904, American Journal of Psychology 15(1).

    >>> spearman([1.0, 2.0, 30.0], [5.0, 6.0, 7.0]), spearman([0.0, 0.0, 1.0], [2.0, 2.0, 1.0])
    (1.0, -1.0)
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.asarray(values, dtype=float)) for values in (x, y)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / scale if scale > 0 else math.nan


def rank_correlation(x: ArrayLike, scores: ArrayLike) -> RankCorrelation:
    r"""Compute the rank correlation of one number of each case with its scores, averaged over seeds.

    .. math:: \bar r = \tanh\left(\frac1n \sum_j \operatorname{artanh} r_j\right)

    with Student's interval on the stretched scale. It covers what another seed would change, not other cases.

    `x`: one number a case [cases]; infinite ones rank highest. `scores`: by case and seed [cases, seeds].

    Source: Fisher 1921, Metron 1(4), for the scale.

    >>> result = rank_correlation([1.0, 2.0, 3.0, 4.0], [[1.0, 1.0], [2.0, 3.0], [3.0, 2.0], [4.0, 4.0]])
    >>> round(result.mean, 3), result.low
    (0.985, None)
    """
    table = score_table(scores)
    places = np.asarray(x, dtype=float)
    if places.shape != (len(table),):
        raise InputError(f"x: one number for each of {len(table)} cases is needed, not {places.shape}")
    correlations = number_array([spearman(places, column) for column in table.T], name="correlations of x and scores")
    stretched = summarise(np.arctanh(np.clip(correlations, -LARGEST, LARGEST)).tolist())
    seeds = len(correlations)
    if stretched.low is None or stretched.high is None or seeds < MIN_INTERVAL_SEEDS:
        return RankCorrelation(math.tanh(stretched.mean), None, None, seeds)
    return RankCorrelation(math.tanh(stretched.mean), math.tanh(stretched.low), math.tanh(stretched.high), seeds)
