"""The forest of a front page: what separates two methods, a row a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.estimate import Estimate
from sgbench.plots.style import BLUE, GRID, INK, ORANGE, SOFT

ROW_INCHES, HEAD_INCHES = 0.32, 1.5
LEAST_REACH = 5.0
"""Points to both sides that an axis shows at least."""
WORDS = {True: "told apart", False: "not told apart"}
COLOURS = {True: ORANGE, False: BLUE}


@dataclass(frozen=True)
class ForestMark:
    """Holds the difference of two methods on one board, in points of the way from guessing to perfection."""

    board: str
    difference: Estimate
    is_decided: bool  # whether the two are told apart


@dataclass(frozen=True)
class ForestColumn:
    """Holds one panel: what is compared, board by board."""

    title: str
    rows: tuple[ForestMark, ...]


def duels_size(columns: Sequence[ForestColumn]) -> tuple[float, float]:
    """Compute width and height of the picture in inches."""
    return 11.0, HEAD_INCHES + ROW_INCHES * len(_boards(columns))


def duels_figure(columns: Sequence[ForestColumn]) -> Figure:
    """Draw a panel a question, boards as rows, differences with their intervals; 0 is no difference.

    Args:
        columns: at least one, with at least one row each.
    """
    boards = _boards(columns)
    figure = Figure(figsize=duels_size(columns), layout="constrained")
    grid: Any = figure.subplots(1, len(columns), sharey=True, squeeze=False)
    for axes, column in zip(grid.flat, columns, strict=True):
        _panel(axes, column, boards)
    grid.flat[0].set_yticks(range(len(boards)), boards)
    for label in grid.flat[0].get_yticklabels():
        label.set_parse_math(False)
    figure.supxlabel("difference, points of the way from guessing to perfection", color=INK)
    handles = [
        grid.flat[0].plot([], [], "o", color=COLOURS[decided], label=WORDS[decided])[0]
        for decided in (True, False)
    ]
    place: Any = {"loc": "outside upper right", "ncols": 2, "frameon": False}
    figure.legend(handles=handles, **place)
    return figure


def _boards(columns: Sequence[ForestColumn]) -> list[str]:
    return list(dict.fromkeys(row.board for column in columns for row in column.rows))


def _panel(axes: Axes, column: ForestColumn, boards: Sequence[str]) -> None:
    axes.axvline(0, color=SOFT, linewidth=1)
    for row in column.rows:
        place, colour = boards.index(row.board), COLOURS[row.is_decided]
        axes.plot([row.difference.low, row.difference.high], [place, place], color=colour, linewidth=1.8)
        axes.plot([row.difference.value], [place], "o", color=colour, markersize=7)
    ends = [abs(end) for row in column.rows for end in row.difference]
    reach = max(LEAST_REACH, 1.05 * max(ends, default=0))
    low = -reach if any(row.difference.low < 0 for row in column.rows) else -0.05 * reach
    axes.set_xlim(low, reach)
    axes.set_ylim(len(boards) - 0.4, -0.6)
    axes.set_title(column.title, loc="left", color=INK)
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.8, zorder=0)
