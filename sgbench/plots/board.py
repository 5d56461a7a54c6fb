"""Draw a board: scores of every seed, spikes, and energy, side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sgbench.plots.chart import Estimate
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import BAND, BLUE, COLOURS, GRID, INK, MARKERS, SOFT, VERMILION, most_lines, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEAN_STYLE: dict[str, Any] = {"color": BLUE, "linewidth": 2.5}
SEED_STYLE: dict[str, Any] = {"color": SOFT, "linewidths": 0}
FAILED_STYLE: dict[str, Any] = {"color": VERMILION, "marker": "x"}
LEGEND_STYLE: dict[str, Any] = {
    "fontsize": 12,
    "frameon": False,
    "borderaxespad": 0.2,
    "handletextpad": 0.3,
    "columnspacing": 1.0,
}
WIDTH_INCHES = 14
HEAD_INCHES, AXIS_INCHES = 0.55, 1.5  # above the panels, and for the labels of their axes
LEGEND_INCHES, LINE_INCHES = 0.25, 0.22  # each line of a legend, and of a row's label
LEGEND_COLUMNS = 4
FONT_SIZE = 13  # readable at half the picture's size
MAX_ROWS = 60
RANK_POINTS = 66  # distance of a row's name from the panel, with the rank between them [points]
MAX_LABEL, MOST_LINES = 52, 9
MIN_TICK_GAP = 0.08  # relative to the axis of scores
ABOVE, BELOW = -0.12, 0.2  # positions of a row's mean and of its seeds
LOG_FROM_RATIO, NARROW_RATIO = 20, 100  # of costs; up to the second one ticks at 1 and 3 do not touch


@dataclass(frozen=True)
class BoardRow:
    """Holds one method's row of a picture; scores are accuracies in % or losses."""

    name: str
    choices: str  # further settings in which rows differ, on their own line; may be empty
    rank: str
    mean: Estimate
    seeds: tuple[float, ...]  # scores of finished runs
    failed: tuple[float, ...]  # scores of failed runs, as by guessing
    spikes: float | None  # per inference; None if not counted
    energies: tuple[Estimate | None, ...]  # per inference on each target [nJ]; None without a total

    @property
    def label(self) -> str:
        lines = wrapped(self.name, MAX_LABEL), wrapped(self.choices, MAX_LABEL, MOST_LINES)
        return "\n".join(line for line in lines if line)


@dataclass(frozen=True)
class EnergyColumn:
    """Holds an energy target with a panel."""

    name: str
    is_partial: bool  # whether its energies leave out some operations


@dataclass(frozen=True)
class BoardPicture:
    """Holds the rows and panels of a board's picture."""

    title: str
    rows: tuple[BoardRow, ...]  # from the top; at least one, at most `MAX_ROWS` are drawn
    methods: int  # count of all rows of the board
    targets: tuple[EnergyColumn, ...]
    baselines: tuple[tuple[str, float], ...]  # networks without spikes: name and mean score
    is_loss: bool
    least_error: float  # smallest error that differs from none, in the unit of the scores
    guess: float  # the score of guessing; NaN if unknown

    @property
    def axis(self) -> ErrorAxis:
        """Build the axis on which scores are drawn."""
        return ErrorAxis(self.is_loss, self.least_error)


