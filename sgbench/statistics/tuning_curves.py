"""What tuning buys and how forgiving a method is: statistics over the settings that were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import Floats

BEST_CELLS = 10
MIN_SLOPES = 2


@dataclass(frozen=True)
class Trial:
    """One setting: what selects it (the larger the better), what the test set says, and its slope if it has one."""

    validation: float
    test: float
    slope: float | None
    runs: int
    failed: int


def expected_best(trials: Sequence[Trial]) -> tuple[Floats, Floats]:
    r"""The expected validation score of the best of n trials drawn without replacement, and its test score.

    .. math:: E[v_{(\max)} \mid n] = \sum_{i=n}^{N} v_{(i)} \binom{i-1}{n-1} \Big/ \binom{N}{n}

    Sorted by validation, the i-th of N is the best of n with that weight. The weights are those of the unbiased
    estimator; the plug-in one of Dodge et al. draws with replacement and is too low near n = N. Test scores get the
    same weights, so they are those of the trial that validation selects, never the best test score.

    Source: Dodge et al. 2019, D19-1224; Tang et al. 2020, arXiv:2004.13705, for the bias.

    Returns:
        expected validation and test score for n = 1, 2, ..., N.

    >>> trials = [Trial(0.5, 0.4, None, 1, 0), Trial(0.7, 0.8, None, 1, 0)]
    >>> validation, test = expected_best(trials)
    >>> validation.round(3), test.round(3)
    (array([0.6, 0.7]), array([0.6, 0.8]))
    """
    ordered = sorted(trials, key=lambda trial: (trial.validation, trial.test))
    total = len(ordered)
    weights = np.array([_weights(n, total) for n in range(1, total + 1)])
    scores = np.array([[trial.validation, trial.test] for trial in ordered])
    validation, test = (weights @ scores).T
    return validation, test


def _weights(n: int, total: int) -> list[float]:
    every = math.comb(total, n)
    return [math.comb(index, n - 1) / every for index in range(total)]


def slope_sensitivity(trials: Sequence[Trial]) -> float | None:
    r"""The mean score over slopes, each weighted by its share of the logarithmic axis; None for one slope.

    .. math:: \frac{1}{\log k_\max - \log k_\min} \int_{\log k_\min}^{\log k_\max} s(k) \, d\log k

    By trapezoids. Where one slope was tried with several other settings, the best on validation stands for it.
    Equal to the best score for a method whose slope does not matter; the less the more it does.

    >>> flat = [Trial(0.9, 0.9, slope, 1, 0) for slope in (1.0, 10.0, 100.0)]
    >>> peaked = [Trial(score, score, slope, 1, 0) for slope, score in ((1.0, 0.1), (10.0, 0.9), (100.0, 0.1))]
    >>> round(slope_sensitivity(flat), 3), round(slope_sensitivity(peaked), 3)
    (0.9, 0.5)
    """
    best: dict[float, Trial] = {}
    for trial in trials:
        slope = trial.slope
        if slope is None or slope <= 0:
            continue
        known = best.get(slope)
        if known is None or (trial.validation, trial.test) > (known.validation, known.test):
            best[slope] = trial
    if len(best) < MIN_SLOPES:
        return None
    places = np.log(sorted(best))
    scores = np.array([best[slope].test for slope in sorted(best)])
    area = ((scores[1:] + scores[:-1]) / 2 * np.diff(places)).sum()
    return float(area / (places[-1] - places[0]))


def best_cells(trials: Sequence[Trial], *, count: int = BEST_CELLS) -> float:
    """The mean test score of the settings that validation ranks first: of ten, or of all where there are fewer.

    Source: Zenke & Vogels 2021, Neural Computation 33(4), who average the ten best cells of a grid.

    >>> best_cells([Trial(0.9, 0.8, None, 1, 0), Trial(0.1, 0.2, None, 1, 0)], count=1)
    0.8
    """
    ordered = sorted(trials, key=lambda trial: (-trial.validation, trial.test))[:count]
    return math.fsum(trial.test for trial in ordered) / len(ordered)


def failed_share(trials: Sequence[Trial]) -> float:
    """The share of runs that failed.

    >>> failed_share([Trial(0.9, 0.8, None, 3, 0), Trial(0.1, 0.1, None, 1, 1)])
    0.25
    """
    return sum(trial.failed for trial in trials) / sum(trial.runs for trial in trials)
