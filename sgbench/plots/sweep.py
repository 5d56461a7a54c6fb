"""Draw a sweep as heat maps, curves or dots, depending on its axes."""

import math
import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sgbench.errors import InputError
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import BAND, BLUE, GRID, INK, SOFT, VERMILION
from sgbench.plots.sweep_numbers import FAILED, LOSS, TEST, SweepPicture, SweepRow, require_few
from sgbench.plots.sweep_panels import curves_size, draw_curves, draw_heat, heat_size
from sgbench.tables import aligned

MAX_ROWS = 80
ROW_INCHES, LETTER_INCHES = 0.36, 0.105
MIN_TICK_GAP = 0.055  # of the axis


def _dots_size(picture: SweepPicture) -> tuple[float, float]:
    """Compute width and height of the panel of dots [inches]."""
    require_few(len(picture.rows), MAX_ROWS, "rows")
    letters = max(map(len, _labels(picture.rows, picture)))
    return 7.5 + LETTER_INCHES * letters, 0.8 + ROW_INCHES * (len(picture.rows) + 1)


def _draw_dots(figure: Figure, picture: SweepPicture) -> None:
    """Draw dots into a figure of `_dots_size`; with a single swept axis, the best first."""
    axes = figure.subplots()
    rows = list(picture.rows)
    if len(picture.axes) == 1:
        sign = 1 if picture.is_loss else -1
        rows.sort(key=lambda row: math.inf if row.mean is None else sign * row.mean.value)
    axis = picture.axis
    _scale(axes, axis, rows)
    axes.set_xlabel(f"{picture.what} {axis.scale_note}", fontsize=14, color=INK)
    for position, row in enumerate(rows):
        _draw_row(axes, axis, position, row)
    texts = _labels(rows, picture)  # the first is the head, above all rows
    axes.set_yticks(range(-1, len(texts) - 1), texts)
    axes.set_ylim(len(texts) - 1.4, -1.5)
    for position, label in enumerate(axes.get_yticklabels()):
        label.set(family="monospace", fontsize=12, color=SOFT if position == 0 else INK, parse_math=False)
    axes.tick_params(axis="y", length=0)
    chances = {row.chance for row in rows}
    if len(chances) == 1 and axes.get_xlim()[0] <= min(chances):
        axes.axvline(min(chances), color=SOFT, linestyle="--", linewidth=1.2, label="chance", zorder=1)
    axes.plot([], [], "o-", label="mean, 95 % interval", color=BLUE, linewidth=2.5, ms=9)
    axes.scatter([], [], s=34, color=SOFT, label="one seed")
    if picture.failed:
        axes.scatter([], [], s=60, color=VERMILION, marker="x", label="failed seed")
    # In the line of the head, which has no dots.
    axes.legend(frameon=False, loc="upper right", ncols=4, fontsize=12, borderaxespad=0.2)


def _draw_row(axes: Axes, axis: ErrorAxis, position: int, row: SweepRow) -> None:
    """Draw one combination: its mean with the interval above the middle of the row, and its seeds below."""
    if position % 2 == 0:
        axes.axhspan(position - 0.5, position + 0.5, color=BAND, linewidth=0, zorder=0)
    if row.mean is None:
        box: Any = {"ha": "center", "va": "center", "color": SOFT, "backgroundcolor": "white"}
        axes.text(0.5, position, "no run yet", transform=axes.get_yaxis_transform(), fontsize=12, **box)
        return
    below, above = position + 0.2, position - 0.12
    seeds, failed = axis.clip(row.seeds), axis.clip(row.failed)
    mean, low, high = map(axis.clip, row.mean)
    axes.scatter(seeds, [below] * len(seeds), s=30, color=SOFT, alpha=0.6, linewidths=0, zorder=3)
    axes.scatter(failed, [below] * len(failed), s=50, color=VERMILION, marker="x", zorder=4)
    axes.plot([low, high], [above] * 2, color=BLUE, linewidth=2.5, zorder=4)
    axes.plot([mean], [above], "o", color=BLUE, ms=8, zorder=5)


