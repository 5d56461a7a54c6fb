"""What of the study other documents take: losses of settings, and figures by name, as a file beside the records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from sgbench.records.calibration import Reset
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.scores import StudyScores, read_scores, read_settled
from sgbench.study_runner.store import StoreEntry
from study.passing_steps.analysis import effects
from study.passing_steps.analysis.cells import CHOOSING, PURPOSE, RESETS, cell, tasks_of
from study.passing_steps.analysis.claims import ClaimDecision
from study.passing_steps.analysis.evidence import FIRST, SHAPES, WIDTHS, RunsOfCells, read_runs
from study.passing_steps.analysis.reach import reach_of
from study.passing_steps.analysis.settings import setting_name
from study.passing_steps.analysis.spending import best_known, mean_test
from study.passing_steps.analysis.words import FIXED_NAME, SettingLosses
from study.reporting.results import ResultGroup, SettingResult, StudyFigure, StudyResults

GRID = "the best of 32 settings (two shapes, eight widths, two resets)"
CLAIMS = {"P2a": "attached_at_best_detached", "P2b": "attached_at_half"}
WAYS = {
    FIXED_NAME: "fixed_setting",
    "snnTorch's atan as it ships": "snntorch_atan",
    "snnTorch's fast_sigmoid": "snntorch_fast_sigmoid",
}
"""Names of figures, by claim and by way to a setting."""


def first_scores(root: Path, stored: Sequence[StoreEntry]) -> StudyScores:
    settled = read_settled(root / "study" / FIRST)
    return read_scores(load_study(FIRST).study, settled, [one for one in stored if one.block in ("A2", "B2")])


def results_of(
    root: Path,
    scores: StudyScores,
    entries: Sequence[StoreEntry],
    stored: Sequence[StoreEntry],
    singles: Sequence[SettingLosses],
    losses: Mapping[str, SettingLosses],
    decisions: Sequence[ClaimDecision],
) -> StudyResults:
    """Collect results and figures of both studies' recurrent tasks."""
    runs = read_runs(root, load_study(FIRST).study, stored)
    by_name = {one.name: one for one in singles}
    spikes = _relative_spikes(scores)
    settings = [
        SettingResult(
            surrogate=shape,
            width_fwhm=width,
            reset_gradient=reset,
            losses={title: round(loss, 1) + 0.0 for title, loss in one.losses.items()},
            log_spikes=spikes.get((shape, width, reset)),
        )
        for shape in SHAPES
        for width in WIDTHS
        for reset in RESETS
        if (one := by_name.get(setting_name(shape, width, reset)))
    ]
    rates = [float(str(cells[0]["optimizer.lr"])) for cells in scores.settled.get(effects.RATES, {}).values()]
    return StudyResults(
        groups={
            "recurrent": ResultGroup(
                against=GRID,
                seeds="5 seeds",
                settings=tuple(settings),
                reach=reach_of(root, "passing_steps"),
                learning_rates=(min(rates), max(rates)) if rates else None,
            ),
            "long": ResultGroup(
                against="the best known setting",
                seeds="one seed",
                settings=tuple(_long(runs)),
                reach=reach_of(root, FIRST, effects.LONG),
            ),
        },
        figures={
            **_of_ways(losses),
            **{
                CLAIMS[one.claim.name]: effects.count(fmean(one.looks[-1].by_task.values()), 1)
                for one in decisions
                if one.claim.name in CLAIMS and one.looks
            },
            **effects.figures(scores, entries, effects.grid_runs(entries), runs),
        },
    )


def _relative_spikes(scores: StudyScores) -> dict[tuple[str, float, Reset], float]:
    """Average over tasks the log spikes of each setting relative to the task's mean, where every run has spikes."""
    found: dict[tuple[str, float, Reset], list[float]] = {}
    for task in tasks_of(scores):
        means = {}
        for shape, width, reset in effects.PLACES:
            runs = scores.cell(task.task, PURPOSE, cell(shape, width, reset), start="G")
            sent = [runs[seed].log_spikes for seed in CHOOSING if seed in runs]
            if None not in sent and sent:
                means[shape, width, reset] = fmean(number for number in sent if number is not None)
        mean = fmean(means.values())
        for place, number in means.items():
            found.setdefault(place, []).append(number - mean)
    most = max(map(len, found.values()))
    return {place: round(fmean(each), 3) for place, each in found.items() if len(each) == most}


def _long(runs: RunsOfCells) -> list[SettingResult]:
    """Return what cells lose on the sequences of 1,300 steps."""
    best = best_known(runs, effects.LONG)
    title = load_study(FIRST).study.tasks[effects.LONG].title
    return [
        SettingResult(
            surrogate=shape,
            width_fwhm=width,
            reset_gradient=reset,
            losses={title: round(best - mean_test(found), 1) + 0.0},
        )
        for (reset, task, shape, width), found in sorted(runs.items())
        if (reset, task) == ("attached", effects.LONG)
    ]


def _of_ways(losses: Mapping[str, SettingLosses]) -> dict[str, StudyFigure]:
    """Return the mean and the worst loss of each way to choose a setting."""
    found = {}
    for way, name in WAYS.items():
        if way in losses:
            numbers = list(losses[way].losses.values())
            found |= {f"{name}_loss": effects.over_tasks(numbers), f"{name}_worst": effects.count(max(numbers), 1)}
    return found
