"""The trend of a score along a covariate of the methods, such as a surrogate's slope at rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast
from sgbench.statistics.pairs import ROUNDING
from sgbench.statistics.score_table import number_array, score_table


@dataclass(frozen=True)
class Trend:
    """Holds the slope of the score on the covariate; the ends are None where all seeds have the same slope."""

    slope: float  # in the unit of the scores for each unit of the covariate
    error: float
    low: float | None
    high: float | None
    p: float
    by_seed: tuple[float, ...]


def trend(scores: ArrayLike, covariate: ArrayLike, *, confidence: float = 0.95) -> Trend:
    r"""Fit one slope for each seed and test the mean slope over seeds.

    .. math:: b_j = \frac{\sum_i (x_i - \bar x) \, y_{ij}}{\sum_i (x_i - \bar x)^2}, \quad
        t = \frac{\bar b \sqrt n}{s_b}

    The slope is one contrast of the methods, so a test with one degree of freedom finds a trend that all pairs,
    corrected for their number, cannot. Slopes of seeds vary as they do, so unequal variances of the methods change
    nothing. It says whether the score goes up along the covariate, not that it goes up straight. A ratio, as of
    spikes, is a trend of logarithms.

    `scores`: by method and seed [methods, seeds], complete, in any unit. `covariate`: of each method [methods], such as
    the slope at rest; not all equal. `confidence`: of the interval.

    Source: Lorch & Myers 1990, Journal of Experimental Psychology: LMC 16(1), method 3 (one slope a replicate).

    >>> result = trend([[80.0, 81.0], [79.0, 81.0], [78.0, 80.0]], [0.0, 0.1, 0.2])
    >>> [round(slope, 6) for slope in result.by_seed], round(result.slope, 6)
    ([-10.0, -5.0], -7.5)
    """
    table = score_table(scores)
    places = number_array(covariate, name="covariate")
    if places.shape != (len(table),):
        raise InputError(f"covariate: one value for each of {len(table)} methods is needed, not {places.shape}")
    centred = places - places.mean()
    if np.ptp(places) <= ROUNDING:
        raise InputError(f"covariate: at least two different values are needed, all are {places[0]:g}")
    weights = centred / (centred @ centred)
    result = contrast(table, weights, confidence=confidence)
    return Trend(result.estimate, result.error, result.low, result.high, result.p, tuple((weights @ table).tolist()))
