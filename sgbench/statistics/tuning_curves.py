"""Statistics over tried settings: the gain by tuning, and the sensitivity to settings."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import Floats

BEST_CELLS = 10
MIN_SLOPES = 2
BAND = 0.8
DRAWS = 2000


@dataclass(frozen=True)
class Trial:
    """Holds the mean scores of one tried setting, larger is better."""

    validation: float  # the score by which a setting is selected
    test: float
    slope: float | None  # steepness of the surrogate; None if it has none
    runs: int  # count of runs
    failed: int  # count of failed runs


def expected_best(trials: Sequence[Trial]) -> tuple[Floats, Floats]:
    r"""Compute the expected validation score of the best of n trials without replacement, and its test score.

    .. math:: E[v_{(\max)} \mid n] = \sum_{i=n}^{N} v_{(i)} \binom{i-1}{n-1} \Big/ \binom{N}{n}

    v_(i) is the i-th smallest of N validation scores; its weight is the probability to be the best of n. This estimator
    is unbiased; that of Dodge et al. draws with replacement and is too low near n = N. Test scores get the same
    weights, so they are those of the trial that validation selects. Trials with equal validation scores are selected
    equally often, so each counts with the mean of their test scores. Returns expected validation scores and expected
    test scores for n = 1, 2, ..., N, both [N].

    Source: Dodge et al. 2019, D19-1224; Tang et al. 2020, arXiv:2004.13705, for the bias.

    >>> trials = [Trial(0.5, 0.4, None, 1, 0), Trial(0.7, 0.8, None, 1, 0)]
    >>> validation, test = expected_best(trials)
    >>> validation.round(3), test.round(3)
    (array([0.6, 0.7]), array([0.6, 0.8]))
    """
    ordered = sorted(trials, key=lambda trial: trial.validation)
    total = len(ordered)
    weights = np.array([_chances_to_be_best(n, total) for n in range(1, total + 1)])
    validation, test = (np.array([getattr(trial, name) for trial in ordered]) for name in ("validation", "test"))
    return weights @ validation, weights @ _averaged_over_ties(validation, test[None])[0]


def _averaged_over_ties(validation: Floats, test: Floats) -> Floats:
    """Give trials with equal validation scores the mean of their test scores, row by row [rows, trials].

    `validation`: of each trial, [trials] or [rows, trials]; `test`: of each trial [rows, trials].
    """
    _, group = np.unique(validation, return_inverse=True)
    # Row, and group of equal validation scores, of each trial.
    indices = np.arange(len(test))[:, None], np.broadcast_to(group.reshape(np.shape(validation)), test.shape)
    sums, counts = np.zeros((2, len(test), group.max() + 1))  # [rows, groups] each
    np.add.at(sums, indices, test)
    np.add.at(counts, indices, 1.0)
    return sums[indices] / counts[indices]


def best_band(
    trials: Sequence[Trial], generator: np.random.Generator, *, share: float = BAND, draws: int = DRAWS
) -> tuple[Floats, Floats]:
    """Compute the band of the expected test score of the best of n settings, by a bootstrap over settings.

    Settings are drawn with replacement, as many as there are, and `expected_best` is computed for each draw, with
    its rule for ties. The band holds the middle share of these. It covers which settings a search happens to try,
    not the noise of training.

    `trials`: the settings; with a single one the band has no width. `draws`: count of bootstrap draws. Returns lower
    ends and upper ends of the band for n = 1, 2, ..., N, both [N].

    Source: Dodge et al. 2019, D19-1224, for the curve; Efron & Tibshirani 1993, chapter 13, for percentiles.

    >>> low, high = best_band([Trial(0.5, 0.4, None, 1, 0), Trial(0.7, 0.8, None, 1, 0)], np.random.default_rng(0))
    >>> low.tolist(), high.tolist()
    ([0.4, 0.4], [0.8, 0.8])
    """
    total = len(trials)
    weights = np.array([_chances_to_be_best(n, total) for n in range(1, total + 1)])
    ordered = sorted(trials, key=lambda trial: trial.validation)
    # With trials in the order of validation, a draw in that order is its sorted indices.
    indices = np.sort(generator.integers(total, size=(draws, total)), axis=1)
    validation, test = (
        np.array([getattr(trial, name) for trial in ordered])[indices] for name in ("validation", "test")
    )
    curves = _averaged_over_ties(validation, test) @ weights.T  # [draws, n]
    low, high = np.quantile(curves, [(1 - share) / 2, (1 + share) / 2], axis=0)
    return low, high


def median_of_bests(bests: Sequence[float]) -> float:
    """Compute AlgoPerf's score: the median of the best scores of studies, or the lower middle one of an even count.

    Larger is better; a study that found nothing counts as minus infinity, which a mean of two would spread.

    Source: Dahl et al. 2023, arXiv:2306.07179, section 4.3.

    >>> median_of_bests([0.9, 0.7, 0.8]), median_of_bests([0.9, -math.inf])
    (0.8, -inf)
    """
    return statistics.median_low(bests)


def _chances_to_be_best(n: int, total: int) -> list[float]:
    """Compute for each of `total` settings, the worst first, its probability to be the best of n drawn ones."""
    draws = math.comb(total, n)
    return [math.comb(index, n - 1) / draws for index in range(total)]


def slope_sensitivity(trials: Sequence[Trial]) -> float | None:
    r"""Average test scores over the logarithmic axis of slopes; None unless two slopes above 0 were tried.

    .. math:: \frac{1}{\log k_\max - \log k_\min} \int_{\log k_\min}^{\log k_\max} s(k) \, d\log k

    k is the slope and s(k) its test score; the integral is by trapezoids. A slope that was tried with several other
    settings has the score of the one that is best on validation, and of equal ones their mean. The more the slope
    matters, the further the result is below the best score.

    >>> flat = [Trial(0.9, 0.9, slope, 1, 0) for slope in (1.0, 10.0, 100.0)]
    >>> peaked = [Trial(score, score, slope, 1, 0) for slope, score in ((1.0, 0.1), (10.0, 0.9), (100.0, 0.1))]
    >>> round(slope_sensitivity(flat), 3), round(slope_sensitivity(peaked), 3)
    (0.9, 0.5)
    """
    by_slope: dict[float, list[Trial]] = {}
    for trial in trials:
        if trial.slope is not None and trial.slope > 0:
            by_slope.setdefault(trial.slope, []).append(trial)
    if len(by_slope) < MIN_SLOPES:
        return None
    log_slopes = np.log(sorted(by_slope))
    scores = np.array([best_cells(by_slope[slope], count=1) for slope in sorted(by_slope)])
    area = ((scores[1:] + scores[:-1]) / 2 * np.diff(log_slopes)).sum()
    return float(area / (log_slopes[-1] - log_slopes[0]))


def best_cells(trials: Sequence[Trial], *, count: int = BEST_CELLS) -> float:
    """Average the test scores of the `count` settings with the best validation scores, or of all if fewer.

    Settings with equal validation scores are taken equally often: each counts with the mean of their test scores.

    Source: Zenke & Vogels 2021, Neural Computation 33(4), who average the ten best cells of a grid.

    >>> best_cells([Trial(0.9, 0.8, None, 1, 0), Trial(0.1, 0.2, None, 1, 0)], count=1)
    0.8
    """
    ordered = sorted(trials, key=lambda trial: -trial.validation)
    validation, test = (np.array([getattr(trial, name) for trial in ordered]) for name in ("validation", "test"))
    return float(_averaged_over_ties(validation, test[None])[0, :count].mean())


def failed_share(trials: Sequence[Trial]) -> float:
    """Compute the share of runs that failed.

    >>> failed_share([Trial(0.9, 0.8, None, 3, 0), Trial(0.1, 0.1, None, 1, 1)])
    0.25
    """
    return sum(trial.failed for trial in trials) / sum(trial.runs for trial in trials)
