"""Which shape: every shape against atan, each at its own best, at one width, and as libraries ship it."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.plots.style import BLUE, GRID, INK, SOFT, VERMILION
from sgbench.statistics.pairs import Floats
from sgbench.study_runner.cells import Cell, Settled, task_reference
from sgbench.study_runner.definition import Study, Word
from study.reporting.pages.text import Item, StudyPage, StudyPicture, cell_text, details, interval, table
from study.reporting.run_table import DEFAULT_MARGIN, SHAPES, RunTable
from study.surrogates.analysis.comparisons import LIBRARY_DEFAULTS, REFERENCE, Compared, compared_look, looks, own_best
from study.surrogates.analysis.evidence import SurrogateEvidence

Outcome = Literal["better", "worse", "equal", "open"]
LOOKS: dict[str, dict[str, Any]] = {
    "equal": {"color": BLUE, "marker": "o"},
    "better": {"color": VERMILION, "marker": "^"},
    "worse": {"color": VERMILION, "marker": "v"},
    "open": {"color": SOFT, "marker": "o", "markerfacecolor": "white"},
}
"""Colour and marker say the same, so that a picture in grey can be read."""
ROW_INCHES = 0.46  # inches
LABEL_LETTERS = 22  # characters of a line
MOST_POINTS = 15.0  # beyond which an axis is cut, with an arrow


@dataclass(frozen=True)
class ForestRow:
    """Describes one task: a difference with its interval and what it shows."""

    label: str
    difference: Estimate
    outcome: Outcome


@dataclass(frozen=True)
class ForestPanel:
    """Describes one shape: its tasks."""

    title: str
    rows: tuple[ForestRow, ...]


def forest_figure(panels: Sequence[ForestPanel], *, margin: float, reference: str, unit: str = "points") -> Figure:
    """Draw the panels side by side: a row for each label, intervals of the differences, and the margin shaded."""
    labels = list(dict.fromkeys(row.label for panel in panels for row in panel.rows))
    height = len(labels) * ROW_INCHES + 1.7
    figure = Figure(figsize=(2.2 + 2.25 * len(panels), height), layout="constrained")
    grid: Any = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)
    ends = [end for panel in panels for row in panel.rows for end in row.difference]
    reach = min(MOST_POINTS, max([1.6 * margin, *(abs(end) for end in ends)]) * 1.06)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _forest_panel(axes, panel, labels, margin, reach)
        axes.set_title(panel.title, fontsize=13, color=INK, parse_math=False)
    figure.supxlabel(f"test accuracy minus that of {reference}, {unit}", fontsize=13, color=INK)
    texts = {"equal": "equal within the margin (shaded)", "better": "better", "worse": "worse", "open": "open"}
    look: Any = {"linestyle": "none", "markersize": 8}
    handles = [Line2D([], [], label=text, **look, **LOOKS[word]) for word, text in texts.items()]
    legend: Any = {"loc": "outside upper center", "ncols": 4, "frameon": False, "fontsize": 12}
    figure.legend(handles=handles, **legend)
    return figure


def _forest_panel(axes: Axes, panel: ForestPanel, labels: Sequence[str], margin: float, reach: float) -> None:
    """Draw a task's differences from the reference with their intervals, a row a shape."""
    axes.axvspan(-margin, margin, color=BLUE, alpha=0.13, linewidth=0, zorder=0)
    axes.axvline(0, color=SOFT, linewidth=1, zorder=1)
    places = {label: len(labels) - index for index, label in enumerate(labels)}
    for row in panel.rows:
        _mark(axes, row.difference, places[row.label], reach, {"markersize": 8, **LOOKS[row.outcome]})
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0.4, len(labels) + 0.6)
    names = [textwrap.fill(label, LABEL_LETTERS) for label in places]
    axes.set_yticks([*places.values()], names)
    axes.tick_params(axis="y", length=0, labelsize=11.5, pad=9, colors=INK)
    axes.tick_params(axis="x", length=3, labelsize=12, colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)


def _mark(axes: Axes, estimate: Estimate, place: float, reach: float, look: dict[str, Any]) -> None:
    """Draw a difference with its interval; beyond `reach` an arrow with its number stands at the edge."""
    low, high = max(estimate.low, -reach), min(estimate.high, reach)
    if low < high:
        axes.plot([low, high], [place, place], color=look["color"], linewidth=1.8, zorder=2)
    if abs(estimate.value) <= reach:
        axes.plot([estimate.value], [place], linestyle="none", zorder=3, **look)
        return
    edge = reach if estimate.value > 0 else -reach
    side = {"ha": "right" if edge > 0 else "left", "va": "bottom", "fontsize": 11, "color": look["color"]}
    arrow = {**look, "marker": ">" if edge > 0 else "<"}
    axes.plot([edge], [place], linestyle="none", clip_on=False, zorder=3, **arrow)
    axes.text(0.9 * edge, place + 0.12, f"{estimate.value:+.0f}", **side)


