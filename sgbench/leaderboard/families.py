"""Group methods with equal entries into families, and compare families over their settings and over tasks."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.rows import Measured
from sgbench.leaderboard.score import Measure
from sgbench.records.method import canonical
from sgbench.records.spec import GROUPS, Method
from sgbench.statistics.across_tasks import RankTest, Tasks, interquartile_interval, interquartile_mean, rank_test
from sgbench.statistics.tuning_curves import (
    Trial,
    best_band,
    best_cells,
    expected_best,
    failed_share,
    slope_sensitivity,
)

NO_SLOPE = ("scale",)  # numbers of surrogates that do not set their steepness
RESAMPLING_SEED = 0
MIN_FOR_RANKS = 2  # fewest tasks, and fewest families, that are ranked
SHOWN = 3
"""Most families whose missing tasks a message names."""


def check_groups(by: Sequence[str]) -> tuple[str, ...]:
    """Return names of config groups unchanged; an unknown one raises an `InputError`."""
    for group in by:
        if group not in GROUPS:
            raise InputError(f"--by {group}: no choice of a method; {suggest(group, GROUPS)}")
    return tuple(by)


def select_methods(measured: Iterable[Measured], conditions: Sequence[str]) -> list[Measured]:
    """Select the methods that meet all conditions, e.g. `surrogate.width_fwhm=1`.

    A method whose entry lacks a parameter of that name meets the condition.
    """
    selected = list(measured)
    for condition in conditions:
        name, _, value = condition.partition("=")
        group, _, key = name.partition(".")
        if not key or not value:
            raise InputError(f"--only {condition}: GROUP.NAME=VALUE is needed, as surrogate.width_fwhm=1")
        check_groups([group])
        wanted = {canonical(value), value}  # as text, and as a number in canonical form
        with suppress(ValueError):
            wanted.add(canonical(float(value)))
        selected = [
            method
            for method in selected
            if key not in method.method.parameters[group] or canonical(method.method.parameters[group][key]) in wanted
        ]
    return selected


def families(measured: Iterable[Measured], by: Sequence[str]) -> dict[str, list[Measured]]:
    """Map each family's name to its methods: those with equal entries of the config groups `by`.

    A name joins the entries by spaces; families are in the order of their names.

    >>> families([], ["surrogate"])
    {}
    """
    by_family: dict[str, list[Measured]] = {}
    for method in measured:
        by_family.setdefault(" ".join(method.method.choices[group] for group in by), []).append(method)
    return dict(sorted(by_family.items()))


def slope_of(method: Method) -> float | None:
    """Return the parameter that sets a surrogate's steepness, larger is steeper; None if none or several do.

    A full width at half maximum gives its inverse.
    """
    numbers = {
        key: float(value)
        for key, value in method.parameters["surrogate"].items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in NO_SLOPE
    }
    if set(numbers) == {"width_fwhm"} and numbers["width_fwhm"] > 0:
        return 1 / numbers["width_fwhm"]
    return next(iter(numbers.values())) if len(numbers) == 1 else None


def trials(family: Iterable[Measured], measure: Measure) -> list[Trial]:
    """Convert each method of a family to a trial of a tuning, with losses negated so that larger is better."""
    return [
        Trial(
            validation=fmean(method.selection.values()),
            test=measure.better(fmean(method.scores.values())),
            slope=slope_of(method.method),
            runs=len(method.scores),
            failed=len(method.failed_seeds),
        )
        for method in family
    ]


@dataclass(frozen=True)
class Tuned:
    """Holds how a family's test score depends on its settings; scores are accuracies, or losses."""

    name: str
    settings: int  # count of tried settings
    failed_share: float  # of runs
    best_test: float  # test score of the setting that validation selects
    ten_best: float  # mean test score of the ten best settings on validation
    slope_sensitivity: float | None  # mean test score over slopes; None with fewer than two
    slopes: int  # count of tried slopes
    expected_test: tuple[float, ...]  # expected test score of the best on validation of 1, 2, ... settings
    expected_low: tuple[float, ...]  # ends of its band, by a bootstrap over settings
    expected_high: tuple[float, ...]


def tuned(name: str, family: Sequence[Measured], measure: Measure) -> Tuned:
    """Compute how a family's test score depends on its settings, one method each; `name` is the family's."""
    settings = trials(family, measure)
    _, test = expected_best(settings)
    over_slopes = slope_sensitivity(settings)
    low, high = best_band(settings, np.random.default_rng(RESAMPLING_SEED))
    return Tuned(
        name=name,
        settings=len(settings),
        failed_share=failed_share(settings),
        best_test=measure.better(float(test[-1])),
        ten_best=measure.better(best_cells(settings)),
        slope_sensitivity=None if over_slopes is None else measure.better(over_slopes),
        slopes=len({trial.slope for trial in settings if trial.slope is not None}),
        expected_test=tuple(measure.better(float(score)) for score in test),
        expected_low=tuple(measure.better(float(score)) for score in low),
        expected_high=tuple(measure.better(float(score)) for score in high),
    )


@dataclass(frozen=True)
class FamilySummary:
    """Summarises a family over all tasks by the setting that validation selects on each.

    Scores are normalised: 0 is guessing and 1 a perfect score.
    """

    name: str
    interquartile_mean: float
    low: float  # ends of its interval
    high: float
    tasks: Tasks  # an array of scores [seeds] for each task
    mean_rank: float | None  # None with one task or one family
    settings: tuple[int, ...]  # count of tried settings of each task


