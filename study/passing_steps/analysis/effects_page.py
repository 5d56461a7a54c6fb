"""The page on what the gradient of the reset does, with the picture of width and reset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from sgbench.records.calibration import Reset
from sgbench.study_runner.scores import StudyScores
from study.passing_steps.analysis.cells import RESET, RESETS, SHAPE, WIDTH
from study.passing_steps.analysis.effects import PAIRS, SIDE, pair_name
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS
from study.passing_steps.analysis.settings import setting_name
from study.passing_steps.analysis.words import SettingLosses
from study.reporting.pages.text import StudyPage, StudyPicture, interval, table
from study.reporting.results import StudyFigure
from study.reporting.verdicts import limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NAME, TITLE = "effects.md", "What the gradient of the reset does"
PICTURE = "width_reset.png"
HEIGHT_WIDTHS = (0.05, 0.2, 0.5, 1.0)
HEIGHT_ROWS = (("triangle", "peak1"), ("triangle", "area1"), ("atan", "peak1"), ("atan", "area1"))
PEAKS = {"peak1": "1", ("triangle", "area1"): "20, 5, 2, 1", ("atan", "area1"): "12.7, 3.2, 1.3, 0.6"}


def curves(singles: Sequence[SettingLosses]) -> dict[Reset, list[tuple[float, float, float]]]:
    """List by reset each width with the mean and the largest loss over tasks, the mean of both shapes [points]."""
    losses = {one.name: one.losses for one in singles}
    found: dict[Reset, list[tuple[float, float, float]]] = {}
    for reset in RESETS:
        for width in WIDTHS:
            both = [losses[setting_name(shape, width, reset)] for shape in SHAPES]
            by_task = [fmean(losses_of_shape[task] for losses_of_shape in both) for task in both[0]]
            found.setdefault(reset, []).append((width, round(fmean(by_task), 2), round(max(by_task), 2)))
    return found


def heights(first: StudyScores) -> Iterator[list[str]]:
    """Yield rows of the gain by the attached reset on letters and on spike times, by height and width."""
    for task, kind, gradient in (
        ("T4", "recurrent", "full"),
        ("T4", "recurrent, recurrent gradient cut", "cut"),
        ("T1", "no recurrence", None),
    ):
        for shape, normalisation in HEIGHT_ROWS:
            fixed = {SHAPE: shape, "surrogate.normalisation": normalisation}
            if gradient is not None:
                fixed["network.recurrence_gradient"] = gradient
            peak = PEAKS.get((shape, normalisation), PEAKS["peak1"])
            yield [kind, shape, peak, *(_gain(first, task, {**fixed, WIDTH: width}) for width in HEIGHT_WIDTHS)]


def _gain(first: StudyScores, task: str, cell: Mapping[str, str | float]) -> str:
    """Write what attaching the reset gains in a cell of the first study, over seeds that both have."""
    attached, detached = (
        first.cell(task, "map", {**cell, RESET: reset}, start="B2") for reset in ("attached", "detached")
    )
    seeds = sorted(attached.keys() & detached.keys())
    if len(seeds) < 2:  # noqa: PLR2004 - without a spread there is no interval
        return "-"
    gains = [attached[seed].accuracy - detached[seed].accuracy for seed in seeds]
    return interval(round(fmean(gains), 1) + 0.0, *limits(gains, SIDE))


def page(of: Mapping[str, StudyFigure], singles: Sequence[SettingLosses], first: StudyScores) -> StudyPage:
    """Write the page of effects that were found after the runs."""
    drawn = curves(singles)
    says = (
        "Points lost on ten recurrent tasks against the surrogate's width: mean and worst task, reset attached and "
        "detached."
    )
    picture = StudyPicture(PICTURE, says, drawn, lambda: _draw(drawn))
    head = ["network", "shape", "peak", *(f"width {width:g}" for width in HEIGHT_WIDTHS)]
    parts = (
        "Found after the runs, so these are hypotheses for the next study; nothing here was registered. Points are "
        "of test accuracy, in parentheses limits of 95 % over tasks, or over seeds where a row is of one task.",
        picture.markdown,
        "## Height",
        "With the reset attached the gradient within a neuron is multiplied by beta - threshold x slope at each "
        "step. It cannot grow while the slope stays below 1 + beta. Rows are attached minus detached, five seeds "
        "of the first study, at widths with the heights that the row lists: letters with and without the recurrent "
        "gradient, and spike times without recurrence.",
        table(head, list(heights(first))),
        "A peak of about 1 helped, through recurrence: with the recurrent gradient cut it gained nothing. Peaks "
        "of 5 and more harmed. A peak of 3.2 gained with recurrence; between 1 and 5 no rule is known. snnTorch's "
        "`sigmoid` has a peak of 6.25.",
        "## Each reset at its best",
        *_at_best(of),
        "## What to tune first",
        "Shares of the variance between the 32 cells of a task, least and most over ten tasks, in percent:",
        table(["varied", "share, %"], _shares(of)),
        "## Two tries",
        "With the reset attached, one seed's validation picks and the other seeds score the pick:",
        table(["tries", "mean loss", "worst task"], _tries(of)),
        f"After a fifth of the epochs, one seed's order of the 32 cells has a rank correlation of "
        f"{of['short_rank_correlation']} with their final means; keeping the best four loses {of['short_lost']} "
        "points.",
        "## 1,300 steps",
        f"With the reset attached and nothing cut, {of['long_runs']} runs at widths of 0.05 to 1, one seed a cell, "
        f"reach {of['long_least']} to {of['long_most']} %.",
    )
    return StudyPage(NAME, TITLE, parts, (picture,))


def _at_best(of: Mapping[str, StudyFigure]) -> tuple[str, str]:
    """Write how the resets compare, each at its own best width."""
    return (
        f"Each reset at its own best width, which other seeds chose, mean of both shapes: attached gains "
        f"{of['attached_at_best']} points, and test error is {of['error_ratio_at_best']} times that of detached. "
        f"At a width of 0.2, each shape and reset with its own learning rate of three: {of['attached_own_rate']} "
        f"points, more than 0 on {of['tasks_gained_own_rate']} of {of['tasks_own_rate']} tasks, one seed.",
        f"At widths up to 1, {of['failed_attached_narrow']} of {of['runs_attached_narrow']} runs fail attached and "
        f"{of['failed_detached_narrow']} of {of['runs_detached_narrow']} detached; at 2 and 4, "
        f"{of['failed_attached_wide']} and {of['failed_detached_wide']} of {of['runs_detached_wide']}. The soonest "
        f"attached cell is four fifths of the way from guessing to the best cell after {of['soonest_attached']} of "
        f"its epochs, the soonest detached one after {of['soonest_detached']}. At a width of 0.5 seeds have a "
        f"standard deviation of {of['deviation_attached_triangle']} (`triangle`) and "
        f"{of['deviation_attached_atan']} (`atan`) points attached, and {of['deviation_detached_triangle']} and "
        f"{of['deviation_detached_atan']} detached.",
    )


def _shares(of: Mapping[str, StudyFigure]) -> list[list[str]]:
    names = ("shape", "width", "reset", "shape x width", "shape x reset", "width x reset")
    keys = [(name, f"share_{name.replace(' ', '')}") for name in names]
    return [[name, f"{of[f'{key}_least']} to {of[f'{key}_most']}"] for name, key in keys]


def _tries(of: Mapping[str, StudyFigure]) -> list[list[str]]:
    """Return what pairs of tries lose on average and at worst."""
    return [
        [
            " and ".join(f"{shape} at {width:g}" for shape, width in pair),
            str(of[f"tries_{pair_name(pair)}"]),
            str(of[f"tries_{pair_name(pair)}_worst"]),
        ]
        for pair in PAIRS
    ]


def _draw(drawn: Mapping[Reset, Sequence[tuple[float, float, float]]]) -> Drawing:
    """Draw the points lost against the width, mean and worst task of each reset."""
    from matplotlib.figure import Figure as Drawing

    from sgbench.plots.style import BLUE, GRID, INK, VERMILION

    figure = Drawing(figsize=(8.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for reset, color in zip(RESETS, (VERMILION, BLUE), strict=True):
        widths, mean, worst = zip(*drawn[reset], strict=True)
        axes.plot(widths, mean, color=color, marker="o", linewidth=2.2, label=f"reset {reset}: mean of ten tasks")
        axes.plot(widths, worst, color=color, linestyle="--", linewidth=1.3, label=f"reset {reset}: worst task")
    axes.set_xscale("log")
    axes.set_xticks(WIDTHS, [f"{width:g}" for width in WIDTHS])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("width of the surrogate, in thresholds (peak 1)", fontsize=12, color=INK)
    axes.set_ylabel("points lost", fontsize=12, color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(labelsize=11, colors=INK)
    axes.legend(frameon=False, fontsize=11)
    return figure
