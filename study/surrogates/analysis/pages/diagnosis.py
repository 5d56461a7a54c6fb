"""Does the start tell how a run ends: gradients and potentials before training against the map's accuracy."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.plots.style import BAND, GRID, INK, SOFT, look_of
from sgbench.statistics.blocks import MIN_INTERVAL_SEEDS, number_array, score_table
from sgbench.statistics.intervals import summarise
from sgbench.study_runner.cells import Cell
from sgbench.tables import NONE, number_text
from study.reporting.pages.text import Item, StudyPage, StudyPicture, details, few, interval, table
from study.reporting.run_table import RunTable, run_table
from study.surrogates.analysis.comparisons import MAP
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages.claim_rules import missing
from study.surrogates.analysis.starting import InitialCell

COLUMNS = 4
PANEL_INCHES = (3.15, 3.1)  # inches
PANEL_TITLE_LETTERS = 27  # characters of a line
TICKS = 5
BETWEEN_INCHES = 0.11  # inches on each side of a panel
LEAST_GRADIENT = 1e-12  # gradients up to this one teach nothing; they stand in the strip for 0
STRIP_SHARE = 0.13  # of a panel's width, of the strip for 0 and that for what is not finite


@dataclass(frozen=True)
class StartPoint:
    """Describes one shape and width: what was measured at the start (None: not finite) and its mean score."""

    shape: str
    start: float | None
    score: float


@dataclass(frozen=True)
class StartPanel:
    """Describes one task: its cells, what guessing gives, and a line about how strongly the two go together."""

    title: str
    note: str
    guess: float
    points: tuple[StartPoint, ...]


def start_figure(panels: Sequence[StartPanel], *, label: str) -> Figure:
    """Draw a panel a task: score against a number before training on a log scale, a mark a shape and width.

    What is 0, or next to it, stands in a grey strip to the left, what is not finite in one to the right.
    """
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (columns * PANEL_INCHES[0] + 0.6, rows * PANEL_INCHES[1] + 1.0)
    figure = Figure(figsize=size)
    figure.set_layout_engine("constrained", w_pad=BETWEEN_INCHES)  # outer tick labels of neighbours do not touch
    grid: Any = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for position, axes in enumerate(grid.flat):
        if position < len(panels):
            _start_panel(axes, panels[position])
        else:
            axes.set_axis_off()
    figure.supxlabel(label, fontsize=13, color=INK)
    figure.supylabel("test accuracy after training, %", fontsize=13, color=INK)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    place: Any = {"loc": "outside upper center", "ncols": 6, "frameon": False, "fontsize": 12.5}
    figure.legend(handles, labels, **place)
    return figure


def _start_panel(axes: Axes, panel: StartPanel) -> None:
    """Draw one task on a log scale; starts of 0 go into a strip at its left, those not finite into one at its right."""
    finite = [point.start for point in panel.points if point.start and point.start > LEAST_GRADIENT]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    width = math.log(high / low) or 1.0
    left, right = low / math.exp(STRIP_SHARE * width), high * math.exp(STRIP_SHARE * width)
    for index, shape in enumerate(dict.fromkeys(point.shape for point in panel.points)):
        of_shape = [point for point in panel.points if point.shape == shape]
        starts = [right if point.start is None else (max(point.start, left)) for point in of_shape]
        look: Any = look_of(shape, index)
        axes.plot(
            *(starts, [point.score for point in of_shape]),
            linestyle="none",
            markersize=6,
            alpha=0.85,
            label=shape,
            zorder=3,
            **look,
        )
    axes.set_xscale("log")
    edges = (left / math.exp(STRIP_SHARE * width / 2), right * math.exp(STRIP_SHARE * width / 2))
    axes.set_xlim(*edges)
    has_none = any(point.start is not None and point.start <= LEAST_GRADIENT for point in panel.points)
    _strip(axes, edges[0], left * math.exp(STRIP_SHARE * width / 2), "0", has_none)
    _strip(
        axes,
        right / math.exp(STRIP_SHARE * width / 2),
        edges[1],
        "∞",
        any(point.start is None for point in panel.points),
    )
    axes.axhline(panel.guess, color=SOFT, linestyle="--", linewidth=1.2, zorder=1)
    axes.set_ylim(-3, 103)
    title = textwrap.fill(panel.title, PANEL_TITLE_LETTERS)
    axes.set_title(f"{title}\n{panel.note}", fontsize=11.5, color=INK, parse_math=False)
    axes.xaxis.set_major_locator(LogLocator(numticks=TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=11, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)


def _strip(axes: Axes, low: float, high: float, text: str, is_used: bool) -> None:
    """Mark the part of an axis on which numbers stand that a log scale does not have."""
    if is_used:
        axes.axvspan(low, high, color=BAND, zorder=0)
        middle = math.sqrt(low * high)
        place: Any = {"ha": "center", "va": "bottom", "fontsize": 11, "color": INK}
        axes.text(middle, 0.02, text, transform=axes.get_xaxis_transform(), **place)


NAME = "diagnosis.md"
TITLE = "Does the start tell how a run ends?"
STRONG = 0.5
"""A correlation whose interval lies beyond this one tells much before training."""
COMMAND = "python -m study measure surrogates --gradients"


LARGEST = 0.999
"""Correlations are cut here before they are stretched, since 1 has no finite place on that scale."""


def error_between_groups(x: ArrayLike, y: ArrayLike, groups: Sequence[str]) -> float:
    """Return the mean absolute error of y predicted from x by the cases of all other groups.

    A case is predicted by the straight line between its two neighbours in x among the others, beyond which the
    nearest counts; of others with equal x their mean counts.

    >>> error_between_groups([1.0, 3.0, 2.0], [10.0, 30.0, 26.0], ["a", "a", "b"])  # 6, and 16 and 4 from one alone
    8.666666666666666
    """
    places, wanted, names = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(groups)
    errors = np.empty(len(places))
    for name in dict.fromkeys(groups):
        own = names == name
        steps, index = np.unique(places[~own], return_inverse=True)
        means = np.bincount(index, weights=wanted[~own]) / np.bincount(index)
        errors[own] = np.abs(np.interp(places[own], steps, means) - wanted[own])
    return float(errors.mean())


@dataclass(frozen=True)
class RankCorrelation:
    """Holds a mean correlation over seeds with its interval; the ends are None for fewer than five seeds."""

    mean: float
    low: float | None
    high: float | None
    seeds: int


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation, equal values sharing a rank; NaN where one of the two does not vary.

    Source: Spearman 1904, American Journal of Psychology 15(1).

    >>> spearman([1.0, 2.0, 30.0], [5.0, 6.0, 7.0]), spearman([0.0, 0.0, 1.0], [2.0, 2.0, 1.0])
    (1.0, -1.0)
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.asarray(values, dtype=float)) for values in (x, y)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / scale if scale > 0 else math.nan


def rank_correlation(x: ArrayLike, scores: ArrayLike) -> RankCorrelation:
    r"""Compute the rank correlation of one number of each case with its scores, averaged over seeds.

    .. math:: \bar r = \tanh\left(\frac1n \sum_j \operatorname{artanh} r_j\right)

    with Student's interval on the stretched scale. It covers what another seed would change, not other cases.

    `x`: one number a case [cases]; infinite ones rank highest. `scores`: by case and seed [cases, seeds].

    Source: Fisher 1921, Metron 1(4), for the scale.

    >>> result = rank_correlation([1.0, 2.0, 3.0, 4.0], [[1.0, 1.0], [2.0, 3.0], [3.0, 2.0], [4.0, 4.0]])
    >>> round(result.mean, 3), result.low
    (0.985, None)
    """
    table = score_table(scores)
    places = np.asarray(x, dtype=float)
    if places.shape != (len(table),):
        raise InputError(f"x: one number for each of {len(table)} cases is needed, not {places.shape}")
    correlations = number_array([spearman(places, column) for column in table.T], name="correlations of x and scores")
    stretched = summarise(np.arctanh(np.clip(correlations, -LARGEST, LARGEST)).tolist())
    seeds = len(correlations)
    if stretched.low is None or stretched.high is None or seeds < MIN_INTERVAL_SEEDS:
        return RankCorrelation(math.tanh(stretched.mean), None, None, seeds)
    return RankCorrelation(math.tanh(stretched.mean), math.tanh(stretched.low), math.tanh(stretched.high), seeds)


@dataclass(frozen=True)
class _MeasuredTask:
    """Holds the cells of one task that are measured and run, in one order."""

    cells: tuple[InitialCell, ...]
    runs: RunTable


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page: how well gradients before training predict accuracies, and how the two are correlated."""
    if evidence.initial is None:
        return StudyPage(NAME, TITLE, (f"Not known yet: nothing is measured; `{COMMAND}` does it.",))
    joined = {task: _measured_task(evidence, task) for task in evidence.initial.tasks}
    known = {task: measured for task, measured in joined.items() if measured is not None}
    lacking = [task for task in evidence.initial.tasks if task not in known]
    parts = [f"Tasks of which not all cells are stored: {', '.join(lacking)}."] if lacking else []
    if not known:
        return StudyPage(NAME, TITLE, (*parts, f"Not known yet: {missing(evidence, MAP).number}."))
    gradients = {task: _correlation(measured, first_gradient) for task, measured in known.items()}
    windows = {task: _correlation(measured, lambda cell: min(cell.in_window)) for task, measured in known.items()}
    errors = {task: _errors(measured) for task, measured in known.items()}
    picture = _picture(evidence, known, gradients)
    parts += [
        _headline(errors),
        picture.markdown,
        "F8. A mark is a shape at one width; the darker, the more compact. Across: norm of the gradient of the "
        "first hidden layer's weights, on one batch at the weights that training begins with (seed "
        f"{evidence.initial.seed}). Up: mean test accuracy of the regime map; the dashed line is guessing. Marks "
        "in a grey strip have no gradient at all (0) or none that is finite (∞).",
        "Potentials within half the width of the threshold were counted too. Their share depends on the width and "
        "not on the shape, so that all shapes lie on each other, and it is not drawn.",
        "## Telling the accuracy of a shape that was never trained",
        _error_table(evidence, errors),
        "## How strongly they go together",
        _message(gradients, windows),
        _correlations(evidence, gradients, windows),
        "Spearman's rank correlation over the shapes and widths of a task, a correlation a training seed; "
        "intervals of 95 % over seeds. They say what another seed would change, not other shapes. A correlation is "
        "no cause, and where accuracy rises and falls again with the gradient, it is small.",
        details("Every layer of every cell", _table(known)),
    ]
    return StudyPage(NAME, TITLE, tuple(parts), (picture,))


