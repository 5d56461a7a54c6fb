"""A board as one picture: accuracy with every seed, spikes, and energy, beside each other."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sgbench.leaderboard.pages.table import rank_text
from sgbench.leaderboard.rows import Board, Row
from sgbench.plots.board_axis import axis_label, place_of, score_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's palette, told apart by readers with any colour vision; markers differ too."""
MARKERS = ("o", "s", "D", "^", "v", "P")
INK = "#222222"
SOFT = "#8a8a8a"
MEAN_STYLE: dict[str, Any] = {"color": COLOURS[0], "linewidth": 2.5}
SEED_STYLE: dict[str, Any] = {"color": SOFT, "linewidths": 0}
FAILED_STYLE: dict[str, Any] = {"color": COLOURS[1], "marker": "x"}
LEGEND_STYLE: dict[str, Any] = {
    "fontsize": 12,
    "frameon": False,
    "borderaxespad": 0.2,
    "handletextpad": 0.3,
    "columnspacing": 1.0,
}
HEAD_INCHES = 0.55
LEGEND_INCHES = 0.25  # each line of the legend of energies
LEGEND_COLUMNS = 4
FONT_SIZE = 13  # readable at half the picture's size
MAX_ROWS = 60
RANK_POINTS = 66  # between a row's name and its numbers
MAX_GROUPS = 4
MAX_LABEL = 42
LOG_FROM_RATIO = 20
NARROW_RATIO = 1000  # up to here ticks at 1 and 3 do not touch
Points = list[tuple[float, float]]
Span = tuple[float, float, float]
"""Both ends of a horizontal line, and its height."""


def load_library() -> None:
    """Import what `draw` will: it takes as long as drawing a small board."""
    from matplotlib import (
        figure,  # noqa: F401
        style,  # noqa: F401
    )
    from matplotlib.backends import backend_agg  # noqa: F401


