"""Compare two methods over their seeds: differences, tests, and the correction for many comparisons."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgbench.statistics.intervals import standard_deviation, t_quantile

Floats = NDArray[np.float64]
Scores = Mapping[int, float]
"""Maps each seed to a method's score, larger is better; a failed seed has the score of chance."""
MIN_SEEDS = 2
ROUNDING = 1e-12
"""Differences below this are rounding: accuracies are shares of whole samples, whose steps are larger."""
CHUNK = 64  # methods whose differences to all later ones each thread has in memory
THREADS = 4
PART = 2**20  # p-values that are corrected together


@dataclass(frozen=True)
class Comparison:
    """Compares A with B over seeds by the difference of their means, its interval and its test."""

    difference: float  # A minus B
    low: float | None  # ends of the interval; None with too few seeds, or if all differences are equal
    high: float | None
    p: float | None  # None with too few seeds
    spread: float | None  # standard deviation of the difference between a run of A and a run of B
    shared: tuple[int, ...]  # the seeds that pair the runs; empty for an unpaired comparison
    seeds: tuple[int, int]  # counts of A and of B


def compare(a: Scores, b: Scores, *, confidence: float = 0.95) -> Comparison:
    r"""Test the difference between two methods by Student's t, paired by seed where two seeds are shared.

    .. math:: t = \bar d \sqrt n / s_d

    d is the difference at one of n shared seeds, with the standard deviation s_d. A seed fixes the data order and
    the random numbers of the initialisation, so runs of one seed are paired. With fewer than two shared seeds it is
    Welch's test of two samples. Where all differences are equal there is no scale to measure them by, so no
    interval, and the exact test of their signs counts: p = 2 / 2^n.

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
    """Compare by the paired t-test; `differences` are A minus B at the seeds `shared`, in their order."""
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = standard_deviation(differences)
    p = _p_value(mean, spread / math.sqrt(n), n - 1, n)
    if spread <= ROUNDING:
        return Comparison(mean, low=None, high=None, p=p, spread=None, shared=shared, seeds=(n, n))
    half = t_quantile(confidence, n - 1) * spread / math.sqrt(n)
    return Comparison(mean, mean - half, mean + half, p, spread, shared, (n, n))


def _welch(a: Scores, b: Scores, confidence: float) -> Comparison:
    """Compare by Welch's t-test, for methods that share too few seeds."""
    seeds = (len(a), len(b))
    difference = math.fsum(a.values()) / len(a) - math.fsum(b.values()) / len(b)
    if min(seeds) < MIN_SEEDS:
        return Comparison(difference, low=None, high=None, p=None, spread=None, shared=(), seeds=seeds)
    variances = [standard_deviation(list(by_seed.values())) ** 2 for by_seed in (a, b)]
    squared_errors = [variance / n for variance, n in zip(variances, seeds, strict=True)]
    error = math.sqrt(sum(squared_errors))
    # Welch and Satterthwaite's degrees of freedom; without any spread they are undefined.
    denominator = sum(square**2 / (n - 1) for square, n in zip(squared_errors, seeds, strict=True))
    degrees = sum(squared_errors) ** 2 / denominator if denominator else min(seeds) - 1
    half = t_quantile(confidence, degrees) * error
    p = _p_value(difference, error, degrees, min(seeds))
    spread = math.sqrt(sum(variances))
    return Comparison(difference, difference - half, difference + half, p, spread, (), seeds)


def _p_value(difference: float, error: float, degrees: float, n: int) -> float:
    """Compute `p_values` of one pair."""
    return float(p_values(np.array([difference]), np.array([error]), np.array([degrees]), np.array([n]))[0])


def p_values(difference: Floats, error: Floats, degrees: Floats, n: Floats) -> Floats:
    """Compute two-sided p-values from differences, standard errors, degrees of freedom and counts of seeds n.

    All are arrays of one shape. Where the error is 0, p is 2 / 2^n, or 1 if the difference is 0 too.
    """
    from scipy.special import stdtr

    has_no_error = error <= ROUNDING
    t = np.abs(difference) / np.where(has_no_error, 1.0, error)
    p_of_signs = np.where(np.abs(difference) <= ROUNDING, 1.0, np.minimum(1.0, 2.0 ** (1 - n)))
    return np.where(has_no_error, p_of_signs, 2 * stdtr(degrees, -t))