def first_gradient(cell: InitialCell) -> float | None:
    """Return the gradient's norm in the first hidden layer, which is the farthest from the loss."""
    return cell.gradients[0]


def _measured_task(evidence: SurrogateEvidence, task: str) -> _MeasuredTask | None:
    """Join what was measured of a task with its runs; None where runs are missing."""
    if evidence.initial is None or task not in evidence.loaded.study.tasks:
        return None
    measured = evidence.initial.tasks[task]
    cells: list[Cell] = [{"surrogate": one.surrogate, "width_fwhm": one.width_fwhm} for one in measured]
    seeds = evidence.loaded.study.blocks[MAP].seeds.values
    runs = run_table(evidence.scores, task, "map", cells, seeds, start=MAP)
    return _MeasuredTask(measured, runs) if runs.complete else None


def _correlation(measured: _MeasuredTask, value_of: Callable[[InitialCell], float | None]) -> RankCorrelation | None:
    """Compute the correlation of a number before training with accuracy; None where it does not vary."""
    values = [value_of(cell) for cell in measured.cells]
    finite = [math.inf if value is None else value for value in values]  # None is a gradient that overflowed
    if len(set(finite)) == 1 or any(len(set(column)) == 1 for column in measured.runs.accuracy.T):
        return None
    return rank_correlation(finite, measured.runs.accuracy)


