"""Families of methods as the numbers of their pictures: over settings, and over tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sgbench.leaderboard.families import AcrossTasks, Tuned
from sgbench.leaderboard.score import Measure
from sgbench.plots.methods import MeanRanks, PerformanceProfile, TuningCurve
from sgbench.statistics.across_tasks import performance_profile


def tuning_curves(families: Sequence[Tuned], measure: Measure) -> list[TuningCurve]:
    """Compute the expected test scores of each family over settings tried, in % or as losses."""
    unit = 1 if measure.is_loss else 100

    def scaled(scores: Sequence[float]) -> tuple[float, ...]:
        return tuple(unit * score for score in scores)

    return [
        TuningCurve(
            family.name,
            scaled(family.expected_test),
            scaled(family.expected_low),
            scaled(family.expected_high),
        )
        for family in families
    ]


def profiles(across: AcrossTasks) -> list[PerformanceProfile]:
    """Compute the share of each family's runs above each score that occurs, between common ends."""
    lowest = min(float(scores.min()) for standing in across.standings for scores in standing.tasks)
    ends = min(lowest, 0.9) - 0.02, 1.0
    curves = []
    for standing in across.standings:
        steps = np.unique(np.concatenate([ends, *standing.tasks]))
        curves.append(
            PerformanceProfile(standing.name, steps, 100 * performance_profile(standing.tasks, steps))
        )
    return curves


def mean_ranks(across: AcrossTasks) -> MeanRanks | None:
    """Collect the mean ranks of families for their picture; None with one task or one family."""
    if across.ranks is None:
        return None
    by_name = {
        standing.name: standing.mean_rank for standing in across.standings if standing.mean_rank is not None
    }
    return MeanRanks(by_name, across.ranks.critical_difference, len(across.tasks))
