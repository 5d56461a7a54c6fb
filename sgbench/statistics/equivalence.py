"""Tests of difference and of equivalence (two one-sided tests), their verdict, and the seeds they need."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgbench.errors import require_number
from sgbench.statistics.blocks import Contrast
from sgbench.statistics.intervals import t_quantile
from sgbench.statistics.pairs import ROUNDING, Floats

MAX_SEEDS, TOLERANCE = 10_000, 1e-9


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
        is_enough = power_of_paired_test(middle, n, level=level) >= power
        low, high = (low, middle) if is_enough else (middle, high)
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
    return _fewest_seeds(lambda seeds: power_of_paired_test(effect, seeds, level=level) >= power)


def _fewest_seeds(are_enough: Callable[[int], bool]) -> int | None:
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


NODES = 80  # of the numerical integral
TAIL = 1e-13  # probability of the standard deviation's distribution that is left out at each end


def scale_nodes(degrees: float) -> tuple[Floats, Floats]:
    """Compute nodes and weights, both [80], that integrate over an estimated standard deviation with true value 1.

    `degrees` are the degrees of freedom of the estimate; the weights contain its probability density.

    >>> nodes, weights = scale_nodes(4)
    >>> (weights @ np.stack([nodes**0, nodes**2], axis=1)).round(9)
    array([1., 1.])
    """
    from scipy.special import chdtri, gammaln

    low, high = (math.sqrt(float(chdtri(degrees, tail)) / degrees) for tail in (1 - TAIL, TAIL))
    node, weight = legendre()
    scale = (high + low) / 2 + (high - low) / 2 * node
    half = degrees / 2
    log_density = math.log(2) + half * math.log(half) - gammaln(half) + (degrees - 1) * np.log(scale)
    return scale, (high - low) / 2 * weight * np.exp(log_density - half * scale**2)


@functools.cache
def legendre() -> tuple[Floats, Floats]:
    """Compute the nodes and weights of the Gauss-Legendre integral from -1 to 1, as read-only arrays."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes.setflags(write=False)
    weights.setflags(write=False)
    return nodes, weights


Word = Literal["better", "worse", "equal", "open"]
POWER = 0.8  # default probability to find what is true


@dataclass(frozen=True)
class Verdict:
    """Holds the verdict on A minus B: a difference, equality within the margin, or neither, with its p-values."""

    word: Word
    difference: float
    low: float | None  # end of the interval of confidence 1 - 2 level; None if all seeds differ equally
    high: float | None
    margin: float
    p_differs: float  # two-sided test of difference
    p_equal: float  # test of equality within the margin
    p_beyond: float  # test of a difference larger than the margin
    seeds_needed: int | None  # None if the verdict is not open, or ten thousand seeds would not suffice


def equivalence_p(difference: float, error: float, degrees: float, margin: float, *, seeds: int) -> float:
    r"""Return the p-value of two one-sided tests that a difference lies within the margin.

    .. math:: p = P\left(T_\nu \ge \frac{\Delta - |\hat d|}{s}\right)

    It is at most alpha exactly where the interval of confidence 1 - 2 alpha lies within the margin. A test of
    difference that finds nothing does not show equality. Without any spread over seeds p is 2^-n inside the
    margin, the chance of n equal signs, and 1 outside.

    Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15(6), section 2.

    `difference`: d, the estimated difference in the unit of the margin. `error`: s, its standard error. `degrees`: nu,
    degrees of freedom of that error. `margin`: Delta, above 0. `seeds`: n, count of seeds that the estimate is made of.

    >>> round(equivalence_p(0.5, 0.6, 9, 2.0, seeds=10), 3), round(equivalence_p(2.5, 0.6, 9, 2.0, seeds=10), 3)
    (0.017, 0.787)
    """
    from scipy.special import stdtr

    require_number("margin", margin, low=0, open_low=True)
    distance = margin - abs(difference)
    if error <= ROUNDING:
        return 0.5**seeds if distance > ROUNDING else 1.0
    return float(stdtr(degrees, -distance / error))