def draw(board: Board, *, methods: int | None = None) -> bytes:
    """The picture alone.

    Args:
        board: with at least one row; the first sixty are drawn.
        methods: how many rows the whole board has, where this one has been cut.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = board.rows[:MAX_ROWS]
    out = io.BytesIO()
    with style.context("default"):
        head = HEAD_INCHES + LEGEND_INCHES * math.ceil(len(board.targets) / LEGEND_COLUMNS)
        plain = LEGEND_INCHES * math.ceil(len(board.baselines) / LEGEND_COLUMNS)
        head += plain
        height = head + 1.5 + 0.5 * len(rows)
        panels = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - head / height))
        figure = Figure(figsize=(14, height), dpi=120, layout=panels)
        FigureCanvasAgg(figure)
        accuracy, spikes, energy = figure.subplots(1, 3, sharey=True, width_ratios=(2.1, 1, 1.5))
        for axes in (accuracy, spikes, energy):
            _frame(axes, len(rows))
        _label_rows(accuracy, rows)
        _draw_accuracy(accuracy, rows, board)
        _draw_spikes(spikes, rows)
        _draw_energy(energy, rows, board)
        methods = len(board.rows) if methods is None else methods
        cut = f", first {MAX_ROWS} of {methods} methods" if methods > MAX_ROWS else ""
        figure.text(
            0.006, 1 - 0.28 / height, f"{board.protocol.name}{cut}", fontsize=17, color=INK, va="center"
        )
        # In the strip above the panels, where no row's label can reach it.
        figure.legend(
            *accuracy.get_legend_handles_labels(),
            loc="center right",
            bbox_to_anchor=(1, 1 - (0.28 + plain / 2) / height),
            ncols=LEGEND_COLUMNS,
            **LEGEND_STYLE,
        )
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _frame(axes: Axes, n: int) -> None:
    axes.set_ylim(n - 0.4, -0.6)
    axes.tick_params(labelsize=FONT_SIZE, colors=INK, length=0, axis="y")
    axes.tick_params(labelsize=FONT_SIZE, colors=INK, axis="x")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for index in range(0, n, 2):
        axes.axhspan(index - 0.5, index + 0.5, color="#f4f4f4", linewidth=0, zorder=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8, zorder=1)


def _label_rows(axes: Axes, rows: Sequence[Row]) -> None:
    labels = [[row.surrogate, ", ".join(row.varying.values())] for row in rows]
    axes.set_yticks(range(len(rows)), ["\n".join(_cut(line) for line in lines if line) for lines in labels])
    axes.tick_params(axis="y", pad=RANK_POINTS + 6)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # a record's text is no formula
    for index, text in [(-0.75, "rank"), *enumerate(map(_rank, rows))]:
        axes.annotate(
            text,
            (0, index),
            xycoords=("axes fraction", "data"),
            xytext=(-RANK_POINTS, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            color=SOFT if text == "rank" else INK,
            annotation_clip=False,
        ).set_in_layout(False)


def _rank(row: Row) -> str:
    """As in the table, in little space."""
    groups = "" if row.place is None else row.place.groups[:MAX_GROUPS]
    return f"{rank_text(row).replace(' to ', '-')} {groups}".strip()


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"


def _draw_accuracy(axes: Axes, rows: Sequence[Row], board: Board) -> None:
    """Dots, mean and interval on an axis on which equal ratios of errors, or of losses, have equal lengths."""
    place = place_of(board)
    dots: Points = []
    failed: Points = []
    spans: list[Span] = []
    for index, row in enumerate(rows):
        for seed, value in row.scores.items():
            (failed if seed in row.failed_seeds else dots).append((place(value), index + 0.2))
        if row.score.low is not None and row.score.high is not None:
            spans.append((place(row.score.low), place(row.score.high), index - 0.12))
    means = [(place(row.score.mean), index - 0.12) for index, row in enumerate(rows)]
    axes.scatter(*_columns(dots), s=34, alpha=0.55, zorder=3, **SEED_STYLE)
    axes.scatter(*_columns(failed), s=60, zorder=4, **FAILED_STYLE)
    axes.plot(*_broken(spans), zorder=4, **MEAN_STYLE)
    axes.plot(*_columns(means), "o", ms=9, zorder=5, **MEAN_STYLE)
    plain = [place(row.score.mean) for row in board.baselines]
    score_axis(
        axes, board, [x for x, _ in (*dots, *failed)] + [end for span in spans for end in span[:2]] + plain
    )
    for number, (row, x) in enumerate(zip(board.baselines, plain, strict=True)):
        colour = COLOURS[(number + 1) % len(COLOURS)]
        axes.axvline(x, color=colour, linestyle=":", linewidth=2, zorder=2, label=_cut(row.surrogate))
    guess, (low, high) = place(board.measure.guess), axes.get_xlim()
    if low < guess < high or (guess > low and not board.measure.is_loss):
        word = "without learning" if board.measure.is_loss else "chance"
        axes.axvline(guess, color=SOFT, linestyle="--", linewidth=1.2, label=word)
    axes.plot([], [], "o-", ms=9, label="mean, 95 % interval", **MEAN_STYLE)
    axes.scatter([], [], s=34, label="one seed", **SEED_STYLE)
    if any(row.failed_seeds for row in rows):
        axes.scatter([], [], s=60, label="failed seed, counted at chance", **FAILED_STYLE)
    axes.set_xlabel(axis_label(board), fontsize=FONT_SIZE, color=INK)


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _broken(spans: Sequence[Span]) -> tuple[list[float], list[float]]:
    """Horizontal lines as one with gaps: a thousand artists would take seconds to draw."""
    return (
        [x for low, high, _ in spans for x in (low, high, math.nan)],
        [y for *_, height in spans for y in (height, height, math.nan)],
    )


def _draw_spikes(axes: Axes, rows: Sequence[Row]) -> None:
    values = [row.costs.spikes.value for row in rows]
    known = [(value, float(index)) for index, value in enumerate(values) if value is not None]
    axes.plot(*_columns(known), "o", ms=8, color=INK, zorder=4)
    for index, value in enumerate(values):
        if value is None:
            _say(axes, index, "none")
    _cost_axis(axes, [value for value in values if value is not None])
    axes.set_xlabel("spikes\nper inference", fontsize=FONT_SIZE, color=INK)


def _draw_energy(axes: Axes, rows: Sequence[Row], board: Board) -> None:
    seen: list[float] = []
    for number, target in enumerate(board.targets):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.plot([], [], marker, ms=8, color=colour, label=f"{target.name}{' *' if target.missing else ''}")
        found = [(row.costs.energies[target.name].dynamic_nj, float(index)) for index, row in enumerate(rows)]
        priced = [(energy, index) for energy, index in found if energy is not None]
        spans = [(energy.low, energy.high, index) for energy, index in priced]
        axes.plot(*_broken(spans), color=colour, linewidth=2.5, zorder=3)
        axes.plot(
            *_columns([(energy.value, index) for energy, index in priced]),
            marker,
            ms=8,
            color=colour,
            zorder=4,
        )
        seen += [end for energy, _ in priced for end in (energy.low, energy.value, energy.high)]
    for index, row in enumerate(rows):
        without = sum(energy.dynamic_nj is None for energy in row.costs.energies.values())
        if without:
            _say(axes, index, f"{without} without a total")
    _cost_axis(axes, seen)
    partial = " (*: a part)" if any(target.missing for target in board.targets) else ""
    axes.set_xlabel(f"dynamic energy, nJ\nper inference{partial}", fontsize=FONT_SIZE, color=INK)
    if board.targets:
        legend = axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=LEGEND_COLUMNS, **LEGEND_STYLE)
        legend.set_in_layout(False)  # it may reach over the empty space to its left


def _say(axes: Axes, index: int, text: str) -> None:
    """A word at the right end of a row about what cannot be drawn."""
    place = axes.get_yaxis_transform()
    axes.text(0.985, index + 0.3, text, transform=place, ha="right", va="center", fontsize=11, color=SOFT)


def _cost_axis(axes: Axes, values: Sequence[float]) -> None:
    """From zero, or logarithmic where values differ by an order of magnitude and none is zero."""
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
        axes.set_xlim(-0.05 * (high or 1.0), 1.15 * (high or 1.0))
        axes.locator_params(axis="x", nbins=4)
