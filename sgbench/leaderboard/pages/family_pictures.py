"""Computes the numbers that pictures of families of methods show, over settings and over tasks."""

from collections.abc import Sequence

import numpy as np

from sgbench.leaderboard.families import AcrossTasks, Tuned
from sgbench.leaderboard.score import Measure
from sgbench.plots.board_charts import MeanRanks, PerformanceProfile, TuningCurve
from sgbench.statistics.across_tasks import performance_profile


def tuning_curves(families: Sequence[Tuned], measure: Measure) -> list[TuningCurve]:
    """Convert each family's expected test scores over the settings tried: accuracies to %, losses unchanged."""
    unit = 1 if measure.is_loss else 100

    def scaled(scores: Sequence[float]) -> tuple[float, ...]:
        return tuple(unit * score for score in scores)

    return [
        TuningCurve(
            family.name, scaled(family.expected_test), scaled(family.expected_low), scaled(family.expected_high)
        )
        for family in families
    ]


def profiles(across: AcrossTasks) -> list[PerformanceProfile]:
    """Compute for each family the share of runs [%] above each score that occurs, from the lowest score to 1."""
    lowest = min(float(scores.min()) for family in across.families for scores in family.tasks)
    ends = min(lowest, 0.9) - 0.02, 1.0  # common to all curves
    curves = []
    for family in across.families:
        steps = np.unique(np.concatenate([ends, *family.tasks]))
        curves.append(PerformanceProfile(family.name, steps, 100 * performance_profile(family.tasks, steps)))
    return curves


def mean_ranks(across: AcrossTasks) -> MeanRanks | None:
    """Collect the mean ranks of families for their picture; None with one task or one family."""
    if across.ranks is None:
        return None
    by_name = {family.name: family.mean_rank for family in across.families if family.mean_rank is not None}
    return MeanRanks(by_name, across.ranks.critical_difference, len(across.tasks))
