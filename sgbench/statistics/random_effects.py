"""Random-effects analysis of one effect over several tasks, with a prediction interval for a new task."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError, require_choice
from sgbench.statistics.blocks import number_array
from sgbench.statistics.intervals import t_quantile
from sgbench.statistics.pairs import ROUNDING, Floats

Estimator = Literal["paule_mandel", "dersimonian_laird"]
ESTIMATORS = ("paule_mandel", "dersimonian_laird")
MIN_TASKS, MIN_PREDICTED_TASKS = 2, 3
STEPS = 200


@dataclass(frozen=True)
class RandomEffects:
    """Holds the mean of an effect over tasks, its heterogeneity, and the prediction interval for a new task."""

    mean: float
    error: float  # Hartung and Knapp's standard error of the mean
    low: float  # ends of the interval of the mean
    high: float
    p: float  # two-sided, that the mean is 0
    tau_squared: float  # variance of the true effect over tasks
    q: float  # Cochran's Q: chi-squared with tasks - 1 degrees of freedom if tasks do not differ
    p_heterogeneity: float  # of Q
    predicted_low: float | None  # ends of the interval for a new task; None for two tasks
    predicted_high: float | None
    tasks: int  # count of tasks


def random_effects(
    effects: ArrayLike, errors: ArrayLike, *, estimator: Estimator = "paule_mandel", confidence: float = 0.95
) -> RandomEffects:
    r"""Combine an effect over tasks, with Hartung and Knapp's interval and a prediction interval for a new task.

    .. math:: \hat\mu = \frac{\sum_m w_m y_m}{\sum_m w_m}, \quad w_m = \frac{1}{s_m^2 + \hat\tau^2}, \quad
        \hat s_\mu^2 = \frac{\sum_m w_m (y_m - \hat\mu)^2}{(M-1) \sum_m w_m}

    .. math:: \hat\mu \pm t_{M-1} \, \hat s_\mu, \qquad
        \hat\mu \pm t_{M-2} \sqrt{\hat\tau^2 + \hat s_\mu^2}

    tau^2 is the variance of true effects over tasks. Paule and Mandel's estimate does not assume normal effects;
    DerSimonian and Laird's is too small where tasks differ in their errors. The normal interval of either is too
    narrow for a few tasks, Hartung and Knapp's is not. Effects must be of one unit, such as points or log ratios.

    `effects`: y, one for each task [tasks M], two tasks at least. `errors`: s, their standard errors [tasks], above 0.
    `estimator`: estimator of tau^2, `paule_mandel` or `dersimonian_laird`. `confidence`: share of intervals that
    contain the mean, or the effect on a new task.

    Source: Hartung & Knapp 2001, Statistics in Medicine 20(24), equation 6; Paule & Mandel 1982, Journal of
    Research of the NBS 87(5); DerSimonian & Laird 1986, Controlled Clinical Trials 7(3); Higgins, Thompson &
    Spiegelhalter 2009, JRSS A 172(1), section 5 (prediction), with the error of Hartung and Knapp as in Partlett &
    Riley 2017, Statistics in Medicine 36(2); Veroniki et al. 2016, Research Synthesis Methods 7(1), for the choice.

    >>> result = random_effects([1.0, 2.0, 3.0, 6.0], [0.5, 0.5, 0.5, 0.5])
    >>> result.mean, round(result.tau_squared, 3), round(result.low, 2), round(result.predicted_low, 2)
    (3.0, 4.417, -0.44, -7.17)
    """
    from scipy.special import chdtrc, stdtr

    effect, variance = _effects_and_variances(effects, errors)
    require_choice("estimator", estimator, ESTIMATORS)
    tasks = len(effect)
    # Variance of true effects over tasks, tau squared.
    spread = paule_mandel(effect, variance) if estimator == "paule_mandel" else dersimonian_laird(effect, variance)
    # The mean effect, its interval and its test.
    mean, error = hartung_knapp(effect, variance, spread)
    half = t_quantile(confidence, tasks - 1) * error
    p = 2 * float(stdtr(tasks - 1, -abs(mean) / error)) if error > ROUNDING else float(abs(mean) <= ROUNDING)
    q = _cochran_q(effect, 1 / variance)
    # The prediction interval for the effect on a new task.
    predicted: tuple[float, float] | tuple[None, None] = (None, None)
    if tasks >= MIN_PREDICTED_TASKS:
        reach = t_quantile(confidence, tasks - 2) * math.sqrt(spread + error**2)
        predicted = mean - reach, mean + reach
    p_heterogeneity = float(chdtrc(tasks - 1, q))
    return RandomEffects(mean, error, mean - half, mean + half, p, spread, q, p_heterogeneity, *predicted, tasks)


def _effects_and_variances(effects: ArrayLike, errors: ArrayLike) -> tuple[Floats, Floats]:
    """Return effects and squared errors, both [tasks]; raise an `InputError` for too few tasks or an error of 0."""
    effect, error = number_array(effects, name="effects"), number_array(errors, name="errors")
    if effect.ndim != 1 or effect.shape != error.shape or len(effect) < MIN_TASKS:
        raise InputError(
            f"effects, errors: one of each for at least {MIN_TASKS} tasks is needed, not shapes {effect.shape} and "
            f"{error.shape}"
        )
    if error.min() <= 0:
        raise InputError(
            f"errors: a standard error above 0 is needed of task {int(error.argmin())}, not {error.min():g}"
        )
    return effect, error**2


def _cochran_q(effect: Floats, weight: Floats) -> float:
    """Compute Cochran's Q, the weighted sum of squares of effects [tasks] around their weighted mean."""
    mean = float(weight @ effect) / float(weight.sum())
    return float(weight @ (effect - mean) ** 2)