def _errors(measured: _MeasuredTask) -> tuple[float, float]:
    """Predict the accuracy of each shape from the others, by its gradients and by its widths; errors in points."""
    means = measured.runs.accuracy.mean(axis=1)
    shapes = [cell.surrogate for cell in measured.cells]
    norms = [first_gradient(cell) for cell in measured.cells]
    finite = [math.log(norm) for norm in norms if norm]
    vanished, overflowed = min(finite) - 1, max(finite) + 1  # stand for logarithms of 0 and of what is not finite
    logs = [overflowed if norm is None else math.log(norm) if norm else vanished for norm in norms]
    widths = [math.log(cell.width_fwhm) for cell in measured.cells]
    return error_between_groups(logs, means, shapes), error_between_groups(widths, means, shapes)


def _headline(errors: dict[str, tuple[float, float]]) -> str:
    """Write the page's message; `errors` maps tasks to errors by gradient and by width, in points."""
    by_gradient, by_width = zip(*errors.values(), strict=True)
    better = sum(gradient < width for gradient, width in errors.values())
    lead = (
        "Where a run ends goes with the gradient of its first layer before training more than with its width, "
        "with exceptions. "
        if 2 * better > len(errors)
        else ""
    )
    return (
        f"{lead}From the runs of the other shapes, the accuracy of one that was never trained is predicted with a "
        f"mean error of {min(by_gradient):.1f} to {max(by_gradient):.1f} points by its gradient, and of "
        f"{min(by_width):.1f} to {max(by_width):.1f} by its width, from task to task; the gradient is better on "
        f"{few(better, len(errors))} tasks."
    )