def verdict(result: Contrast, margin: float, *, level: float = 0.05, p_differs: float | None = None) -> Verdict:
    """Decide whether A equals B within the margin, is better or worse, or whether that is open.

    Returns the verdict. Its `word` is "equal" if equality within the margin is shown, even if a smaller difference is
    shown too; else "better" or "worse" if a difference is shown; else "open". Its `p_beyond` is the p-value of a
    difference larger than the margin. If the word is "open", `seeds_needed` is the number of new seeds that would
    decide with a power of 0.8 if the true difference were the estimated one. It is a plan, not a result, and scatters
    as the estimate does.

    `result`: the estimated difference A minus B, with a paired or pooled error. `margin`: in the unit of the scores,
    above 0. `level`: significance level of the two-sided test of difference, and of each one-sided test of equality.
    `p_differs`: p-value in place of that of `result`, if it was corrected for many comparisons.

    >>> from sgbench.statistics.blocks import contrast
    >>> difference = contrast([[81.0, 80.0, 82.0, 80.5, 81.5], [80.5, 80.0, 81.0, 80.0, 82.0]], [1, -1])
    >>> verdict(difference, 2.0).word, verdict(difference, 0.2).word, verdict(difference, 0.2).seeds_needed
    ('equal', 'open', 31)
    """
    # Equality takes precedence over a difference that is smaller than the margin.
    p_equal = equivalence_p(result.estimate, result.error, result.degrees, margin, seeds=result.seeds)
    p_difference = result.p if p_differs is None else p_differs
    word: Word = "open"
    if p_equal <= level:
        word = "equal"
    elif p_difference <= level:
        word = "better" if result.estimate > 0 else "worse"
    # The interval lies within the margin exactly if equality is shown.
    half = t_quantile(1 - 2 * level, result.degrees) * result.error
    has_spread = result.error > ROUNDING
    return Verdict(
        word,
        result.estimate,
        low=result.estimate - half if has_spread else None,
        high=result.estimate + half if has_spread else None,
        margin=margin,
        p_differs=p_difference,
        p_equal=p_equal,
        p_beyond=_p_beyond(result, margin),
        seeds_needed=_seeds_for_any_verdict(result, margin, level) if word == "open" else None,
    )


def _p_beyond(result: Contrast, margin: float) -> float:
    """Compute the one-sided p-value of a true difference beyond the margin, in the direction of the estimate."""
    from scipy.special import stdtr

    excess = abs(result.estimate) - margin
    if result.error <= ROUNDING:
        return 0.5**result.seeds if excess > ROUNDING else 1.0
    return float(stdtr(result.degrees, -excess / result.error))


def _seeds_for_any_verdict(result: Contrast, margin: float, level: float) -> int | None:
    """Return the fewest seeds that would show a difference or equality; None if ten thousand would show neither."""
    spread = result.error * math.sqrt(result.seeds)  # standard deviation of one seed's difference
    degrees_per_seed = result.degrees / (result.seeds - 1)
    # A pooled error's extra degrees of freedom matter little here, so the paired power is used for both.
    counts = [
        seeds_needed(result.estimate, spread, level=level, power=POWER),
        seeds_for_equality(margin, spread, difference=result.estimate, level=level, degrees_per_seed=degrees_per_seed),
    ]
    known = [count for count in counts if count is not None]
    # These seeds left the verdict open, so at least one more is needed.
    return max(min(known), result.seeds + 1) if known else None


def equivalence_power(
    margin: float, error: float, degrees: float, *, difference: float = 0.0, level: float = 0.05
) -> float:
    r"""Compute the power of two one-sided tests to show equality within the margin.

    .. math:: \int f_\nu(s) \left[\Phi\left(\tfrac{\Delta - \delta}{\sigma} - t s\right) -
        \Phi\left(t s - \tfrac{\Delta + \delta}{\sigma}\right)\right]_+ ds, \quad t = t_{\nu, 1 - \alpha}

    f_nu is the density of the estimated standard error divided by the true one.

    Source: Phillips 1990, Journal of Pharmacokinetics and Biopharmaceutics 18(2); exact for normal differences.

    `margin`: Delta, above 0. `error`: sigma, the true standard error of the estimated difference, above 0. `degrees`:
    nu, degrees of freedom of the estimated standard error. `difference`: delta, the true difference. `level`: alpha of
    each one-sided test.

    >>> round(equivalence_power(1.0, 1.0 / 10**0.5, 9), 2)
    0.8
    """
    from scipy.special import ndtr

    require_number("margin", margin, low=0, open_low=True)
    require_number("error", error, low=0, open_low=True)
    scale, weight = scale_nodes(degrees)
    bound = t_quantile(1 - 2 * level, degrees) * scale
    inside = ndtr((margin - difference) / error - bound) - ndtr(bound - (margin + difference) / error)
    return float(weight @ np.maximum(inside, 0.0))


def seeds_for_equality(
    margin: float,
    spread: float,
    *,
    difference: float = 0.0,
    level: float = 0.05,
    power: float = POWER,
    degrees_per_seed: float = 1.0,
) -> int | None:
    """Find the fewest seeds with which two one-sided tests show equality within the margin with a given power.

    None if the true difference is not within the margin, or more than ten thousand seeds are needed.

    `margin`: above 0, in the unit of `spread`. `spread`: standard deviation of one seed's difference between two
    methods. `difference`: the true difference. `level`: significance level of each one-sided test. `power`: the share
    of cases in which equality is shown. `degrees_per_seed`: degrees of freedom for each seed beyond the first: 1
    paired, methods - 1 pooled.

    >>> seeds_for_equality(2.0, 1.54), seeds_for_equality(2.0, 3.06), seeds_for_equality(2.0, 2.44)
    (7, 22, 15)
    """
    require_number("spread", spread, low=0)
    if abs(difference) >= margin:
        return None
    if spread == 0:
        return 2

    def are_enough(seeds: int) -> bool:
        error, degrees = spread / math.sqrt(seeds), degrees_per_seed * (seeds - 1)
        return equivalence_power(margin, error, degrees, difference=difference, level=level) >= power

    return _fewest_seeds(are_enough)