NAME = "tuned.md"
TITLE = "How much is left after tuning?"
LIBRARY: tuple[Cell, ...] = tuple({"surrogate": name, "width_fwhm": None} for name in LIBRARY_DEFAULTS)
CONTROLS: tuple[Cell, ...] = ({"surrogate": "zero", "width_fwhm": None}, {"surrogate": "constant", "width_fwhm": None})
HEADER = ("task", "method", "difference", "margin", "p differs", "p equal", "seeds", "verdict")


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page: its message and picture, then the tables of verdicts; tasks with too few runs are named."""
    if not evidence.stored("A3b"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A3b"),))
    tasks = evidence.loaded.study.blocks["A3b"].tasks
    best = {task: looks(evidence.scores, task, _own(evidence, task)) for task in tasks}
    best = {task: tables for task, tables in best.items() if tables and len(_own(evidence, task)) == len(SHAPES)}
    lacking = [task for task in tasks if task not in best]
    last = {task: tables[-1] for task, tables in best.items()}
    parts: list[str] = []
    if lacking:
        parts.append(f"Tasks without a complete look at the shapes' own best cells: {', '.join(lacking)}.")
    pictures: list[StudyPicture] = []
    if last:
        panels = forest(evidence, last)
        picture = StudyPicture(
            "tuned.png",
            "Test accuracy of five shapes minus that of atan, each at its own best, by task.",
            panels,
            lambda: forest_figure(panels, margin=DEFAULT_MARGIN["accuracy"], reference=REFERENCE),
        )
        pictures.append(picture)
        parts += [
            _message(evidence, last),
            picture.markdown,
            "F3. Each shape minus atan, each at its own best cell, on seeds that nobody had seen. Intervals are of "
            f"{100 * (1 - 2 * evidence.rules.look_level):.3g} %, as two one-sided tests need. Tasks that are "
            "solved or not are in the table below alone.",
            *edge_sentences(evidence.loaded.study, evidence.scores.settled),
            *shape_paragraphs(evidence, last),
        ]
    parts += _verdict_tables(evidence, best)
    return StudyPage(NAME, TITLE, tuple(parts), tuple(pictures))


def _own(evidence: SurrogateEvidence, task: str) -> list[Cell]:
    return list(own_best(evidence.scores, task).values())


def forest(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> list[ForestPanel]:
    """Make a panel for each shape but atan, with its difference to atan on each task that has an accuracy."""
    study = evidence.loaded.study
    comparisons = {
        task: {one.method: one for one in compared_look(evidence.scores, task, SHAPES, look, REFERENCE, evidence.rules)}
        for task, look in tables.items()
        if study.tasks[task].outcome == "accuracy"
    }
    return [
        ForestPanel(
            shape,
            tuple(
                ForestRow(f"{task}: {evidence.title(task)}", _estimate(named[shape]), named[shape].verdict.word)
                for task, named in comparisons.items()
            ),
        )
        for shape in SHAPES
        if shape != REFERENCE
    ]


def _estimate(one: Compared) -> Estimate:
    """Draw a comparison: its difference, and the ends of its interval or the difference again."""
    verdict = one.verdict
    low = verdict.difference if verdict.low is None else verdict.low
    return Estimate(verdict.difference, low, verdict.difference if verdict.high is None else verdict.high)


def _message(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> str:
    """Count the verdicts of all shapes on all tasks in a sentence."""
    words = [one.verdict.word for one in _compared(evidence, tables)]
    seeds = sorted({look.planned for look in tables.values()})
    seeds_text = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"With each shape at its own best width and learning rate, {words.count('equal')} of {len(words)} "
        f"comparisons with atan are equal within the margin, {words.count('better')} are better, "
        f"{words.count('worse')} worse and {words.count('open')} open ({len(tables)} tasks, {seeds_text} seeds)."
    )


def _compared(evidence: SurrogateEvidence, tables: dict[str, RunTable]) -> list[Compared]:
    return [
        one
        for task, look in tables.items()
        for one in compared_look(evidence.scores, task, SHAPES, look, REFERENCE, evidence.rules)
    ]


def _verdict_tables(evidence: SurrogateEvidence, best: dict[str, list[RunTable]]) -> list[str]:
    """Write four tables of verdicts: own best, one width, library defaults, and these against the best atan."""
    error = {"paired": "the pair's own, with Holm's correction", "pooled": "pooled, with Dunnett's correction"}
    parts = [
        "## Table 2: verdicts",
        f"Better, worse or equal within the margin at a level of {evidence.rules.look_level:g} a look; the error "
        f"is {error[evidence.rules.error]}. Where a task is solved or not, differences are shares of solved runs, "
        "by Boschloo's test and Newcombe's interval. Open means that neither is shown.",
    ]
    comparisons = [
        compared for task, tables in best.items() for look in tables for compared in _compared(evidence, {task: look})
    ]
    if comparisons:
        parts += ["### Own best, against atan at its own best", _table(comparisons)]
        parts.append(details("The own best cells", _cells(evidence, best)))
    width_one: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in SHAPES]
    groups: list[tuple[str, Sequence[Cell], str]] = [
        ("Width 1 for all, against atan at width 1", width_one, REFERENCE),
        ("As snnTorch ships them, against its default atan", LIBRARY, "snntorch/atan"),
    ]
    for title, cells, reference in groups:
        comparisons = _group(
            evidence, {task: list(cells) for task in evidence.loaded.study.blocks["A3b"].tasks}, reference
        )
        if comparisons:
            parts += [f"### {title}", _table(comparisons)]
    against_best = {task: [own_best(evidence.scores, task)[REFERENCE], *LIBRARY, *CONTROLS] for task in best}
    comparisons = _group(evidence, against_best, REFERENCE)
    if comparisons:
        parts += ["### Library defaults and controls, against atan at its own best", _table(comparisons)]
    return parts


def _group(evidence: SurrogateEvidence, cells: dict[str, list[Cell]], reference: str) -> list[Compared]:
    """Compare the cells of each task with the cell of surrogate `reference`, at each look at the results."""
    compared = []
    for task, several in cells.items():
        names = [str(cell["surrogate"]) for cell in several]
        for look in looks(evidence.scores, task, several):
            compared += compared_look(evidence.scores, task, names, look, reference, evidence.rules)
    return compared


def _table(comparisons: Sequence[Compared]) -> str:
    """Write a row for each comparison; an open one says how many seeds would decide it."""
    rows = []
    for comparison in comparisons:
        verdict, word = comparison.verdict, str(comparison.verdict.word)
        if word == "open" and verdict.seeds_needed is not None:
            word = f"open (needs {verdict.seeds_needed} seeds)"
        difference = interval(verdict.difference, verdict.low, verdict.high, 2 if verdict.margin < 1 else 1)
        tests = (f"{verdict.margin:g}", verdict.p_differs, verdict.p_equal, comparison.seeds, word)
        rows.append([comparison.task, comparison.method, difference, *tests])
    return table(HEADER, rows)


def _cells(evidence: SurrogateEvidence, tasks: Iterable[str]) -> str:
    """Write the own best cell of each shape on each task."""
    rows = [
        [task, shape, cell_text(cell, without=["surrogate"])]
        for task in tasks
        for shape, cell in own_best(evidence.scores, task).items()
    ]
    return table(["task", "shape", "cell"], rows)


TUNING = "A3a"
"""Block that tunes each shape around its best width of the map, with the learning rate."""
KEYS = ("width_fwhm", "optimizer.lr")


class EdgeCells(NamedTuple):
    """Counts settled cells at the edge of their grid: by width, by learning rate, by either; and all of them."""

    width: int
    rate: int
    either: int
    cells: int


def edge_cells(study: Study, settled: Settled) -> EdgeCells | None:
    """Count the settled cells whose width or learning rate is the least or largest tried; None before they settle."""
    if TUNING not in settled or TUNING not in study.blocks:
        return None
    (grid,) = study.blocks[TUNING].grids
    starts = settled.get(grid.best_of or "")
    if starts is None:
        return None
    at_edge: list[tuple[bool, bool]] = []  # of each cell: whether its width is, and whether its learning rate is
    for task, cells in settled[TUNING].items():
        reference = task_reference(study, TUNING, task, settled)
        for cell in cells:
            number = {**reference, **_start(task, cell, starts)}
            by_width, by_rate = (_is_edge(cell[key], number[key], grid.factors[key]) for key in KEYS)
            at_edge.append((by_width, by_rate))
    widths, rates = zip(*at_edge, strict=True)
    return EdgeCells(sum(widths), sum(rates), sum(map(any, at_edge)), len(at_edge))


def _start(task: str, cell: Cell, starts: Mapping[str, object]) -> Cell:
    """Return the settled start of the shape on a task."""
    for one in starts.get(task, ()):  # type: ignore[attr-defined]
        if one["surrogate"] == cell["surrogate"]:
            return one
    raise InputError(f"task {task}: {cell['surrogate']} has no settled start")


def _is_edge(value: Word, start: Word, factors: tuple[Word, ...] | list[Word]) -> bool:
    nearest = min(factors, key=lambda factor: abs(float(value) / float(start) - float(factor)))  # type: ignore[arg-type]
    return nearest in (min(factors, key=float), max(factors, key=float))  # type: ignore[arg-type]


def edge_sentences(study: Study, settled: Settled) -> list[str]:
    """Write how many settled cells lie at an edge; nothing before the block ran."""
    counts = edge_cells(study, settled)
    if counts is None:
        return []
    return [
        f"{counts.either} of {counts.cells} settled cells lie at the edge of the grid that chose them, {counts.width} "
        f"by width and {counts.rate} by learning rate. The grid was not followed outward, so that a better cell may "
        "lie beyond, and two seeds chose."
    ]


SPREAD_HEADER = ("task", "seeds", "SD of shapes", "SD of seeds", "farthest apart", "points", "p of all being equal")


@dataclass(frozen=True)
class ShapeSpread:
    """Holds how far shapes and seeds lie apart on one task, in points."""

    shapes: float  # standard deviation of the shapes' true means: the noise of seeds is subtracted
    seeds: float  # standard deviation over the seeds of a shape, the root of the mean over shapes of the squares
    p: float  # of the hypothesis that all shapes are equal, by the F-test with seeds as blocks


def shape_spread(accuracy: Floats) -> ShapeSpread:
    """Estimate spreads by the analysis of variance with seeds as blocks. `accuracy`: in points [shapes, seeds]."""
    from scipy.stats import f

    shapes, seeds = accuracy.shape
    means, blocks = accuracy.mean(axis=1), accuracy.mean(axis=0)
    residuals = accuracy - means[:, None] - blocks[None] + accuracy.mean()
    of_shapes = seeds * means.var(ddof=1)
    freedom = (shapes - 1) * (seeds - 1)
    of_error = (residuals**2).sum() / freedom
    return ShapeSpread(
        shapes=math.sqrt(max(0.0, (of_shapes - of_error) / seeds)),
        seeds=math.sqrt(accuracy.var(axis=1, ddof=1).mean()),
        p=float(f.sf(of_shapes / of_error, shapes - 1, freedom)) if of_error > 0 else float(of_shapes == 0),
    )


def shape_paragraphs(evidence: SurrogateEvidence, tables: Mapping[str, RunTable]) -> list[str]:
    """Write the estimate over tasks with an accuracy, and a line for each of them."""
    tasks = evidence.loaded.study.tasks
    accurate = {task: look for task, look in tables.items() if tasks[task].outcome == "accuracy"}
    if not accurate:
        return []
    rows: list[list[Item]] = []
    spreads = {task: shape_spread(look.accuracy) for task, look in accurate.items()}
    for task, spread in spreads.items():
        means = accurate[task].accuracy.mean(axis=1)
        apart = f"{SHAPES[int(means.argmax())]} above {SHAPES[int(means.argmin())]}"
        numbers = [f"{number:.1f}" for number in (spread.shapes, spread.seeds)]
        largest = f"{means.max() - means.min():.1f}"
        rows.append([evidence.title(task), len(accurate[task].seeds), *numbers, apart, largest, spread.p])
    overall = math.sqrt(np.mean([spread.shapes**2 for spread in spreads.values()]))
    of_shapes = [spread.shapes for spread in spreads.values()]
    of_seeds = [spread.seeds for spread in spreads.values()]
    return [
        f"Found after the runs: the standard deviation between tuned shapes is {overall:.1f} points over "
        f"{len(spreads)} tasks ({min(of_shapes):.1f} to {max(of_shapes):.1f} by task), between seeds "
        f"{min(of_seeds):.1f} to {max(of_seeds):.1f}. No comparison with atan shows a difference, and yet not all "
        "shapes are equal on the tasks whose p is small. It is not corrected for the number of tasks.",
        table(list(SPREAD_HEADER), rows),
    ]