def board_figure(picture: BoardPicture) -> Figure:
    """Draw a board in three panels that share its rows: scores, spikes, and energies on each target."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = picture.rows[:MAX_ROWS]
    legend_inches, strip_inches = _strip_inches(picture)
    width, height = board_size(picture)
    panels = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - strip_inches / height))
    figure = Figure(figsize=(width, height), layout=panels)
    scores, spikes, energies = figure.subplots(1, 3, sharey=True, width_ratios=(2.1, 1, 1.5))
    for axes in (scores, spikes, energies):
        _frame(axes, len(rows))
    _label_rows(scores, rows)
    _draw_scores(scores, rows, picture)
    _draw_spikes(spikes, rows)
    _draw_energies(energies, rows, picture.targets)
    cut = f", first {MAX_ROWS} of {picture.methods} methods" if picture.methods > MAX_ROWS else ""
    figure.text(0.006, 1 - 0.28 / height, f"{picture.title}{cut}", fontsize=17, color=INK, va="center")
    figure.legend(
        *scores.get_legend_handles_labels(),
        loc="center right",
        bbox_to_anchor=(1, 1 - (0.28 + legend_inches / 2) / height),
        ncols=LEGEND_COLUMNS,
        **LEGEND_STYLE,
    )
    return figure


def board_size(picture: BoardPicture) -> tuple[float, float]:
    """Compute width and height of the whole picture [inches]; every row is as high as the longest label needs."""
    rows = picture.rows[:MAX_ROWS]
    row_inches = max(0.5, 0.06 + LINE_INCHES * most_lines(row.label for row in rows))
    _, strip_inches = _strip_inches(picture)
    return WIDTH_INCHES, strip_inches + AXIS_INCHES + row_inches * len(rows)


def _strip_inches(picture: BoardPicture) -> tuple[float, float]:
    """Compute two heights [inches]: of the figure's legend, and of the strip with the title and both legends."""
    baselines_inches = LEGEND_INCHES * math.ceil(len(picture.baselines) / LEGEND_COLUMNS)
    targets_inches = LEGEND_INCHES * math.ceil(len(picture.targets) / LEGEND_COLUMNS)
    return baselines_inches, HEAD_INCHES + targets_inches + baselines_inches


def _frame(axes: Axes, rows: int) -> None:
    """Set up a panel's rows: the first at the top, a band behind every second one, and a grid of the scores."""
    axes.set_ylim(rows - 0.4, -0.6)
    axes.tick_params(labelsize=FONT_SIZE, colors=INK, length=0, axis="y")
    axes.tick_params(labelsize=FONT_SIZE, colors=INK, axis="x")
    axes.spines["left"].set_visible(False)
    for index in range(0, rows, 2):
        axes.axhspan(index - 0.5, index + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=1)


