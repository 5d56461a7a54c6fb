"""Shares of runs that solve a task, with their intervals and exact tests of their differences."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError, require_count, require_number
from sgbench.statistics.pairs import Floats

GRID = 1000  # values of the common share over which a p-value is maximised
MAX_RUNS = 200
ROUNDING = 1e-12


@dataclass(frozen=True)
class Share:
    """Holds the share of runs that solve a task, with its interval."""

    share: float
    low: float
    high: float
    count: float  # of runs that solve the task
    runs: float  # of all runs


def wilson(solved: float, runs: float, *, confidence: float = 0.95) -> Share:
    r"""Return the share of runs that solve a task, with Wilson's score interval.

    .. math:: \frac{\hat p + z^2 / 2n}{1 + z^2 / n} \pm
        \frac{z}{1 + z^2 / n} \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}

    p is the share of n runs, and z the two-sided normal quantile of the confidence. Numbers of runs need not be whole,
    so that correlated runs may count as fewer. `runs`: n, above 0.

    Source: Wilson 1927, JASA 22(158); Newcombe 1998, Statistics in Medicine 17(8), method 3.

    >>> share = wilson(10, 10)
    >>> share.share, round(share.low, 3), share.high
    (1.0, 0.722, 1.0)
    """
    from scipy.special import ndtri

    require_number("runs", runs, low=0, open_low=True)
    require_number("solved", solved, low=0, high=runs)
    require_number("confidence", confidence, low=0.0, high=1.0, open_low=True)
    z = float(ndtri((1 + confidence) / 2))
    share = solved / runs
    centre = (share + z**2 / (2 * runs)) / (1 + z**2 / runs)
    half = z / (1 + z**2 / runs) * math.sqrt(share * (1 - share) / runs + z**2 / (4 * runs**2))
    low = 0.0 if solved == 0 else centre - half
    high = 1.0 if solved == runs else centre + half
    return Share(share, low, high, solved, runs)


@dataclass(frozen=True)
class ShareDifference:
    """Compares the shares of runs of A and of B that solve a task, by their difference A minus B."""

    a: Share
    b: Share
    difference: float
    low: float  # ends of the interval of the difference
    high: float
    p: float  # two-sided, that both solve equally often


def compare_shares(
    solved_a: int, runs_a: int, solved_b: int, runs_b: int, *, confidence: float = 0.95
) -> ShareDifference:
    r"""Compare how often two methods solve a task by Boschloo's exact test, runs unpaired.

    .. math:: p = \min\left(1, 2 \max_\pi P_\pi(\text{Fisher's one-sided } p \le \text{that of the table})\right)

    pi is the share common to both methods, and P_pi the probability of a table of counts under it. The smaller of the
    two one-sided p-values is doubled. It is never larger than Fisher's doubled one, and holds its level if runs of one
    seed are correlated between methods. The interval of the difference is Newcombe's hybrid of the two Wilson
    intervals, so that it does not collapse if all runs agree. `confidence`: share of intervals that contain the true
    value.

    Source: Boschloo 1970, Statistica Neerlandica 24(1); Newcombe 1998, Statistics in Medicine 17(8), page 873,
    method 10.

    >>> result = compare_shares(10, 10, 5, 10)
    >>> result.difference, round(result.low, 3), round(result.high, 3), round(result.p, 4)
    (0.5, 0.117, 0.763, 0.0128)
    """
    for name, value, most in (("solved_a", solved_a, runs_a), ("solved_b", solved_b, runs_b)):
        require_count(name.replace("solved", "runs"), most)
        if require_count(name, value, low=0) > most:
            raise InputError(f"{name}={value}: at most its {most} runs are possible")
    table = boschloo_table(runs_a, runs_b)
    p_more, p_less = table[solved_a, solved_b], table[::-1, ::-1][solved_a, solved_b]  # of A than of B
    a, b = wilson(solved_a, runs_a, confidence=confidence), wilson(solved_b, runs_b, confidence=confidence)
    return _difference(a, b, p=min(1.0, 2 * float(min(p_more, p_less))))


def _difference(a: Share, b: Share, p: float) -> ShareDifference:
    """Compute the difference of two shares with Newcombe's interval, from the ends of both Wilson intervals."""
    difference = a.share - b.share
    low = difference - math.hypot(a.share - a.low, b.high - b.share)
    high = difference + math.hypot(a.high - a.share, b.share - b.low)
    return ShareDifference(a, b, difference, low, high, p)


@functools.lru_cache(maxsize=64)
def boschloo_table(runs_a: int, runs_b: int) -> Floats:
    """Compute Boschloo's one-sided p-value of A solving more often than B, for every possible pair of counts.

    The table depends on both arguments alone; it is cached, and read-only.

    `runs_a`: count of runs of A, at most 200; `runs_b`: count of runs of B, at most 200. Returns the p-value of a
    solved runs of A and b of B at [a, b]; shape [runs_a + 1, runs_b + 1].

    >>> boschloo_table(2, 2).round(4)[2]
    array([0.0625, 0.3125, 1.    ])
    """
    from scipy.stats import binom, hypergeom

    if max(require_count("runs_a", runs_a), require_count("runs_b", runs_b)) > MAX_RUNS:
        raise InputError(f"runs={max(runs_a, runs_b)}: the exact test is given up to {MAX_RUNS} runs of a method")
    a, b = np.meshgrid(np.arange(runs_a + 1), np.arange(runs_b + 1), indexing="ij")
    fisher = hypergeom.sf(a - 1, runs_a + runs_b, runs_a, a + b)
    # Sum the chances of all tables in the order of Fisher's p, for each common share, and keep the largest sum.
    order = np.argsort(fisher, axis=None)
    largest = np.zeros(fisher.size)  # over common shares, of the sum up to each table
    shares = np.linspace(0, 1, GRID + 1)[1:-1, None]
    chances_a = binom.pmf(np.arange(runs_a + 1), runs_a, shares)
    chances_b = binom.pmf(np.arange(runs_b + 1), runs_b, shares)
    for chance_a, chance_b in zip(chances_a, chances_b, strict=True):
        np.maximum(largest, np.outer(chance_a, chance_b).ravel()[order].cumsum(), out=largest)
    # Tables of equal p are one step of the sum, so each gets the sum at the last of them.
    sorted_fisher = fisher.ravel()[order]
    last = np.searchsorted(sorted_fisher, sorted_fisher * (1 + ROUNDING), side="right") - 1
    p = np.empty(fisher.size)
    p[order] = np.minimum(largest[last], 1.0)
    p.setflags(write=False)
    return p.reshape(fisher.shape)
