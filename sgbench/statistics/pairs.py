"""Compare two methods over their seeds: differences, tests, and the correction for many comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgbench.statistics.intervals import standard_deviation, t_quantile

Floats = NDArray[np.float64]
Scores = Mapping[int, float]
"""A method's accuracy by seed; a failed seed at chance."""
MIN_SEEDS = 2
ROUNDING = 1e-12
"""Differences below this are rounding: accuracies are shares of whole samples, whose steps are larger."""
CHUNK = 64  # methods whose differences to all others each thread has in memory
THREADS = 4
PART = 2**20  # p-values that are corrected together


@dataclass(frozen=True)
class Comparison:
    """Compares A with B over seeds; p is None with too few seeds, the ends are None without a spread."""

    difference: float
    low: float | None
    high: float | None
    p: float | None
    spread: float | None  # of one difference between a run of A and a run of B
    shared: tuple[int, ...]  # the seeds that pair the runs; empty for an unpaired comparison
    seeds: tuple[int, int]  # counts of A and of B


def compare(a: Scores, b: Scores, *, confidence: float = 0.95) -> Comparison:
    r"""Test the difference between two methods by Student's t, paired by seed where two seeds are shared.

    .. math:: t = \bar d \sqrt n / s_d

    A seed fixes the data order and the random numbers of the initialisation, so runs of one seed are paired. With
    fewer than two shared seeds it is Welch's test of two samples. Where all differences are equal there is no
    scale to measure them by, so no interval, and the exact test of their signs counts: p = 2 / 2^n.

    Source: Student 1908, Biometrika 6(1); Welch 1947, Biometrika 34(1-2).

    >>> result = compare({0: 0.92, 1: 0.94, 2: 0.93}, {0: 0.90, 1: 0.91, 2: 0.92})
    >>> round(result.difference, 3), round(result.p, 3), result.shared
    (0.02, 0.074, (0, 1, 2))
    """
    shared = tuple(sorted(a.keys() & b.keys()))
    if len(shared) >= MIN_SEEDS:
        return _paired([a[seed] - b[seed] for seed in shared], shared, confidence)
    return _welch(a, b, confidence)


def _paired(differences: Sequence[float], shared: tuple[int, ...], confidence: float) -> Comparison:
    """Compare by the paired t-test of differences on shared seeds."""
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = standard_deviation(differences)
    p = _p_value(mean, spread / math.sqrt(n), n - 1, n)
    if spread <= ROUNDING:
        return Comparison(mean, None, None, p, None, shared, (n, n))
    half = t_quantile(confidence, n - 1) * spread / math.sqrt(n)
    return Comparison(mean, mean - half, mean + half, p, spread, shared, (n, n))


def _welch(a: Scores, b: Scores, confidence: float) -> Comparison:
    """Compare by Welch's t-test, for methods that share too few seeds."""
    seeds = (len(a), len(b))
    difference = math.fsum(a.values()) / seeds[0] - math.fsum(b.values()) / seeds[1]
    if min(seeds) < MIN_SEEDS:
        return Comparison(difference, None, None, None, None, (), seeds)
    variances = [standard_deviation(list(by_seed.values())) ** 2 for by_seed in (a, b)]
    squares = [variance / n for variance, n in zip(variances, seeds, strict=True)]
    error = math.sqrt(sum(squares))
    below = sum(square**2 / (n - 1) for square, n in zip(squares, seeds, strict=True))
    degrees = sum(squares) ** 2 / below if below else min(seeds) - 1
    half = t_quantile(confidence, degrees) * error
    p = _p_value(difference, error, degrees, min(seeds))
    spread = math.sqrt(sum(variances))
    return Comparison(difference, difference - half, difference + half, p, spread, (), seeds)


def _p_value(difference: float, error: float, degrees: float, n: int) -> float:
    """Compute the p-value of one difference by `p_values`."""
    table = p_values(np.array([difference]), np.array([error]), np.array([degrees]), np.array([n]))
    return float(table[0])