@dataclass(frozen=True)
class AcrossTasks:
    """Compares families that ran on every task, the best first."""

    tasks: tuple[str, ...]
    families: tuple[FamilySummary, ...]
    left_out: tuple[str, ...]  # families that did not run on every task
    ranks: RankTest | None  # None with one task or one family
    alone: tuple[str, ...] = ()  # tasks with a single family, left out since they compare none
    mixed: tuple[str, ...] = ()  # tasks whose families differ in other entries too, left out


def across_tasks(
    measured: Mapping[str, Sequence[Measured]], measures: Mapping[str, Measure], *, by: Sequence[str]
) -> AcrossTasks:
    """Compare families over tasks, each by the setting that validation selects on a task.

    Tasks with a single family, such as boards of learning rules with one surrogate, are left out if another task
    has several. So are tasks of which no two families share all other entries, such as boards of published recipes.
    """
    grouped, alone, mixed = _comparable_families(measured, by)
    tasks = tuple(grouped)
    names = sorted({name for methods_by_name in grouped.values() for name in methods_by_name})
    common_names = [name for name in names if all(name in grouped[task] for task in tasks)]
    if not common_names:
        raise InputError(_no_common_family(grouped, " ".join(by)))
    scores = {
        name: [_normalised(_selected(grouped[task][name]), measures[task]) for task in tasks] for name in common_names
    }
    ranks = None
    if min(len(tasks), len(common_names)) >= MIN_FOR_RANKS:
        means = [[task_scores.mean() for task_scores in scores[name]] for name in common_names]
        ranks = rank_test(np.array(means).T)  # [tasks, families]
    summaries = []
    for index, name in enumerate(common_names):
        settings = tuple(len(grouped[task][name]) for task in tasks)
        mean_rank = None if ranks is None else ranks.mean_ranks[index]
        summaries.append(_summarise(name, scores[name], mean_rank, settings))
    summaries.sort(key=lambda family: (-family.interquartile_mean, family.name))
    left_out = tuple(name for name in names if name not in common_names)
    return AcrossTasks(tasks, tuple(summaries), left_out, ranks, alone, mixed)


def scores_by_task(
    measured: Mapping[str, Sequence[Measured]], measures: Mapping[str, Measure], *, by: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Compute the mean normalised score of each family by task, at the setting that validation selects there."""
    grouped, _, _ = _comparable_families(measured, by)
    return {
        task: {name: float(_normalised(_selected(family), measures[task]).mean()) for name, family in by_name.items()}
        for task, by_name in grouped.items()
    }


def _comparable_families(
    measured: Mapping[str, Sequence[Measured]], by: Sequence[str]
) -> tuple[dict[str, dict[str, list[Measured]]], tuple[str, ...], tuple[str, ...]]:
    """Group methods into families by task; return also the tasks with one family, and those with mixed families.

    These two kinds of task are left out of the groups, unless no other task is there.
    """
    grouped = {task: families(measured[task], by) for task in sorted(measured)}
    alone = tuple(task for task, methods_by_name in grouped.items() if len(methods_by_name) == 1)
    mixed = tuple(task for task in grouped if task not in alone and not _share_other_entries(grouped[task], by))
    if len(alone) + len(mixed) == len(grouped):
        return grouped, (), ()
    return {task: by_name for task, by_name in grouped.items() if task not in (*alone, *mixed)}, alone, mixed


def _share_other_entries(grouped: Mapping[str, Sequence[Measured]], by: Sequence[str]) -> bool:
    """Return whether two families have methods with the same entries in all groups but those in `by`."""
    entries = [{_other_entries(measured.method, by) for measured in family} for family in grouped.values()]
    return sum(map(len, entries)) > len(set().union(*entries))  # some entries occur in two families


def _other_entries(method: Method, by: Sequence[str]) -> tuple[str, ...]:
    return tuple(entry for group, entry in sorted(method.choices.items()) if group not in by)


def _no_common_family(grouped: Mapping[str, Mapping[str, Sequence[Measured]]], by: str) -> str:
    """Explain that no family ran on every task: name the families that lack fewest tasks, and these tasks."""
    names = {name for methods_by_name in grouped.values() for name in methods_by_name}
    if not names:
        return "there is no method of any task to compare"
    lacking = {name: [task for task in grouped if name not in grouped[task]] for name in sorted(names)}
    nearest = sorted(lacking, key=lambda name: len(lacking[name]))[:SHOWN]
    reasons = "; ".join(f"{name} is not on {', '.join(lacking[name])}" for name in nearest)
    return f"no {by} ran on all of {', '.join(grouped)}: {reasons}; name tasks that some share: --protocol NAMES"


def _summarise(name: str, scores: Tasks, mean_rank: float | None, settings: tuple[int, ...]) -> FamilySummary:
    generator = np.random.Generator(np.random.PCG64(RESAMPLING_SEED))
    low, high = interquartile_interval(scores, generator=generator)
    return FamilySummary(name, interquartile_mean(scores), low, high, scores, mean_rank, settings)


def _normalised(method: Measured, measure: Measure) -> NDArray[np.float64]:
    return measure.normalised(np.array([method.scores[seed] for seed in sorted(method.scores)]))


def _selected(family: Sequence[Measured]) -> Measured:
    """Return the method of a family with the best mean score on validation."""
    return max(family, key=lambda method: (fmean(method.selection.values()), method.method_id))