def _error_table(evidence: SurrogateEvidence, errors: dict[str, tuple[float, float]]) -> str:
    """Write how well an untrained shape's accuracy is predicted from its gradient, and from its width."""
    rows = [[f"{task}: {evidence.title(task)}", *(f"{error:.1f}" for error in pair)] for task, pair in errors.items()]
    return (
        "How far off one is with a shape that was never trained, from the other shapes' accuracies: mean absolute "
        "error, interpolated over the gradient before training, or over the width. It was not registered, and was "
        "chosen after the picture had been looked at.\n\n"
        + table(["task", "from its gradient, points", "from its width, points"], rows)
    )


def _picture(
    evidence: SurrogateEvidence, known: dict[str, _MeasuredTask], correlations: dict[str, RankCorrelation | None]
) -> StudyPicture:
    """Draw accuracy against the gradient before training, a panel a task."""
    panels = []
    for task, measured in known.items():
        correlation = correlations[task]
        means = measured.runs.accuracy.mean(axis=1).tolist()
        points = tuple(
            StartPoint(cell.surrogate, first_gradient(cell), mean)
            for cell, mean in zip(measured.cells, means, strict=True)
        )
        note = "does not vary" if correlation is None else f"rank correlation {correlation.mean:+.2f}"
        panels.append(StartPanel(evidence.title(task), note, measured.runs.runs[0][0].guess, points))
    label = "gradient of the first hidden layer before training (norm, scale: log)"
    return StudyPicture(
        "diagnosis_gradient.png",
        f"Test accuracy against the {label.replace(' (norm, scale: log)', ' (norm)')}, a panel a task.",
        (label, panels),
        lambda: start_figure(panels, label=label),
    )


def _message(gradients: dict[str, RankCorrelation | None], windows: dict[str, RankCorrelation | None]) -> str:
    """Name the tasks on which accuracy rises, or falls, strongly with gradients and with potentials in the window."""
    rising, falling = _strong_tasks(gradients)
    others = [task for task in gradients if task not in (*rising, *falling)]
    sentence = (
        f"A larger gradient in the first layer goes with higher accuracy (rank correlation above {STRONG:g}) on "
        f"{', '.join(rising) or 'no task'}; with lower accuracy on {', '.join(falling) or 'none'}"
    )
    if others:
        sentence += f"; neither is shown on {', '.join(others)}"
    wide, narrow = _strong_tasks(windows)
    return (
        f"{sentence}. More potentials in the window go with higher accuracy on "
        f"{', '.join(wide) or 'no task'} and with lower accuracy on {', '.join(narrow) or 'none'}."
    )


def _strong_tasks(correlations: dict[str, RankCorrelation | None]) -> tuple[list[str], list[str]]:
    """List the tasks whose whole interval is above 0.5, and those whose whole interval is below -0.5."""
    known = {task: correlation for task, correlation in correlations.items() if correlation is not None}
    rising = [task for task, correlation in known.items() if (correlation.low or 0) > STRONG]
    return rising, [task for task, correlation in known.items() if (correlation.high or 0) < -STRONG]


def _correlations(
    evidence: SurrogateEvidence,
    gradients: dict[str, RankCorrelation | None],
    windows: dict[str, RankCorrelation | None],
) -> str:
    """Write rank correlations of accuracy with the gradient and with the share in the window."""
    rows: list[list[Item]] = []
    for task, gradient in gradients.items():
        texts = [
            NONE if correlation is None else interval(correlation.mean, correlation.low, correlation.high, 2)
            for correlation in (gradient, windows[task])
        ]
        rows.append([f"{task}: {evidence.title(task)}", *texts, None if gradient is None else gradient.seeds])
    return table(["task", "accuracy with gradient", "accuracy with share in the window", "seeds"], rows)


def _table(known: dict[str, _MeasuredTask]) -> str:
    """Write what was measured of each cell before training."""
    rows = []
    for task, measured in known.items():
        for cell, scores in zip(measured.cells, np.asarray(measured.runs.accuracy), strict=True):
            gradients = ", ".join("not finite" if norm is None else number_text(norm) for norm in cell.gradients)
            shares = ", ".join(f"{100 * share:.1f}" for share in cell.in_window)
            mean = f"{fmean(scores.tolist()):.1f}"
            rows.append([task, cell.surrogate, number_text(cell.width_fwhm), gradients, shares, mean])
    header = ["task", "shape", "width", "gradient by layer", "in the window by layer, %", "accuracy, %"]
    return table(header, rows)