def p_values(difference: Floats, error: Floats, degrees: Floats, n: Floats) -> Floats:
    """Compute two-sided p-values from differences, standard errors, degrees of freedom and counts of seeds."""
    from scipy.special import stdtr

    negligible = error <= ROUNDING
    t = np.abs(difference) / np.where(negligible, 1.0, error)
    without_spread = np.where(np.abs(difference) <= ROUNDING, 1.0, np.minimum(1.0, 2.0 ** (1 - n)))
    return np.where(negligible, without_spread, 2 * stdtr(degrees, -t))


def all_pairs(methods: Sequence[Scores]) -> tuple[Floats, Floats]:
    """Compute difference and p-value of `compare` for each pair i < j, in the order of `numpy.triu_indices`.

    A p-value is NaN for a pair without a test.

    >>> methods = [{0: 0.92, 1: 0.94, 2: 0.93}, {0: 0.90, 1: 0.91, 2: 0.92}]
    >>> difference, p = all_pairs(methods)
    >>> difference.round(3), p.round(3)
    (array([0.02]), array([0.074]))
    """
    difference, p = np.empty((2, len(methods) * (len(methods) - 1) // 2))
    end = 0
    for differences, values in pair_rows(methods):
        begin, end = end, end + len(values)
        difference[begin:end], p[begin:end] = differences, values
    return difference, p


def pair_rows(methods: Sequence[Scores]) -> Iterator[tuple[Floats, Floats]]:
    """Yield the rows of `all_pairs`: differences and p-values of each method against all later ones.

    Memory grows with the methods, not with their pairs.

    >>> methods = [{0: 0.92, 1: 0.94, 2: 0.93}, {0: 0.90, 1: 0.91, 2: 0.92}]
    >>> [p.round(3) for _, p in pair_rows(methods)]
    [array([0.074]), array([], dtype=float64)]
    """
    seeds = sorted({seed for scores in methods for seed in scores})
    table = np.array([[scores.get(seed, math.nan) for seed in seeds] for scores in methods])
    starts = range(0, len(methods), CHUNK)
    # In threads, since numpy and scipy release the GIL; only a few blocks at once, so that few wait in memory.
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(0, len(starts), THREADS):
            wave = starts[number : number + THREADS]
            blocks = pool.map(lambda start: _block(table, slice(start, start + CHUNK)), wave)
            for start, block in zip(wave, blocks, strict=True):
                for index, row in enumerate(block.swapaxes(0, 1)):
                    first = start + index
                    yield _tested(row[:, index + 1 :], methods[first], methods[first + 1 :])


def _tested(row: Floats, first: Scores, later: Sequence[Scores]) -> tuple[Floats, Floats]:
    """Complete a row of differences and p-values by Welch's test for pairs with too few shared seeds."""
    difference, p = row
    for index in np.flatnonzero(np.isnan(p)):
        other = compare(first, later[int(index)])
        difference[index] = other.difference
        p[index] = math.nan if other.p is None else other.p
    return difference, p


def _block(table: Floats, rows: slice) -> Floats:
    """Compute paired differences and p-values [2, rows, methods] of the methods `rows` against all later ones."""
    by_seed = np.ascontiguousarray(table.T)  # seeds first, since sums over a short last axis are slow
    differences = by_seed[:, rows, None] - by_seed[:, None, rows.start :]
    absent = np.isnan(differences)
    n = len(by_seed) - absent.sum(axis=0).astype(float)
    differences[absent] = 0.0
    enough = n >= MIN_SEEDS
    counted = np.where(enough, n, MIN_SEEDS)
    mean = differences.sum(axis=0) / counted
    differences -= mean
    differences[absent] = 0.0
    differences *= differences
    error = np.sqrt(differences.sum(axis=0) / (counted - 1) / counted)
    return np.stack([mean, np.where(enough, p_values(mean, error, counted - 1, counted), math.nan)])


def holm(p: Floats) -> Floats:
    r"""Correct p-values by Holm's step-down method, which controls the family-wise error rate.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)})

    A NaN, for a missing test, stays NaN and does not count.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).

    >>> holm(np.array([0.01, 0.04, 0.03, 0.005]))
    array([0.03, 0.06, 0.06, 0.02])
    """
    adjusted = np.full(len(p), math.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested])]  # equal p-values get one value in any order
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
    return adjusted


