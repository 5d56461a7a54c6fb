"""The critical-difference picture of a board: the places that each method may have, and bars over those alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sgbench.plots.labels import lines_of, wrapped
from sgbench.plots.style import BAND, BLUE, GRID, INK, SOFT

MAX_ROWS = 60
MAX_GROUPS = 12
FONT_SIZE = 12
MAX_LABEL, MOST_LINES = 48, 4
LINE_INCHES = 0.21  # each line of a row's label


@dataclass(frozen=True)
class Ranked:
    """Describes one method: the ranks that it may have, from 1 on, and the letters of the groups that it is in."""

    name: str
    low: int
    high: int
    groups: str


def rank_figure(methods: Sequence[Ranked], *, of: int) -> Figure:
    """Draw intervals of ranks, one row a method, and beside them a bar for each group of methods that are alike."""
    rows = methods[:MAX_ROWS]
    letters = sorted({letter for row in rows for letter in row.groups})[:MAX_GROUPS]
    labels = _labels(rows)
    figure = Figure(figsize=rank_size(rows), layout="constrained")
    ranks, groups = figure.subplots(1, 2, sharey=True, width_ratios=(4, max(0.5, 0.3 * len(letters))))
    for axes in (ranks, groups):
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(labelsize=FONT_SIZE, colors=INK, length=0)
        for index in range(0, len(rows), 2):
            axes.axhspan(index - 0.5, index + 0.5, color=BAND, linewidth=0, zorder=0)
    ranks.hlines(range(len(rows)), [row.low for row in rows], [row.high for row in rows], BLUE, linewidth=3)
    for side, marker in (("low", "|"), ("high", "|")):
        ranks.plot([getattr(row, side) for row in rows], range(len(rows)), marker, ms=10, mew=2, color=BLUE)
    ranks.set_yticks(range(len(rows)), labels)
    for label in ranks.get_yticklabels():
        label.set_parse_math(False)  # a record's text is no formula
    ranks.set_xlim(0.5, of + 0.5)
    ranks.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    ranks.grid(axis="x", color=GRID, linewidth=0.8)
    ranks.set_xlabel(f"places that a method may have, of {of}", fontsize=FONT_SIZE, color=INK)
    for place, letter in enumerate(letters):
        inside = [index for index, row in enumerate(rows) if letter in row.groups]
        groups.plot([place] * 2, [inside[0] - 0.3, inside[-1] + 0.3], color=SOFT, linewidth=3)
        groups.plot([place] * len(inside), inside, "o", ms=6, color=INK)
    groups.set_xticks(range(len(letters)), letters)
    groups.set_xlim(-0.7, len(letters) - 0.3)
    groups.set_xlabel("alike", fontsize=FONT_SIZE, color=INK)
    groups.spines["left"].set_visible(False)
    return figure


def rank_size(methods: Sequence[Ranked]) -> tuple[float, float]:
    """Compute width and height of the figure of ranks in inches."""
    rows = methods[:MAX_ROWS]
    return 10, 1.3 + (0.11 + LINE_INCHES * lines_of(_labels(rows))) * len(rows)


def _labels(rows: Sequence[Ranked]) -> list[str]:
    return [wrapped(row.name, MAX_LABEL, MOST_LINES) for row in rows]
