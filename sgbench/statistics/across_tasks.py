"""Compare methods over several tasks: interquartile mean, performance profile, ranks and critical difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import Floats

RESAMPLES = 10_000
QUARTER = 0.25
Tasks = Sequence[Floats]
"""Scores of one method: an array [seeds] for each task."""


def interquartile_mean(tasks: Tasks) -> float:
    """Compute the mean of the middle half of one method's runs, pooled over all tasks.

    Source: Agarwal et al. 2021, arXiv:2108.13264.

    >>> interquartile_mean([np.array([0.0, 1.0, 2.0, 100.0])])
    1.5
    """
    return float(_middle_half_mean(np.concatenate(tasks)[None])[0])


def _middle_half_mean(pooled: Floats) -> Floats:
    """Compute the mean of the middle half of each row of `pooled` [rows, runs]; returns [rows]."""
    ordered = np.sort(pooled, axis=1)
    cut = int(QUARTER * ordered.shape[1])
    return ordered[:, cut : ordered.shape[1] - cut].mean(axis=1)


def interquartile_interval(
    tasks: Tasks, *, generator: np.random.Generator, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Compute the bootstrap interval of the interquartile mean, with seeds resampled within each task.

    `tasks`: one method's scores, an array [seeds] for each task; `generator`: draws the seeds of each resample;
    `resamples`: count of bootstrap draws.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4 (stratified bootstrap).

    >>> tasks = [np.full(5, 0.5), np.full(5, 0.7)]
    >>> low, high = interquartile_interval(tasks, generator=np.random.default_rng(0), resamples=9)
    >>> round(low, 12), round(high, 12)
    (0.6, 0.6)
    """
    drawn = [scores[generator.integers(len(scores), size=(resamples, len(scores)))] for scores in tasks]
    tail = (1 - confidence) / 2
    low, high = np.quantile(_middle_half_mean(np.concatenate(drawn, axis=1)), [tail, 1 - tail])
    return float(low), float(high)


def performance_profile(tasks: Tasks, thresholds: Floats) -> Floats:
    r"""Compute the share of runs above each threshold, averaged over tasks.

    .. math:: F(\tau) = \frac1M \sum_m \frac1{N_m} \sum_n [x_{m,n} > \tau]

    x_{m,n} is the score of run n on task m of M, tau a threshold. Takes thresholds [T] and returns shares [T].

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.2; Dolan & More 2002, Mathematical Programming 91.

    >>> performance_profile([np.array([0.2, 0.8]), np.array([0.6, 0.9])], np.array([0.0, 0.5, 0.85]))
    array([1.  , 0.75, 0.25])
    """
    return np.mean([(scores[:, None] > thresholds).mean(axis=0) for scores in tasks], axis=0)


@dataclass(frozen=True)
class RankTest:
    """Holds methods' mean ranks over tasks, 1 the best, with Friedman's test and Nemenyi's critical difference."""

    mean_ranks: tuple[float, ...]  # of each method, in the order of the columns of scores
    chi_squared: float  # Friedman's statistic
    f: float  # Iman and Davenport's statistic, infinite if all tasks agree
    p: float  # of `f`
    critical_difference: float  # mean ranks that differ by more are significantly different


def rank_test(scores: Floats, *, level: float = 0.05) -> RankTest:
    r"""Test by Friedman whether methods differ over tasks, and compute Nemenyi's critical difference of mean ranks.

    .. math:: \chi^2_F = \frac{12 N}{k(k+1)} \left[\sum_j R_j^2 - \frac{k(k+1)^2}{4}\right], \quad
              F = \frac{(N-1)\chi^2_F}{N(k-1) - \chi^2_F}, \quad
              CD = q_\alpha \sqrt{\frac{k(k+1)}{6N}}

    N counts tasks and k methods, R_j is the mean rank of method j, and q the quantile of the studentised range
    divided by the square root of two. Ties take the mean of their ranks, and
    the statistic is divided by the usual correction for them. Ten tasks and more are needed for any power, and the
    ranks change when a weak method joins.

    `scores`: the larger the better [tasks, methods]; at least two of each. `level`: alpha, the significance level of
    the critical difference.

    Source: Demsar 2006, JMLR 7; Iman & Davenport 1980, Communications in Statistics A 9(6).

    >>> rank_test(np.array([[0.9, 0.8], [0.7, 0.6], [0.8, 0.9]])).mean_ranks
    (1.3333333333333333, 1.6666666666666667)
    """
    from scipy.stats import f as f_distribution
    from scipy.stats import rankdata, studentized_range

    n, k = scores.shape
    ranks = rankdata(-scores, axis=1)
    mean = ranks.mean(axis=0)
    spread = n * k * (k + 1) / 12 * _tie_correction(ranks)
    chi = float(((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2).sum() / spread) if spread else 0.0
    denominator = n * (k - 1) - chi
    f = math.inf if denominator <= 0 else (n - 1) * chi / denominator
    p = float(f_distribution.sf(f, k - 1, (n - 1) * (k - 1)))
    q = float(studentized_range.ppf(1 - level, k, np.inf)) / math.sqrt(2)
    return RankTest(tuple(map(float, mean)), chi, f, p, q * math.sqrt(k * (k + 1) / (6 * n)))


def _tie_correction(ranks: Floats) -> float:
    """Compute the factor that corrects Friedman's statistic for ties in ranks [tasks, methods]; 1 without ties."""
    n, k = ranks.shape
    ties = 0.0
    for row in ranks:
        _, counts = np.unique(row, return_counts=True)
        ties += float((counts**3 - counts).sum())
    return 1 - ties / (n * (k**3 - k))