def holm_of_sorted(p: Floats, wanted: Floats, *, level: float) -> tuple[Floats, float]:
    """Correct some of very many p-values as `holm` does, with little additional memory.

    Args:
        p: all p-values, in ascending order, without NaN.
        wanted: some of them; NaN stays NaN.
        level: of the corrected p-values.

    Returns:
        The corrected values of `wanted`, and the least p-value that is not significant after correction, or
        infinity if all are.

    >>> adjusted, cut = holm_of_sorted(np.array([0.005, 0.01, 0.03, 0.04]), np.array([0.04]), level=0.05)
    >>> adjusted, float(cut)
    (array([0.06]), 0.03)
    """
    indices = np.searchsorted(p, wanted)  # NaN gets the index after the last
    adjusted = np.full(len(wanted), math.nan)
    largest, cut = 0.0, math.inf
    for start in range(0, len(p), PART):
        some = p[start : start + PART]
        part = np.minimum(1.0, np.arange(len(p) - start, len(p) - start - len(some), -1) * some)
        part = np.maximum(np.maximum.accumulate(part), largest)
        largest = part[-1]
        here = (indices >= start) & (indices < start + len(some))
        adjusted[here] = part[indices[here] - start]
        if math.isinf(cut) and largest >= level:
            cut = float(some[np.searchsorted(part, level)])
    return adjusted, cut


@dataclass(frozen=True)
class Improvement:
    """Estimates P(A > B): the probability that a run of A beats a run of B, ties counted half."""

    probability: float
    low: float
    high: float
    comparisons: int


def probability_of_improvement(a: Scores, b: Scores, *, confidence: float = 0.95) -> Improvement:
    r"""Estimate P(A > B) over shared seeds, or over all pairs of runs if too few are shared.

    Over n shared seeds it is a share of n trials, and the ends are those of Clopper and Pearson (a tie counts as
    lost for the low end and as won for the high one). Over all pairs it is the Mann-Whitney statistic
    U / (n m), and the ends are those of a share of min(n, m) trials, since no more runs are independent.

    Source: Bouthillier et al. 2021, arXiv:2103.03098; Clopper & Pearson 1934, Biometrika 26(4).

    >>> probability_of_improvement({0: 0.9, 1: 0.9, 2: 0.8}, {0: 0.8, 1: 0.8, 2: 0.8}).probability
    0.8333333333333333
    """
    shared = sorted(a.keys() & b.keys())
    if len(shared) >= MIN_SEEDS:
        signs = [_sign(a[seed] - b[seed]) for seed in shared]
        trials = len(shared)
    else:
        signs = [_sign(one - other) for one in a.values() for other in b.values()]
        trials = min(len(a), len(b))
    won = sum(sign > 0 for sign in signs) / len(signs)
    tied = sum(sign == 0 for sign in signs) / len(signs)
    low, _ = clopper_pearson(won * trials, trials, confidence=confidence)
    _, high = clopper_pearson((won + tied) * trials, trials, confidence=confidence)
    return Improvement(won + tied / 2, low, high, len(signs))


def _sign(difference: float) -> int:
    """Return the sign of a difference; 0 where it is no more than rounding."""
    return 0 if abs(difference) <= ROUNDING else (1 if difference > 0 else -1)


def clopper_pearson(successes: float, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the exact interval of a share; a fractional number of successes is rounded outwards.

    >>> low, high = clopper_pearson(5, 5)
    >>> round(low, 4), high
    (0.4782, 1.0)
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    fewest, most = math.floor(successes + 1e-9), math.ceil(successes - 1e-9)
    low = 0.0 if fewest == 0 else float(betaincinv(fewest, trials - fewest + 1, tail))
    high = 1.0 if most == trials else float(betaincinv(most + 1, trials - most, 1 - tail))
    return low, high