def hartung_knapp(effect: Floats, variance: Floats, tau_squared: float) -> tuple[float, float]:
    """Compute the weighted mean of effects [tasks] and Hartung and Knapp's standard error, for a known tau^2.

    `variance` [tasks] holds the squared standard errors of the effects.

    >>> mean, error = hartung_knapp(np.array([1.0, 3.0]), np.array([0.5, 0.5]), 0.5)
    >>> mean, error
    (2.0, 1.0)
    """
    weight = 1 / (variance + tau_squared)
    total = float(weight.sum())
    error = math.sqrt(_cochran_q(effect, weight) / ((len(effect) - 1) * total))
    return float(weight @ effect) / total, error


def dersimonian_laird(effect: Floats, variance: Floats) -> float:
    r"""Estimate the variance tau^2 of true effects over M tasks by DerSimonian and Laird's moments.

    .. math:: \hat\tau^2 = \max\left(0, \frac{Q - (M - 1)}{\sum w - \sum w^2 / \sum w}\right), \quad w_m = 1 / s_m^2

    Q is Cochran's; `effect` and `variance` s^2 are arrays [tasks].

    Source: DerSimonian & Laird 1986, Controlled Clinical Trials 7(3).

    >>> round(dersimonian_laird(np.array([1.0, 2.0, 3.0, 6.0]), np.full(4, 0.25)), 3)
    4.417
    """
    weight = 1 / variance
    scale = float(weight.sum() - (weight**2).sum() / weight.sum())
    return max(0.0, (_cochran_q(effect, weight) - (len(effect) - 1)) / scale)


def paule_mandel(effect: Floats, variance: Floats) -> float:
    r"""Estimate the variance tau^2 of true effects over M tasks by Paule and Mandel's equation.

    .. math:: \sum_m \frac{(y_m - \hat\mu(\tau^2))^2}{s_m^2 + \tau^2} = M - 1

    The left side falls as tau^2 rises; the estimate is 0 if it is at most M - 1 at tau^2 = 0. `effect` y and
    `variance` s^2 are arrays [tasks].

    Source: Paule & Mandel 1982, Journal of Research of the NBS 87(5); the form of DerSimonian & Kacker 2007,
    Contemporary Clinical Trials 28(2), equation 15.

    >>> round(paule_mandel(np.array([1.0, 2.0, 3.0, 6.0]), np.full(4, 0.25)), 3)
    4.417
    """
    expected_q = len(effect) - 1

    def is_too_small(tau_squared: float) -> bool:
        return _cochran_q(effect, 1 / (variance + tau_squared)) > expected_q

    if not is_too_small(0.0):
        return 0.0
    low, high = 0.0, float(np.var(effect, ddof=1))
    while is_too_small(high):
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if is_too_small(middle) else (low, middle)
    return high