def all_pairs(methods: Sequence[Scores]) -> tuple[Floats, Floats]:
    """Compute differences and p-values [pairs] of all pairs i < j of methods, in the order of `numpy.triu_indices`.

    Each pair is tested as by `compare`; the p-value is NaN where it gives None.

    >>> methods = [{0: 0.92, 1: 0.94, 2: 0.93}, {0: 0.90, 1: 0.91, 2: 0.92}]
    >>> difference, p = all_pairs(methods)
    >>> difference.round(3), p.round(3)
    (array([0.02]), array([0.074]))
    """
    difference, p = np.empty((2, len(methods) * (len(methods) - 1) // 2))
    end = 0
    for row_differences, row_p in pair_rows(methods):
        begin, end = end, end + len(row_p)
        difference[begin:end], p[begin:end] = row_differences, row_p
    return difference, p


def pair_rows(methods: Sequence[Scores]) -> Iterator[tuple[Floats, Floats]]:
    """Yield for each method its differences to all later ones and their p-values: the rows of `all_pairs`.

    Memory grows with the methods, not with their pairs.

    >>> methods = [{0: 0.92, 1: 0.94, 2: 0.93}, {0: 0.90, 1: 0.91, 2: 0.92}]
    >>> [p.round(3) for _, p in pair_rows(methods)]
    [array([0.074]), array([], dtype=float64)]
    """
    seeds = sorted({seed for scores in methods for seed in scores})
    table = np.array([[scores.get(seed, math.nan) for seed in seeds] for scores in methods])  # [methods, seeds]
    starts = range(0, len(methods), CHUNK)
    # In threads, since numpy and scipy release the GIL; only a few blocks at once, so that few wait in memory.
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(0, len(starts), THREADS):
            wave = starts[number : number + THREADS]
            blocks = pool.map(lambda start: _paired_block(table, slice(start, start + CHUNK)), wave)
            for start, block in zip(wave, blocks, strict=True):
                for index, row in enumerate(block.swapaxes(0, 1)):  # [2, methods from `start` on] of each method
                    method = start + index
                    yield _with_welch(row[:, index + 1 :], methods[method], methods[method + 1 :])


def _with_welch(row: Floats, first: Scores, later: Sequence[Scores]) -> tuple[Floats, Floats]:
    """Return the differences and p-values of a method, with Welch's test of pairs that share too few seeds.

    `row`: its paired differences and p-values against the later methods [2, later], p NaN without a paired test.
    `first`: scores of the method. `later`: scores of the later methods.
    """
    difference, p = row
    for index in np.flatnonzero(np.isnan(p)):
        welch = compare(first, later[int(index)])
        difference[index] = welch.difference
        p[index] = math.nan if welch.p is None else welch.p
    return difference, p


def _paired_block(table: Floats, rows: slice) -> Floats:
    """Compute paired differences and p-values of the methods `rows` against these and all later ones.

    Takes scores [methods, seeds], NaN where a method lacks a seed; returns [2, rows, methods from the first row].
    The p-value is NaN for pairs with fewer than two shared seeds.
    """
    by_seed = np.ascontiguousarray(table.T)  # seeds first, since sums over a short last axis are slow
    differences = by_seed[:, rows, None] - by_seed[:, None, rows.start :]
    is_absent = np.isnan(differences)
    n = len(by_seed) - is_absent.sum(axis=0).astype(float)  # shared seeds of each pair
    differences[is_absent] = 0.0
    has_test = n >= MIN_SEEDS
    divisor = np.where(has_test, n, MIN_SEEDS)  # no division by 0 where there is no test
    mean = differences.sum(axis=0) / divisor
    differences -= mean  # in place, here and below, since these are the largest arrays
    differences[is_absent] = 0.0
    differences *= differences
    error = np.sqrt(differences.sum(axis=0) / (divisor - 1) / divisor)
    return np.stack([mean, np.where(has_test, p_values(mean, error, divisor - 1, divisor), math.nan)])


def holm(p: Floats) -> Floats:
    r"""Correct p-values by Holm's step-down method, which controls the family-wise error rate.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)})

    p_(i) is the i-th smallest of m p-values. A NaN, for a missing test, stays NaN and is not counted in m.

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

    Returns the corrected values of `wanted`, and the least uncorrected p-value that is not significant after correction
    (infinity if all are significant).

    `p`: all p-values, in ascending order, without NaN. `wanted`: the p-values to correct, each one of `p`; NaN stays
    NaN. `level`: corrected p-values below it are significant.

    >>> adjusted, cut = holm_of_sorted(np.array([0.005, 0.01, 0.03, 0.04]), np.array([0.04]), level=0.05)
    >>> adjusted, float(cut)
    (array([0.06]), 0.03)
    """
    indices = np.searchsorted(p, wanted)  # NaN gets the index after the last
    adjusted = np.full(len(wanted), math.nan)
    largest, cut = 0.0, math.inf
    for start in range(0, len(p), PART):
        raw = p[start : start + PART]
        factors = np.arange(len(p) - start, len(p) - start - len(raw), -1)
        corrected = np.maximum(np.maximum.accumulate(np.minimum(1.0, factors * raw)), largest)
        largest = corrected[-1]  # corrected values never fall, so the next part begins from here
        is_in_part = (indices >= start) & (indices < start + len(raw))
        adjusted[is_in_part] = corrected[indices[is_in_part] - start]
        if math.isinf(cut) and largest >= level:
            cut = float(raw[np.searchsorted(corrected, level)])
    return adjusted, cut


@dataclass(frozen=True)
class Improvement:
    """Estimates P(A > B): the probability that a run of A beats a run of B, ties counted half."""

    probability: float
    low: float  # ends of its interval
    high: float
    comparisons: int  # count of compared pairs of runs


def probability_of_improvement(a: Scores, b: Scores, *, confidence: float = 0.95) -> Improvement:
    r"""Estimate P(A > B) over shared seeds, or over all pairs of runs if too few are shared.

    Over n shared seeds it is a share of n trials with Clopper and Pearson's interval (a tie counts as lost for the
    low end and as won for the high one). Over all pairs of n runs of A and m of B it is the Mann-Whitney statistic
    U / (n m), with the interval of a share of min(n, m) trials, since no more runs are independent.

    Source: Bouthillier et al. 2021, arXiv:2103.03098; Clopper & Pearson 1934, Biometrika 26(4).

    >>> probability_of_improvement({0: 0.9, 1: 0.9, 2: 0.8}, {0: 0.8, 1: 0.8, 2: 0.8}).probability
    0.8333333333333333
    """
    shared = sorted(a.keys() & b.keys())
    if len(shared) >= MIN_SEEDS:
        signs = [_sign(a[seed] - b[seed]) for seed in shared]
        trials = len(shared)
    else:
        signs = [_sign(score_a - score_b) for score_a in a.values() for score_b in b.values()]
        trials = min(len(a), len(b))
    won = sum(sign > 0 for sign in signs) / len(signs)  # share
    tied = sum(sign == 0 for sign in signs) / len(signs)
    # The share of n trials times n is a count of trials, which may be fractional over all pairs.
    low, _ = clopper_pearson(won * trials, trials, confidence=confidence)
    _, high = clopper_pearson((won + tied) * trials, trials, confidence=confidence)
    return Improvement(won + tied / 2, low, high, len(signs))


def _sign(difference: float) -> int:
    """Return 1, -1, or 0 for a difference that is rounding."""
    return 0 if abs(difference) <= ROUNDING else (1 if difference > 0 else -1)


def clopper_pearson(successes: float, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Compute Clopper and Pearson's exact interval of a share of trials.

    A fractional number of successes is rounded down for the low end and up for the high one.

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
