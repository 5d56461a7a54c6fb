"""The block model of methods and seeds, and a guard that says when its pooled error is not to be used."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgbench.statistics.blocks import residuals
from sgbench.statistics.pairs import ROUNDING, Floats
from sgbench.statistics.score_table import score_table

DRAWS = 1999
POOLING_LEVEL = 0.1
"""Below this p-value of the sphericity test the pooled error is not to be used."""


@dataclass(frozen=True)
class BlockModel:
    """Models scores as a sum of a term for each method and one for each seed."""

    means: tuple[float, ...]  # of the methods, in the unit of the scores
    variance: float  # of the residual, pooled over methods
    degrees: int  # of freedom of that variance
    f: float  # infinite where methods differ and nothing is left over
    p: float  # of F if the residuals of all methods vary alike
    p_unequal: float  # of F with Greenhouse and Geisser's degrees of freedom
    epsilon: float  # Box's: 1 where the residuals vary alike, 1 / (methods - 1) at worst


def fit_blocks(scores: ArrayLike) -> BlockModel:
    r"""Fit an effect of each method and of each seed, and test whether the methods differ.

    .. math:: y_{ij} = \mu_i + s_j + e_{ij}, \quad
        \hat\sigma^2 = \frac{\sum_{ij} (y_{ij} - \bar y_{i.} - \bar y_{.j} + \bar y_{..})^2}{(k-1)(n-1)}, \quad
        F = \frac{n \sum_i (\bar y_{i.} - \bar y_{..})^2 / (k-1)}{\hat\sigma^2}

    Where the residuals of the methods vary unequally, F's degrees of freedom shrink by Box's epsilon, estimated as
    Greenhouse and Geisser do from the covariance S of the residuals, :math:`(\mathrm{tr}\, S)^2 / ((k-1)\,
    \mathrm{tr}\, S^2)`. `scores`: by method and seed [methods k, seeds n], complete, in any unit.

    Source: Fisher 1935, The Design of Experiments, chapter 4; Box 1954, Annals of Mathematical Statistics 25(3),
    equation 6.1; Greenhouse & Geisser 1959, Psychometrika 24(2).

    >>> model = fit_blocks([[1.0, 2.0, 3.0], [2.0, 4.0, 3.0]])
    >>> model.means, model.variance, model.degrees
    ((2.0, 3.0), 0.5, 2)
    >>> round(model.f, 9), round(model.p, 3)
    (3.0, 0.225)
    """
    from scipy.special import fdtrc

    table = score_table(scores)
    methods, seeds = table.shape
    residual = residuals(table)
    degrees = (methods - 1) * (seeds - 1)
    variance = float((residual**2).sum()) / degrees
    means = table.mean(axis=1)
    between = seeds * float(means.var(ddof=1))
    epsilon = _epsilon(residual)
    if variance <= ROUNDING**2:
        differs = between > ROUNDING**2
        p = 0.0 if differs else 1.0
        return BlockModel(tuple(means.tolist()), variance, degrees, math.inf if differs else 0.0, p, p, epsilon)
    f = between / variance
    p = float(fdtrc(methods - 1, degrees, f))
    p_unequal = float(fdtrc(epsilon * (methods - 1), epsilon * degrees, f))
    return BlockModel(tuple(means.tolist()), variance, degrees, f, p, p_unequal, epsilon)


def _epsilon(residual: Floats) -> float:
    """Compute Greenhouse and Geisser's estimate of Box's epsilon; 1 where there is no residual."""
    covariance = residual @ residual.T
    total = float(np.trace(covariance))
    if total <= ROUNDING**2:
        return 1.0
    return min(1.0, total**2 / ((len(residual) - 1) * float((covariance**2).sum())))


@dataclass(frozen=True)
class Pooling:
    """Says whether the residuals of all methods vary alike, so that one pooled error serves all comparisons."""

    epsilon: float  # Box's: 1 where they do, 1 / (methods - 1) at worst
    p: float  # of the sphericity test
    largest_ratio: float  # of a pair's own variance over the pooled one, the largest; 1 where pooling is exact
    smallest_ratio: float
    trustworthy: bool


def poolable(
    scores: ArrayLike, *, generator: np.random.Generator, level: float = POOLING_LEVEL, draws: int = DRAWS
) -> Pooling:
    r"""Test whether one residual variance serves all pairs of methods, which the pooled error takes for granted.

    .. math:: U = \frac{1}{\hat\epsilon} - 1 =
        \frac{\mathrm{tr}\left(S / \bar\lambda - I\right)^2}{k-1}, \quad \bar\lambda = \frac{\mathrm{tr}\, S}{k-1}

    U is John's statistic, the locally most powerful invariant test of sphericity, with S the covariance of k - 1
    orthonormal contrasts. Its distribution for normal residuals that vary alike depends on k and n alone and is
    simulated. A failed test says that pooling is wrong; a passed one of few seeds does not say that it is right
    (see `contrast`).

    `scores`: by method and seed [methods k, seeds n], complete; `generator`: of the simulated distribution; `level`:
    below this p-value `trustworthy` is false.

    Source: John 1971, Biometrika 58(1); Box 1954, Annals of Mathematical Statistics 25(3).

    >>> steady, noisy = [[0.0, 0.1, 0.0, 0.1, 0.0], [0.1, 0.0, 0.0, 0.0, 0.1]], [[9.0, -8.0, 5.0, -7.0, 1.0]]
    >>> poolable(steady + noisy, generator=np.random.default_rng(0)).trustworthy
    False
    """
    table = score_table(scores, methods=3)
    residual = residuals(table)
    epsilon = _epsilon(residual)
    noise = generator.standard_normal((draws, *table.shape))
    noise -= noise.mean(axis=2, keepdims=True)
    noise -= noise.mean(axis=1, keepdims=True)
    covariance = noise @ noise.swapaxes(1, 2)
    totals = np.trace(covariance, axis1=1, axis2=2)
    simulated = totals**2 / ((len(table) - 1) * (covariance**2).sum(axis=(1, 2)))
    p = (1 + int((simulated <= epsilon + ROUNDING).sum())) / (draws + 1)
    ratios = _pair_ratios(residual)
    return Pooling(epsilon, p, float(ratios.max()), float(ratios.min()), p >= level)


def _pair_ratios(residual: Floats) -> Floats:
    """Compute each pair's variance of the difference over the one that the pooled error gives it [pairs]."""
    methods, seeds = residual.shape
    pooled = 2 * (residual**2).sum() / ((methods - 1) * (seeds - 1))
    first, second = np.triu_indices(methods, 1)
    own = (residual[first] - residual[second]).var(axis=1, ddof=1)
    return own / pooled if pooled > ROUNDING**2 else np.ones(len(own))