def _labels(rows: Sequence[SweepRow], picture: SweepPicture) -> list[str]:
    """Write the settings of all rows in aligned columns, below a head with the names of the axes.

    A star marks rows without all their seeds. Without a swept axis the surrogate is the only column.
    """
    head = [axis.short for axis in picture.axes] or ["surrogate"]
    cells = [head]
    for row in rows:
        settings = [row.settings[axis.key] for axis in picture.axes] or [row.surrogate]
        if row.is_short:
            settings[-1] += "*"
        cells.append(settings)
    lines = aligned(cells, text_columns=len(head))
    return [line.ljust(max(map(len, lines))) for line in lines]


def _scale(axes: Axes, axis: ErrorAxis, rows: Sequence[SweepRow]) -> None:
    """Set up the axis of scores so that it holds all seeds and intervals that are not far beyond them."""
    scores = [score for row in rows for score in (*row.seeds, *row.failed)]
    ends = axis.limits(scores, (end for row in rows for end in row.mean or ()))
    axis.frame(axes, "x", ends, gap=MIN_TICK_GAP)
    axes.tick_params(axis="x", labelsize=13, colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=1)
    axes.spines["left"].set_visible(False)


HEAD_INCHES, LINE_INCHES = 0.5, 0.24
LETTERS_PER_INCH = 13  # of the caption
WHY_VALIDATION = "Validation accuracy on purpose: a choice is made on it, and the test set stays untouched."


def sweep_figure(picture: SweepPicture) -> Figure:
    """Draw a sweep: heat maps over width and learning rate, curves over width alone, or else dots."""
    width, rate = picture.width, picture.rate
    is_heat = width is not None and rate is not None
    if picture.what == FAILED and not is_heat:
        raise InputError("--of failed: a map is of a width or slope and a learning rate; the table counts failures")
    if width is not None and rate is not None:
        size, draw = heat_size(picture, width, rate), partial(draw_heat, across=width, rate=rate)
    elif width is not None:
        size, draw = curves_size(picture, width), partial(draw_curves, across=width)
    else:
        size, draw = _dots_size(picture), _draw_dots
    # Below the panels the caption, above them the title.
    panels_width, panels_height = size
    lines = textwrap.wrap(" ".join(_notes(picture, is_heat=is_heat)), int(panels_width * LETTERS_PER_INCH))
    foot = LINE_INCHES * len(lines) + 0.12
    height = panels_height + HEAD_INCHES + foot
    inside = ConstrainedLayoutEngine(rect=(0, foot / height, 1, panels_height / height))
    figure = Figure(figsize=(panels_width, height), layout=inside)
    FigureCanvasAgg(figure)
    draw(figure, picture)
    figure.text(0.012, 1 - 0.28 / height, picture.title, fontsize=16, color=INK, va="center", parse_math=False)
    caption: Any = {"fontsize": 11, "color": INK, "va": "bottom", "linespacing": 1.35, "parse_math": False}
    figure.text(0.012, 0.08 / height, "\n".join(lines), **caption)
    return figure


def _notes(picture: SweepPicture, *, is_heat: bool) -> list[str]:
    """Write the sentences of the caption: averages, missing runs, and why this is not the test accuracy."""
    shows_failures = picture.what == FAILED
    if shows_failures:
        notes = ["Share of runs that failed, of those that have ended."]
    else:
        notes = _averages(picture, is_heat=is_heat)
    if is_heat and not shows_failures:
        notes.append(f"Framed: the {'lowest' if picture.is_loss else 'highest'} mean of a panel.")
    is_empty = any(row.mean is None for row in picture.rows)
    if is_heat and is_empty:
        notes.append("Hatched: no run yet.")
    if any(row.is_short for row in picture.rows):
        notes.append("*\u00a0fewer seeds than asked for.")
    if not is_heat and is_empty:
        notes.append("Some settings have no run yet.")
    if picture.failed and not shows_failures:
        runs = "run counts" if picture.failed == 1 else "runs count"
        notes.append(f"{picture.failed} failed {runs} at chance.")
    return notes


def _averages(picture: SweepPicture, *, is_heat: bool) -> list[str]:
    """Write over how many seeds scores are averaged and, unless they are of the test split, why they are not."""
    averages = "One seed, so no interval" if picture.seeds == 1 else f"Mean over {picture.seeds} seeds"
    if picture.seeds > 1 and not is_heat:
        averages += " with its 95 % interval"
    if picture.what == TEST:
        return [f"{averages}."]
    return [f"{averages}.", WHY_VALIDATION.replace("accuracy", "loss" if picture.what == LOSS else "accuracy")]
