"""Power of tests over seeds, and the seeds that they need."""

import math
from collections.abc import Callable

from sgbench.statistics.intervals import t_quantile

MAX_SEEDS = 10_000
TOLERANCE = 1e-9


def power_of_paired_test(effect: float, n: int, *, level: float = 0.05) -> float:
    r"""Compute the power of a two-sided paired t-test: the probability that n seeds show a true difference.

    .. math:: P(|T| > t_{n-1, 1-\alpha/2}), \quad T \sim t_{n-1}(\delta \sqrt n)

    `effect`: delta, the true difference divided by the standard deviation of one seed's difference; `n`: count of
    seeds, at least two; `level`: alpha of the test.

    Source: Cohen 1988, Statistical Power Analysis, chapter 2; the noncentral t distribution is exact.

    >>> round(power_of_paired_test(0.5, 34), 2)
    0.81
    """
    bound, centre = t_quantile(1 - level, n - 1), abs(effect) * math.sqrt(n)
    return 1 - _noncentral_t_cdf(bound, n - 1, centre) + _noncentral_t_cdf(-bound, n - 1, centre)


def _noncentral_t_cdf(bound: float, degrees: int, centre: float) -> float:
    from scipy.special import nctdtr

    share = float(nctdtr(degrees, centre, bound))
    return 0.0 if math.isnan(share) else share  # SciPy's answer to shares below 1e-13


def detectable_difference(spread: float, n: int, *, level: float = 0.05, power: float = 0.8) -> float:
    """Compute the smallest true difference that a test of n seeds finds with this power, in the unit of `spread`.

    `spread`: standard deviation of one seed's difference between two methods; `n`: count of seeds, at least two;
    `level`: significance level of the two-sided paired t-test.

    >>> round(detectable_difference(1.0, 5), 2)
    1.68
    """
    low, high = 0.0, 1.0
    while power_of_paired_test(high, n, level=level) < power:
        high *= 2
    while high - low > TOLERANCE * high:
        middle = (low + high) / 2
        enough = power_of_paired_test(middle, n, level=level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high * spread


def seeds_needed(difference: float, spread: float, *, level: float = 0.05, power: float = 0.8) -> int | None:
    """Find the fewest seeds with which a paired t-test finds a true difference with this power.

    `spread` is the standard deviation of one seed's difference, in the unit of `difference`. None if the difference
    is 0, or more than 10,000 seeds are needed.

    >>> seeds_needed(0.5, 1.0)
    34
    """
    if difference == 0:
        return None
    if spread == 0:
        return 2
    effect = abs(difference) / spread
    return fewest_seeds(lambda seeds: power_of_paired_test(effect, seeds, level=level) >= power)


def fewest_seeds(are_enough: Callable[[int], bool]) -> int | None:
    """Find the fewest seeds, at least two, that are enough; None if 10,000 are not.

    It doubles a count, then bisects, so `are_enough` must stay true for every larger count.
    """
    low, high = 1, 2
    while not are_enough(high):
        if high == MAX_SEEDS:
            return None
        low, high = high, min(2 * high, MAX_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if are_enough(middle) else (middle, high)
    return high


def pairs_needed(probability: float, *, level: float = 0.05, power: float = 0.95) -> int:
    r"""Compute how many pairs of runs show that P(A > B) is above 1/2, by Noether's formula.

    .. math:: N = \left(\frac{\Phi^{-1}(1-\alpha) + \Phi^{-1}(1-\beta)}{\sqrt 6 \, (\gamma - 1/2)}\right)^2

    `probability`: gamma = P(A > B), not 1/2; `level`: alpha, one-sided; `power`: 1 - beta.

    Source: Noether 1987, JASA 82(398); as in Bouthillier et al. 2021, arXiv:2103.03098, where gamma = 0.75.

    >>> pairs_needed(0.75), pairs_needed(0.7), pairs_needed(0.8)
    (29, 46, 21)
    """
    from scipy.special import ndtri

    quantiles = float(ndtri(1 - level) + ndtri(power))
    return math.ceil((quantiles / (math.sqrt(6) * (probability - 0.5))) ** 2 - TOLERANCE)
