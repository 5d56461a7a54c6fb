"""What attaching the reset does by the surrogate's peak, and whether a predictor orders it better than the peak."""

from collections.abc import Mapping
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from sgbench.statistics.pairs import Floats
from sgbench.study_runner.scores import StudyScores
from study.reporting.verdicts import HypothesisResult, corrected, p_below

BLOCKS = ("A3", "A4")
STEEP = 5.6
"""Peak from which attaching is expected to harm."""
BOOTSTRAPS, SEED = 10_000, 1
CLAIMS = {
    "A1": "at peaks below 1 + beta attaching costs less than 1 point",
    "A2": "at peaks of 5.6 and 8 attaching harms",
    "A3": "the mean of log |beta - threshold x slope| orders the effect of attaching better than the peak does",
}


class Condition(NamedTuple):
    """Names a task, a surrogate's width and a membrane's decay a step."""

    task: str
    width_fwhm: float
    beta: float


Effects = Mapping[Condition, Mapping[float, float]]
"""By condition and peak: accuracy with the reset attached minus detached, mean over seeds [points]."""


def effects_of(scores: StudyScores) -> dict[Condition, dict[float, float]]:
    """Compute the effect of attaching the reset by condition and peak, where all seeds of both resets are stored."""
    runs: dict[tuple[Condition, float], dict[str, list[float]]] = {}  # accuracies by reset
    for name in BLOCKS:
        for run in scores.block(name):
            width, beta, peak = (float(str(run.cell[key])) for key in ("width_fwhm", "neuron.beta", "surrogate.scale"))
            condition = Condition(run.task.removesuffix("_height"), width, beta)
            by_reset = runs.setdefault((condition, peak), {"attached": [], "detached": []})
            by_reset[str(run.cell["neuron.reset_gradient"])].append(run.accuracy)
    count = scores.study.blocks[BLOCKS[0]].seeds.count
    effects: dict[Condition, dict[float, float]] = {}
    for (condition, peak), by_reset in sorted(runs.items()):
        if all(len(accuracies) == count for accuracies in by_reset.values()):
            effects.setdefault(condition, {})[peak] = fmean(by_reset["attached"]) - fmean(by_reset["detached"])
    return effects


def crossing(effects: Mapping[float, float]) -> float | None:
    """Return the peak at which the effect first turns from a gain to a loss, interpolated in its logarithm.

    None where it does not turn.

    >>> crossing({1.0: 6.0, 4.0: -2.0}), crossing({1.0: 3.0, 2.0: 1.0})  # 4^(6/8)
    (2.8284271247461903, None)
    """
    peaks = sorted(effects)
    for low, high in pairwise(peaks):
        if effects[low] >= 0 > effects[high]:
            share = effects[low] / (effects[low] - effects[high])
            return float(low * (high / low) ** share)
    return None


def spearman(first: Floats, second: Floats) -> float:
    """Return the rank correlation of two columns; 0 where one does not vary."""
    ranks = [rankdata(column) for column in (first, second)]
    if any(column.std() == 0 for column in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


class Order(NamedTuple):
    """Holds how two quantities order the effects, and the bootstrap's share of draws on each side of 0."""

    predictor: float  # rank correlation of effects with it
    peak: float
    p_better: float  # one-sided, of "the predictor's is lower"
    p_worse: float


def ordering(effects: Effects, predictors: Effects) -> Order:
    """Compare two rank correlations with the effects, drawing conditions with replacement."""
    conditions = list(effects)
    rows = [
        np.array([(effect, predictors[one][peak], peak) for peak, effect in effects[one].items()]) for one in conditions
    ]

    def both(numbers: Floats) -> tuple[float, float]:
        return spearman(numbers[:, 0], numbers[:, 1]), spearman(numbers[:, 0], numbers[:, 2])

    random = np.random.default_rng(SEED)
    drawn = [
        both(np.concatenate([rows[place] for place in random.integers(len(rows), size=len(rows))]))
        for _ in range(BOOTSTRAPS)
    ]
    differences = np.array([one - other for one, other in drawn])
    p_better, p_worse = ((1 + (differences * sign <= 0).sum()) / (1 + BOOTSTRAPS) for sign in (-1, 1))
    return Order(*both(np.concatenate(rows)), float(p_better), float(p_worse))


def low_effects(effects: Effects) -> dict[Condition, float]:
    """Average each condition's effects at peaks below the bound 1 + beta."""
    return {
        condition: fmean(effect for peak, effect in by_peak.items() if peak < 1 + condition.beta)
        for condition, by_peak in effects.items()
    }


def steep_effects(effects: Effects) -> dict[Condition, float]:
    """Average each condition's effects at steep peaks, of 5.6 and more."""
    return {
        condition: fmean(effect for peak, effect in by_peak.items() if peak >= STEEP)
        for condition, by_peak in effects.items()
    }


def claims(effects: Effects, order: Order | None, *, whole: bool) -> list[HypothesisResult]:
    """Decide the claims about heights; those whose numbers are missing are open."""

    def made(name: str, p: tuple[float, float] | None) -> HypothesisResult:
        confirmed, refuted = p if p is not None and whole else (None, None)
        return HypothesisResult(name, CLAIMS[name], f"{len(effects)} conditions", "3", confirmed, refuted)

    if not whole:
        return [made(name, None) for name in CLAIMS]
    harmed = p_below(low_effects(effects).values(), -1.0)
    steep = p_below(steep_effects(effects).values(), 0.0)
    return corrected(
        [
            made("A1", (1 - harmed, harmed)),
            made("A2", (steep, 1 - steep)),
            made("A3", None if order is None else (order.p_better, order.p_worse)),
        ]
    )