def _label_rows(axes: Axes, rows: Sequence[BoardRow]) -> None:
    """Write names, settings and ranks to the left of the rows."""
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.tick_params(axis="y", pad=RANK_POINTS + 6)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a record's text must not be parsed as a formula
    # The column's title is above the first row, which is at 0.
    for height, text in [(-0.75, "rank"), *enumerate(row.rank for row in rows)]:
        axes.annotate(
            text,
            (0, height),
            xycoords=("axes fraction", "data"),
            xytext=(-RANK_POINTS, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            color=SOFT if text == "rank" else INK,
            annotation_clip=False,
        ).set_in_layout(False)


def _draw_scores(axes: Axes, rows: Sequence[BoardRow], picture: BoardPicture) -> None:
    """Draw dots of seeds, means and their intervals, and lines of networks without spikes and of guessing."""
    axis = picture.axis
    seeds = [(axis.clip(score), index + BELOW) for index, row in enumerate(rows) for score in row.seeds]
    failed = [(axis.clip(score), index + BELOW) for index, row in enumerate(rows) for score in row.failed]
    means = [Estimate(*map(axis.clip, row.mean)) for row in rows]  # and the ends of their intervals
    heights = [index + ABOVE for index in range(len(rows))]
    # The scale is set first, so that nothing is transformed twice.
    scores = [score for score, _ in (*seeds, *failed)]
    for mean in means:
        scores += mean
    ends = axis.limits([*scores, *(axis.clip(score) for _, score in picture.baselines)])
    axis.frame(axes, "x", ends, gap=MIN_TICK_GAP)
    axes.scatter(*_columns(seeds), s=34, alpha=0.55, zorder=3, **SEED_STYLE)
    axes.scatter(*_columns(failed), s=60, zorder=4, **FAILED_STYLE)
    axes.plot(*_broken_line(means, heights), zorder=4, **MEAN_STYLE)
    axes.plot([mean.value for mean in means], heights, "o", ms=9, zorder=5, **MEAN_STYLE)
    _draw_references(axes, picture, ends)
    axes.plot([], [], "o-", ms=9, label="mean, 95 % interval", **MEAN_STYLE)
    axes.scatter([], [], s=34, label="one seed", **SEED_STYLE)
    if failed:
        counted = "as without learning" if picture.is_loss else "at chance"
        axes.scatter([], [], s=60, label=f"failed seed, counted {counted}", **FAILED_STYLE)
    quantity = "test loss, less is better" if picture.is_loss else "test accuracy, %"
    axes.set_xlabel(f"{quantity}\n{axis.scale_note}", fontsize=FONT_SIZE, color=INK)


def _draw_references(axes: Axes, picture: BoardPicture, ends: tuple[float, float]) -> None:
    """Draw lines at the scores of networks without spikes, and at that of guessing.

    The score of guessing is left out if it is unknown, left of the axis' `ends`, or a loss to the right of them.
    """
    for number, (name, score) in enumerate(picture.baselines, start=1):
        colour, label = COLOURS[number % len(COLOURS)], wrapped(name, MAX_LABEL)
        axes.axvline(picture.axis.clip(score), color=colour, linestyle=":", linewidth=2, zorder=2, label=label)
    guess, (low, high) = picture.guess, ends
    if guess > low and (guess < high or not picture.is_loss):  # NaN, if unknown, is not above low
        label = "without learning" if picture.is_loss else "chance"
        axes.axvline(guess, color=SOFT, linestyle="--", linewidth=1.2, label=label)


def _columns(points: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Split points into their x and their y.

    >>> _columns([(1.0, 2.0), (3.0, 4.0)])
    ([1.0, 3.0], [2.0, 4.0])
    """
    listed = list(points)
    return [x for x, _ in listed], [y for _, y in listed]


def _broken_line(intervals: Sequence[Estimate], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Join horizontal lines, one for each interval, into x and y of a single line with gaps.

    A thousand separate lines would take seconds to draw.

    >>> _broken_line([Estimate(2.0, 1.0, 3.0)], [0.5])
    ([1.0, 3.0, nan], [0.5, 0.5, nan])
    """
    return (
        [x for interval in intervals for x in (interval.low, interval.high, math.nan)],
        [y for height in heights for y in (height, height, math.nan)],
    )


def _draw_spikes(axes: Axes, rows: Sequence[BoardRow]) -> None:
    """Draw the spikes per inference of each method, and "none" in the row of a network without them."""
    known = [(row.spikes, float(index)) for index, row in enumerate(rows) if row.spikes is not None]
    axes.plot(*_columns(known), "o", ms=8, color=INK, zorder=4)
    for index, row in enumerate(rows):
        if row.spikes is None:
            _write_in_row(axes, index, "none")
    _cost_axis(axes, [value for value, _ in known])
    axes.set_xlabel("spikes\nper inference", fontsize=FONT_SIZE, color=INK)


def _draw_energies(axes: Axes, rows: Sequence[BoardRow], targets: Sequence[EnergyColumn]) -> None:
    """Draw each method's energy on each target with its interval, and write how many targets gave it no total."""
    ends: list[float] = []  # all energies and ends of their intervals
    for number, target in enumerate(targets):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        label = f"{target.name}{' *' if target.is_partial else ''}"
        priced, heights = [], []
        for index, row in enumerate(rows):
            energy = row.energies[number]
            if energy is not None:
                priced.append(energy)
                heights.append(float(index))
        axes.plot([], [], marker, ms=8, color=colour, label=label)
        axes.plot(*_broken_line(priced, heights), color=colour, linewidth=2.5, zorder=3)
        axes.plot([energy.value for energy in priced], heights, marker, ms=8, color=colour, zorder=4)
        ends += itertools.chain(*priced)
    for index, row in enumerate(rows):
        without = row.energies.count(None)
        if without:
            _write_in_row(axes, index, f"{without} without a total")
    _cost_axis(axes, ends)
    partial = " (*: a part)" if any(target.is_partial for target in targets) else ""
    axes.set_xlabel(f"dynamic energy, nJ\nper inference{partial}", fontsize=FONT_SIZE, color=INK)
    if targets:
        legend = axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=LEGEND_COLUMNS, **LEGEND_STYLE)
        legend.set_in_layout(False)  # it may extend over the empty space to its left


def _write_in_row(axes: Axes, index: int, text: str) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(0.985, index + 0.3, text, transform=transform, ha="right", va="center", fontsize=11, color=SOFT)


def _cost_axis(axes: Axes, values: Sequence[float]) -> None:
    """Scale an axis of costs: from zero, or logarithmic if values differ much and none is zero."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if not values:
        return
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.6, high * 1.6)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low < NARROW_RATIO else (1,)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        span = high or 1.0  # all values may be 0
        axes.set_xlim(-0.05 * span, 1.15 * span)
        axes.locator_params(axis="x", nbins=4)
