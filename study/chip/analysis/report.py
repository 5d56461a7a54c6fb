"""The report on budgets: what each setting scores and needs, and advice on tasks that were left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from sgbench.energy.price import chosen_targets
from sgbench.energy.text import joules
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.recommendation.block import ROUNDED, MeasuredTask, Setting, tasks_of
from sgbench.recommendation.budget import trust_in
from sgbench.recommendation.budget_advice import needs_text, panels_of, share_text
from sgbench.recommendation.left_out import LeftOut, in_short, leave_one_out
from sgbench.recommendation.priced import PricedTask, failed_settings, most_bits, priced_task
from sgbench.records.files import ShardLine
from sgbench.tables import NONE, decimal_text
from study.reporting.pages.text import StudyPage, StudyPicture, details, resets_text, table
from study.reporting.report import Passage, Report, ReportInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.energy_front import BudgetPanel

TITLE = "Under a budget of energy: activity cost, bits and width"
NAME = "chip"
GUIDE = "docs/a_network_for_a_chip.md"
"""The document that has how advice fell as a passage."""
DRAWN = "loihi1"
LISTS = ("loihi1", "spinnaker2", "horowitz_45nm_int8")
"""Price lists on which advice is held against tasks that were left out."""
PICTURE = "front.png"
CHART = "advice on tasks that were left out"
WIDTH = 120
OVER = ", over budget"
LEFT_OUT_HEAD = ("task", "budget", "advised", "needs", "accuracy", "loss, points", "rounded afterwards", "loss of that")


def make_report(report_input: ReportInput) -> Report:
    """Write the study's page: each setting's accuracy and energy, and advice checked on tasks left out."""
    lines = (
        ShardLine(block=entry.block, task=entry.task, cell=dict(entry.cell), record=entry.record)
        for entry in report_input.entries
    )
    measured = tasks_of(lines)
    parts = [
        resets_text(entry.record for entry in report_input.entries),
        f"[The registration](../{report_input.registration}) says what was run, and how advice is made and tested. "
        f"Stored runs by block: {report_input.stored_text}. `sgbench recommend --target` reads the same records.",
    ]
    if not measured:
        return Report((StudyPage("README.md", TITLE, (*parts, "No run is stored.")),))
    priced = _priced(measured, DRAWN)
    limit = most_bits(chosen_targets([DRAWN])[DRAWN])
    checks = leave_one_out(priced, limit, _failed(measured))
    kinds = {entry.record.failure.kind for entry in report_input.entries if entry.record.failure is not None}
    panels = panels_of(priced, limit)
    picture = StudyPicture(
        PICTURE,
        f"test accuracy against dynamic energy on {DRAWN}, a panel a task, by bits of the weights",
        panels,
        lambda: _figure(panels),
    )
    parts += [
        in_short(DRAWN, checks),
        picture.markdown,
        f"Mean and interval of 95 % over seeds, energy on `{DRAWN}`; the line joins settings that no other one "
        "beats by validation.",
        "## What each setting does",
        f"Mean test accuracy of all runs with this width, cost or kind of weights, and mean energy on `{DRAWN}` of "
        "those that did not fail.",
        levels(measured, priced),
        *failures(measured, kinds),
        "## Advice on a task that was left out",
        "Advice comes from the other tasks. Its loss is to what the task's own validation chooses within the same "
        "budget; beside it what is chosen among real weights and rounded afterwards to as many bits.",
        *(_left_out(name, measured) for name in LISTS),
        "## Every setting",
        *(details(task.title, _settings(priced[task.title])) for task in measured),
    ]
    page = StudyPage("README.md", TITLE, tuple(parts), (picture,), {CHART: _chart(checks)} if checks else {})
    passage = Passage(GUIDE, NAME, fill(f"{parts[0]} {in_short(DRAWN, checks)}", WIDTH))
    return Report((page,), passages=(passage,), reads=tuple(f"conf/energy/{name}.yaml" for name in LISTS))


def _chart(checks: Sequence[LeftOut]) -> Charts:
    """Draw what the advice and rounding afterwards lost on each task left out."""
    rows = list(enumerate(checks))
    advised = tuple(_point(row, check.loss_points, f"{check.title}: advice") for row, check in rows)
    rounded = tuple(
        _point(row, check.rounded_loss_points, f"{check.title}: rounded afterwards")
        for row, check in rows
        if check.rounded_loss_points is not None
    )
    names = ChartAxis(names=tuple(check.title for check in checks))
    lost = ChartAxis("points of test accuracy below the task's own choice")
    series = (Series("advice from the other tasks", advised), Series("rounded afterwards", rounded))
    chart = Chart(f"Tasks left out, within a budget on {DRAWN}", lost, names, series, x_lines=(0.0,))
    return Charts(in_short(DRAWN, checks), (chart,))


def _point(row: int, lost: float, what: str) -> ChartPoint:
    return ChartPoint(lost, row, f"{what} loses {lost:.1f} points")


def _figure(panels: Sequence[BudgetPanel]) -> Figure:
    from sgbench.plots.energy_front import budget_figure

    return budget_figure(panels, target=DRAWN, max_nj=None, min_accuracy=None)


def _priced(measured: Sequence[MeasuredTask], name: str) -> dict[str, PricedTask]:
    (target,) = chosen_targets([name]).values()
    return {task.title: priced_task(task, target) for task in measured}


def _failed(measured: Sequence[MeasuredTask]) -> dict[str, PricedTask]:
    return {task.title: failed_settings(task) for task in measured}


def _left_out(name: str, measured: Sequence[MeasuredTask]) -> str:
    """Write how advice from the other tasks did on each task, for one energy target."""
    limit = most_bits(chosen_targets([name])[name])
    checks = leave_one_out(_priced(measured, name), limit, _failed(measured))
    if not checks:
        return f"### {name}\n\nToo few tasks."
    rows = table(LEFT_OUT_HEAD, [_row(check) for check in checks])
    return f"### {name}\n\n{rows}\n\n{trust_in(name)}"


def _row(check: LeftOut) -> list[str]:
    """Return the cells of a task left out."""
    advised, rounded = check.advised, check.rounded
    kept = "" if check.keeps_budget else OVER
    rounded_kept = "" if check.rounded_keeps_budget else OVER
    return [
        check.title,
        joules(check.budget_nj),
        f"width {advised.setting.width_fwhm:g}, cost {advised.setting.activity_cost:g}, {advised.setting.weights}",
        needs_text(advised) + kept,
        share_text(advised.test),
        decimal_text(check.loss_points, 1),
        NONE if rounded is None else f"{share_text(rounded.test)}, {needs_text(rounded)}{rounded_kept}",
        NONE if check.rounded_loss_points is None else decimal_text(check.rounded_loss_points, 1),
    ]


def _settings(priced: PricedTask) -> str:
    """Write all measured settings of a task with their energy."""
    rows = []
    for setting, one in sorted(priced.items()):
        rows.append(
            [
                f"{setting.width_fwhm:g}",
                f"{setting.activity_cost:g}",
                weights_of(setting),
                share_text(one.validation),
                share_text(one.test),
                joules(one.energy_nj.value),
                str(one.test.n),
            ]
        )
    return table(["width", "activity cost", "weights", "validation", "test", f"energy, {DRAWN}", "seeds"], rows)


def weights_of(setting: Setting) -> str:
    """Write the kind of a setting's weights.

    >>> weights_of(Setting("atan", 1.0, 0.0, "rounded", 4)), weights_of(Setting("atan", 1.0, 0.0, "int8", 8))
    ('rounded 4', 'int8')
    """
    return f"{setting.weights} {setting.bits}" if setting.weights == ROUNDED else setting.weights


KINDS: Mapping[str, Callable[[Setting], str]] = {
    "width": lambda setting: f"{setting.width_fwhm:g}",
    "activity cost": lambda setting: f"{setting.activity_cost:g}",
    "weights": weights_of,
}
"""What is set, and how its value is written."""
WHY = {"NonFiniteError": "a loss or a gradient was not finite"}
"""Explains the kind of a failure."""


def levels(measured: Sequence[MeasuredTask], priced: Mapping[str, PricedTask]) -> str:
    """Tabulate mean test accuracy and mean energy over all settings with one value, a column a task."""
    rows = []
    for kind, value_of in KINDS.items():
        settings = sorted({setting for task in measured for setting in task.runs})
        for value in dict.fromkeys(map(value_of, settings)):
            chosen = {setting for setting in settings if value_of(setting) == value}
            rows.append([f"{kind} {value}", *(_level(task, priced[task.title], chosen) for task in measured)])
    return table(["setting", *(task.title for task in measured)], rows)


def _level(task: MeasuredTask, priced: PricedTask, chosen: Set[Setting]) -> str:
    """Write the mean accuracy and energy of a task's runs with some settings."""
    accuracies = [run.test for setting, runs in task.runs.items() if setting in chosen for run in runs]
    energies = [result.energy_nj.value for setting, result in priced.items() if setting in chosen]
    energy = joules(float(np.mean(energies))) if energies else NONE
    return f"{100 * np.mean(accuracies):.1f} %, {energy}"


def failures(measured: Sequence[MeasuredTask], kinds: Iterable[str]) -> Iterator[str]:
    """Yield a paragraph on runs that failed, and one on settings of which every run did; none without failures."""
    total, failed, where, never_finished = 0, 0, set(), []
    for task in measured:
        for setting, runs in sorted(task.runs.items()):
            count = sum(run.counts is None for run in runs)
            total, failed = total + len(runs), failed + count
            if count:
                where.add(f"'{task.title}' at width {setting.width_fwhm:g}")
            if count == len(runs):
                weights = weights_of(setting)
                never_finished.append(f"width {setting.width_fwhm:g}, cost {setting.activity_cost:g}, {weights}")
    if not failed:
        return
    why = "; ".join(sorted(WHY.get(kind, kind) for kind in kinds))
    places = " and ".join(sorted(where))
    yield f"{failed} of {total} runs failed, all of {places}: {why}. A run that failed counts as guessing."
    if never_finished:
        yield f"All runs failed of {'; '.join(never_finished)}. These have no energy, so they are no candidates."
