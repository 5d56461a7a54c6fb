"""The spikes that a method needs to reach a given accuracy, relative to a reference."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError, require_number
from sgbench.statistics.blocks import MIN_INTERVAL_SEEDS, number_array, score_table
from sgbench.statistics.intervals import t_quantile
from sgbench.statistics.pairs import ROUNDING, Floats

NOT_REACHED = math.inf
"""Spikes for an accuracy that no setting of a method reaches."""


@dataclass(frozen=True)
class Needed:
    """Counts the spikes per inference that a method needs for an accuracy.

    `spikes` is `NOT_REACHED` if no setting reaches the accuracy, and an upper bound if `at_most`.
    """

    spikes: float
    at_most: bool


def spikes_needed(accuracy: ArrayLike, log_spikes: ArrayLike, target: float) -> Needed:
    r"""Compute the spikes that a method needs to reach an accuracy, along the Pareto front of its settings.

    .. math:: \log S(a) = \log S_k + \frac{a - a_k}{a_{k+1} - a_k} (\log S_{k+1} - \log S_k), \quad
        a_k \le a \le a_{k+1}

    The front holds the settings k, of accuracy a_k and spikes S_k, that no other setting beats in accuracy with as
    few spikes. Between two neighbours log S is linear in a. Nothing is extrapolated: beyond the best accuracy the
    target is not reached. Below the accuracy of the setting with fewest spikes, its spikes are an upper bound.

    `accuracy`: mean over seeds of each setting's accuracy [settings]; `log_spikes`: mean over seeds of the natural
    logarithm of each setting's spikes per inference [settings]; `target`: accuracy to reach, in the unit of `accuracy`.

    Source: Zitzler & Thiele 1999, IEEE TEC 3(4), for the front.

    >>> needed = spikes_needed([80.0, 90.0, 85.0], np.log([100.0, 400.0, 1000.0]), 85.0)
    >>> round(needed.spikes, 6), needed.at_most
    (200.0, False)
    >>> spikes_needed([80.0, 90.0], np.log([100.0, 400.0]), 95.0).spikes
    inf
    """
    score, cost = number_array(accuracy, name="accuracy"), number_array(log_spikes, name="log_spikes")
    if score.shape != cost.shape or score.ndim != 1 or not len(score):
        raise InputError(f"log_spikes: one for each accuracy is needed, not shapes {score.shape} and {cost.shape}")
    # Sorted by spikes, then by falling accuracy; settings that gain no accuracy are off the front.
    order = np.lexsort((-score, cost))
    score, cost = score[order], cost[order]
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(score)[:-1]])
    score, cost = score[score > best_before], cost[score > best_before]
    if target > score[-1]:
        return Needed(NOT_REACHED, at_most=False)
    if target <= score[0]:
        return Needed(math.exp(cost[0]), at_most=target < score[0])
    return Needed(math.exp(float(np.interp(target, score, cost))), at_most=False)


@dataclass(frozen=True)
class SpikeRatio:
    """Divides the spikes of a method by those of the reference at one accuracy.

    The ratio is `NOT_REACHED` where only the method misses the accuracy, 0 where only the reference does, and NaN
    where both do. The ends of its interval are None for fewer than five seeds, or where leaving out a seed changes
    whether the accuracy is reached.
    """

    ratio: float
    low: float | None
    high: float | None
    method: Needed
    reference: Needed


def spike_ratio(
    accuracy: ArrayLike,
    spikes: ArrayLike,
    reference_accuracy: ArrayLike,
    reference_spikes: ArrayLike,
    *,
    target: float,
    confidence: float = 0.95,
) -> SpikeRatio:
    r"""Compare the spikes that a method and a reference need for one accuracy, with an interval over seeds.

    .. math:: \log \hat R \pm t_{n-1} \sqrt{\frac{n-1}{n} \sum_j (\log R_{(j)} - \overline{\log R_{(.)}})^2}

    R is the ratio of spikes, method over reference, and R_(j) that without seed j of n (jackknife). Fronts are
    those of means over seeds, since the front of one seed's noisy runs is too good.

    `accuracy`: the method's accuracy [settings, seeds]; a failed run has the accuracy of chance. `spikes`: the method's
    spikes per inference, above 0 [settings, seeds]. `reference_accuracy`: accuracy of the reference [its settings,
    seeds]. `reference_spikes`: spikes per inference of the reference [its settings, seeds]. `target`: accuracy to
    reach, in the unit of `accuracy`. `confidence`: share of intervals that contain the true ratio.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, equation 11.5.

    >>> accuracy, spikes = np.full((2, 5), [[80.0], [90.0]]), np.full((2, 5), [[100.0], [400.0]])
    >>> result = spike_ratio(accuracy, spikes / 2, accuracy, spikes, target=85)
    >>> round(result.ratio, 6), round(result.low, 6)
    (0.5, 0.5)
    """
    require_number("target", target)
    method = _accuracy_and_log_spikes("method", accuracy, spikes)
    reference = _accuracy_and_log_spikes("reference", reference_accuracy, reference_spikes)
    seeds = method.shape[2]
    if reference.shape[2] != seeds:
        raise InputError(f"seeds: the same of both are needed, not {seeds} and {reference.shape[2]}")
    needed, of_reference = _needed_of(method, target), _needed_of(reference, target)
    estimate = _log_ratio(needed, of_reference)
    without_interval = SpikeRatio(_exp(estimate), low=None, high=None, method=needed, reference=of_reference)
    if seeds < MIN_INTERVAL_SEEDS or not math.isfinite(estimate):
        return without_interval
    jackknife = []  # the logarithm of the ratio without each seed
    for seed in range(seeds):
        others, others_of_reference = (np.delete(runs, seed, axis=2) for runs in (method, reference))
        jackknife.append(_log_ratio(_needed_of(others, target), _needed_of(others_of_reference, target)))
    if not np.isfinite(jackknife).all():
        return without_interval
    error = math.sqrt((seeds - 1) * float(np.var(jackknife)))
    half = t_quantile(confidence, seeds - 1) * error
    return SpikeRatio(_exp(estimate), _exp(estimate - half), _exp(estimate + half), needed, of_reference)


def _accuracy_and_log_spikes(name: str, accuracy: ArrayLike, spikes: ArrayLike) -> Floats:
    """Stack accuracy and logarithm of spikes [2, settings, seeds]; raise an `InputError` that names the method."""
    scores = score_table(accuracy, name=f"accuracy of the {name}", methods=1, seeds=1)
    counts = score_table(spikes, name=f"spikes of the {name}", methods=1, seeds=1)
    if scores.shape != counts.shape:
        raise InputError(
            f"spikes of the {name}: shape {scores.shape} is needed, as of its accuracy, not {counts.shape}"
        )
    if counts.min() <= ROUNDING:
        setting, seed = np.unravel_index(counts.argmin(), counts.shape)
        raise InputError(
            f"spikes of the {name}: a number above 0 is needed at setting {setting}, seed {seed}; leave out "
            "settings that send no spike"
        )
    return np.stack([scores, np.log(counts)])


def _needed_of(runs: Floats, target: float) -> Needed:
    """Compute the spikes needed for the target, from accuracy and log spikes [2, settings, seeds]."""
    accuracy, log_spikes = runs.mean(axis=2)
    return spikes_needed(accuracy, log_spikes, target)


def _log_ratio(needed: Needed, of_reference: Needed) -> float:
    """Return the logarithm of the ratio of two counts of spikes; NaN if both are infinite."""
    return math.log(needed.spikes) - math.log(of_reference.spikes)


def _exp(value: float) -> float:
    """Return e to the power of a value, which may be infinite or NaN."""
    return math.exp(value) if value < math.inf or math.isnan(value) else value
