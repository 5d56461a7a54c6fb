"""The regime map: when the choice of a surrogate and its width matters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series, ends_of, value_text
from sgbench.plots.figure import charts_figure
from sgbench.statistics.intervals import Scale, summarise
from sgbench.statistics.solved import wilson
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import Score
from sgbench.tables import NONE, number_text
from study.reporting.evidence import StudyEvidence
from study.reporting.pages.text import StudyPage, StudyPicture, details, few, interval, table
from study.reporting.run_table import LEARNS_POINTS, MIN_SEEDS, SHAPES

NAME = "regime_map.md"
TITLE = "When does the choice matter?"
WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
COMPACT, HEAVY = "triangle", ("atan", "fast_sigmoid", "log_abs")
PERCENT = 100
CAPTION = (
    "Test accuracy against width, a panel a task and a line a shape, compact shapes first. Whiskers are "
    "intervals of 95 % over seeds; shapes of one width stand side by side. The dashed line is guessing, a cross marks "
    "a cell with failed runs. Where lines lie apart, or bend, the choice matters."
)
HEADER = ("task", "shape", "width", "test accuracy or runs solved, %", "seeds", "failed")
SPREADS = ("task", "best", "at width 1", "each at its best width", "atan over widths", "failed runs")
"""What is best on a task, and how many points apart shapes and widths lie there."""


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page of accuracies over shapes and widths."""
    if not evidence.stored("A2"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A2"),))
    panels, spreads, rows = [], [], []
    for task in evidence.loaded.study.blocks["A2"].tasks:
        cells = mapped_cells(evidence, task)
        if not cells:
            continue
        panels.append(panel(evidence, task, cells))
        spreads.append(_spreads(evidence, task, cells))
        rows += [row(task, shape, width, runs) for (shape, width), runs in cells.items()]
    charts = Charts(CAPTION, tuple(panels))
    picture = StudyPicture(
        "regime_map.png",
        "Test accuracy against width, a panel a task and a line a shape: lines apart mean a choice that matters.",
        charts,
        lambda: charts_figure(charts),
    )
    parts = (
        _deep(evidence),
        "How many points do shapes lie apart on each task, and how many does the width of atan move?",
        table(SPREADS, spreads),
        picture.markdown,
        "F1. A line is a shape at the learning rate of its task, the colder the more compact; shapes of one width "
        "stand side by side. Whiskers are intervals of 95 % over seeds, of cells with five seeds or more. A run that "
        "failed counts as guessing, and a cross marks its cell. Where a task is solved or not, mean accuracies are "
        "drawn without whiskers; shares of solved runs are in the table.",
        details("The numbers behind the picture", table(HEADER, rows)),
    )
    return StudyPage(NAME, TITLE, parts, (picture,), {"regime map": charts})


def mapped_cells(
    evidence: StudyEvidence, task: str, block: str = "A2", more: Cell | None = None
) -> dict[tuple[str, float], list[Score]]:
    """Collect the runs of each shape and width that has some, with the starting point of a block."""
    cells: dict[tuple[str, float], list[Score]] = {}
    for shape in SHAPES:
        for width in WIDTHS:
            cell: Cell = {"surrogate": shape, "width_fwhm": width, **(more or {})}
            runs = evidence.scores.cell(task, "map", cell, start=block)
            if runs:
                cells[shape, width] = [runs[seed] for seed in sorted(runs)]
    return cells


def estimate(values: Sequence[float], *, scale: Scale = "real") -> Estimate:
    """Compute a mean with its interval; fewer than five seeds give none."""
    summary = summarise(values, scale=scale)
    ends = summary.ends if len(values) >= MIN_SEEDS else None
    return Estimate(summary.mean, *(ends or (summary.mean, summary.mean)))


def panel(evidence: StudyEvidence, task: str, cells: dict[tuple[str, float], list[Score]]) -> Chart:
    """Draw a task's accuracy against the width, a line a shape."""
    lines: dict[str, list[MapPoint]] = {}
    for (shape, width), runs in cells.items():
        point = MapPoint(width, drawn_score(runs), sum(run.failed for run in runs) / len(runs))
        lines.setdefault(shape, []).append(point)
    network = next((fact.network for fact in evidence.facts if fact.task == task), "")
    return map_chart(evidence.title(task), next(iter(cells.values()))[0].guess, lines, network=network)


def drawn_score(runs: list[Score]) -> Estimate:
    """Score a cell for the picture: its mean accuracy, with an interval unless runs solve the task or do not.

    Of a few runs that are near guessing or near perfect an interval of the mean says nothing.
    """
    if runs[0].solved is None:
        return score(runs)
    mean = summarise([run.accuracy for run in runs]).mean
    return Estimate(mean, mean, mean)


def score(runs: list[Score]) -> Estimate:
    """Score a cell in per cent: its mean accuracy, or how many of its runs solve the task."""
    if runs[0].solved is None:
        shares = estimate([run.accuracy / PERCENT for run in runs], scale="share")
        return Estimate(*(PERCENT * number for number in shares))
    share = wilson(sum(bool(run.solved) for run in runs), len(runs))
    ends = (share.low, share.high) if len(runs) >= MIN_SEEDS else (share.share, share.share)
    return Estimate(*(PERCENT * number for number in (share.share, *ends)))


def _spreads(evidence: StudyEvidence, task: str, cells: dict[tuple[str, float], list[Score]]) -> list[str]:
    """Write a task's row: the best cell, spreads of means, and how many runs failed.

    The spreads are over shapes at width 1, over shapes at their own best width, and over widths of atan.
    """
    means = {cell: score(runs).value for cell, runs in cells.items()}
    shape, width = max(means, key=means.__getitem__)
    by_shape: dict[str, list[float]] = {}
    for (name, _), mean in means.items():
        by_shape.setdefault(name, []).append(mean)
    at_width_1 = [mean for (_, cell_width), mean in means.items() if cell_width == 1.0]
    spreads = (at_width_1, [max(of_shape) for of_shape in by_shape.values()], by_shape.get("atan", []))
    runs = [run for of_cell in cells.values() for run in of_cell]
    failed = sum(run.failed for run in runs)
    solved = " of runs solved" if evidence.loaded.study.tasks[task].outcome == "solved" else ""
    return [
        f"{task}, {evidence.title(task)}",
        f"{shape} {width:g}: {means[shape, width]:.1f} %{solved}",
        *(f"{np.ptp(values):.1f}" if values else NONE for values in spreads),
        few(failed, len(runs)) if failed else "0",
    ]


def _deep(evidence: StudyEvidence) -> str:
    """Write in how many runs each shape learns on the deep task at width 1; empty while runs are missing."""
    counts = {}  # of runs that learn, and of all
    for shape in (COMPACT, *HEAVY):
        cell: Cell = {"surrogate": shape, "width_fwhm": 1.0}
        runs: list[Score] = []
        for task in evidence.tasks_like("T2d4"):
            runs += evidence.scores.cell(task, "map", cell, start="A2").values()
        counts[shape] = (sum(run.accuracy > LEARNS_POINTS for run in runs), len(runs))
    if not all(total for _, total in counts.values()):
        return ""
    heavy = ", ".join(f"{shape} in {few(*counts[shape])}" for shape in HEAVY)
    learning, total = counts[COMPACT]
    verb = "does not learn" if 2 * learning < total else "learns"
    return (
        f"With four quiet layers at width 1, the compact {COMPACT} {verb}: {few(learning, total)} runs score above "
        f"{LEARNS_POINTS:g} %. Shapes with tails: {heavy}."
    )


def row(task: str, shape: str, width: float, runs: list[Score]) -> list[str | float | int]:
    """Write a cell as a row of the table of a picture."""
    mean = score(runs)
    ends = (mean.low, mean.high) if len(runs) >= MIN_SEEDS else (None, None)
    failed = sum(run.failed for run in runs)
    return [task, shape, number_text(width), interval(mean.value, *ends), len(runs), failed]


ASIDE_DECADES = 0.035  # between shapes of one width, whose intervals would hide each other


@dataclass(frozen=True)
class MapPoint:
    """Describes one width of one shape: mean score with its interval, and the share of runs that failed."""

    width: float
    score: Estimate
    failed: float


def map_chart(title: str, guess: float, lines: Mapping[str, Sequence[MapPoint]], *, network: str = "") -> Chart:
    """Build the chart of one task, a line a shape; a cross lies on a cell of which some runs failed."""
    series, crossed = [], []
    for place, (name, points) in enumerate(lines.items()):
        aside = 10 ** (ASIDE_DECADES * (place - (len(lines) - 1) / 2))
        drawn = tuple(_point(point, aside) for point in points)
        series.append(Series(name, drawn, is_line=True))
        crossed += [replace(mark, y_ends=None) for mark, point in zip(drawn, points, strict=True) if point.failed]
    if crossed:
        series.append(Series("some runs failed", tuple(crossed), tone="bad", marker="x"))
    widths = tuple(sorted({point.width for points in lines.values() for point in points}))
    across = ChartAxis("width (thresholds)", is_log=True, ticks=widths)
    up = ChartAxis("test accuracy, %", is_error=True)
    return Chart(title, across, up, tuple(series), y_lines=(guess,), lines="guessing", network=network)


def _point(point: MapPoint, aside: float) -> ChartPoint:
    ends = ends_of(point.score)
    words = f"width {point.width:g}, {value_text(point.score.value, ends, ' %')}"
    failed = f"; {100 * point.failed:.0f} % of runs failed" if point.failed else ""
    return ChartPoint(point.width * aside, point.score.value, words + failed, y_ends=ends)
