"""Compare two methods on the same test samples: the uncertainty due to the choice of the test set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
RESAMPLES = 10_000
CHUNK = 500  # resamples whose indices are in memory at once


@dataclass(frozen=True)
class Disagreement:
    """Counts test samples that only one of two runs gets right, with McNemar's exact p-value."""

    only_a: int  # samples that only run A gets right
    only_b: int
    p: float  # two-sided, that both are right equally often


def mcnemar(a: Hits, b: Hits) -> Disagreement:
    r"""Test by McNemar's exact test whether two runs are right equally often on the same samples.

    .. math:: p = \min(1, 2 \, P(X \le \min(n_a, n_b))), \quad X \sim \mathrm{Binomial}(n_a + n_b, 1/2)

    `a`: whether each sample is classified correctly [samples]; `b`: whether the other run classifies each sample
    correctly, in the same order [samples].

    Source: McNemar 1947, Psychometrika 12(2); the exact form of Edwards 1948, Psychometrika 13(3).

    >>> right = np.array([True] * 8 + [False] * 2)
    >>> mcnemar(right, np.array([True] * 3 + [False] * 7))
    Disagreement(only_a=5, only_b=0, p=0.0625)
    """
    from scipy.special import bdtr

    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_a + only_b
    p = min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5))) if n else 1.0
    return Disagreement(only_a, only_b, p)


def bootstrap_samples(
    a: Hits, b: Hits, *, generator: np.random.Generator, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Compute the bootstrap interval over test samples of A's mean accuracy minus B's.

    All runs are scored on the same redrawn samples, so that they stay paired. Training noise is averaged over the
    runs and not redrawn; `sgbench.statistics.pairs.compare` measures it.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    `a`: whether each run of A classifies each sample correctly [runs, samples]. `b`: whether each run of B does [its
    runs, samples]. `generator`: draws the samples. `confidence`: share of resampled differences within the interval.
    `resamples`: count of bootstrap draws.

    >>> a, b = np.ones((1, 50), dtype=bool), np.zeros((1, 50), dtype=bool)
    >>> bootstrap_samples(a, b, generator=np.random.default_rng(0))
    (1.0, 1.0)
    """
    gain = a.mean(axis=0) - b.mean(axis=0)  # of each sample
    means = np.empty(resamples)
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        samples = generator.integers(len(gain), size=(count, len(gain)))  # a row of indices for each resample
        means[start : start + count] = gain[samples].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
