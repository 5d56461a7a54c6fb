"""Pictures of several methods at once: tuning curves, performance profiles, mean ranks over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError
from sgbench.plots.style import COLOURS, GRID, INK, MARKERS, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT_SIZE = 13
LINE_STYLES = ("-", "--", ":", "-.")
MIN_CURVE = 2  # settings
MOST_MARKED = 10  # settings up to which each has a marker
MAX_LINES = 24
MOST_BANDS = 4  # more would cover each other
TUNING_SIZE = 10, 5  # [inches]
LEGEND: dict[str, Any] = {"frameon": False, "loc": "outside right center", "fontsize": 12}


@dataclass(frozen=True)
class TuningCurve:
    """Holds a method's expected test score of the setting that validation selects among 1, 2, ... tried ones."""

    name: str  # of the method
    scores: tuple[float, ...]  # accuracies in % or losses, one for each count of tried settings
    low: tuple[float, ...]  # lower end of the band around each score
    high: tuple[float, ...]  # upper end


@dataclass(frozen=True)
class PerformanceProfile:
    """Holds the share of a method's runs above each normalised score."""

    name: str  # of the method
    scores: NDArray[np.float64]  # in ascending order
    shares: NDArray[np.float64]  # of runs above, between each score and the next [%]


@dataclass(frozen=True)
class MeanRanks:
    """Holds the mean rank of each method over tasks, and the critical difference of two mean ranks."""

    by_name: dict[str, float]  # from the name of a method to its mean rank, 1 for the best
    critical_difference: float  # two mean ranks that are further apart differ significantly
    tasks: int  # count of tasks


def tuning_figure(curves: Sequence[TuningCurve], *, what: str) -> Figure:
    """Draw expected test scores against the number of settings tried.

    `curves`: the best method first; the first two dozen are drawn, four of them with their band.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    most = max((len(curve.scores) for curve in curves), default=0)
    if most < MIN_CURVE:
        raise InputError(
            "--plot: no method has two settings here, so there is no curve; run more, "
            "e.g. sgbench run -m width_fwhm=0.5,1,2"
        )
    figure = Figure(figsize=TUNING_SIZE, layout="constrained")
    axes = figure.subplots()
    _frame(axes)
    for number, curve in enumerate(curves[:MAX_LINES]):
        settings = np.arange(1, len(curve.scores) + 1)
        style = _line_style(number) | {"marker": MARKERS[number % len(MARKERS)], "markersize": 7}
        # A share of the picture's diagonal is the distance of markers; a single point would get none.
        style["markevery"] = 0.2 if len(settings) > MOST_MARKED else 1
        axes.plot(settings, curve.scores, label=curve.name, **style)
        if number < MOST_BANDS:
            axes.fill_between(settings, curve.low, curve.high, color=style["color"], alpha=0.12, linewidth=0)
    axes.set_xlabel("settings tried, of those here", fontsize=FONT_SIZE, color=INK)
    margin = 0.05 * (most - 1)
    axes.set_xlim(1 - min(margin, 0.5), most + margin)  # no tick at 0 settings
    axes.set_ylabel(f"expected {what},\nof the best on validation", fontsize=FONT_SIZE, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    figure.legend(**LEGEND)
    return figure


def across_figure(profiles: Sequence[PerformanceProfile], ranks: MeanRanks | None) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=across_size(profiles, ranks), layout="constrained")
    if ranks is None:
        _draw_profiles(figure.subplots(), profiles)
    else:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1 + 0.22 * len(profiles)))
        _draw_profiles(above, profiles)
        _draw_ranks(below, ranks)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), **LEGEND)
    return figure


def across_size(profiles: Sequence[PerformanceProfile], ranks: MeanRanks | None) -> tuple[float, float]:
    """Compute width and height of the figure over tasks in inches."""
    return 11, 5 if ranks is None else 6.5 + 0.25 * len(profiles)


def _line_style(number: int) -> dict[str, Any]:
    """Return matplotlib's options for the line of a method, by its index: colour, dashes and width."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)],
        "linewidth": 2,
    }


def _frame(axes: Axes) -> None:
    axes.tick_params(labelsize=FONT_SIZE, colors=INK)
    axes.grid(color=GRID, linewidth=0.8)


def _draw_profiles(axes: Axes, profiles: Sequence[PerformanceProfile]) -> None:
    _frame(axes)
    for number, profile in enumerate(profiles[:MAX_LINES]):
        # Between two scores the share is that of the runs above the lower one.
        axes.plot(profile.scores, profile.shares, label=profile.name, drawstyle="steps-post", **_line_style(number))
    axes.set_xlabel("normalised score (0 guessing, 1 perfect)", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("runs above it, %", fontsize=FONT_SIZE, color=INK)


def _draw_ranks(axes: Axes, ranks: MeanRanks) -> None:
    ranked = sorted((rank, name) for name, rank in ranks.by_name.items())
    critical = ranks.critical_difference
    style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 12, "color": INK}
    _frame(axes)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(ranked) - 0.3, -1.6)
    axes.set_xlim(0.7, len(ranked) + 0.3 + 0.25 * len(ranked))
    for row, (rank, name) in enumerate(ranked):
        axes.plot([rank], [row], "o", ms=8, color=INK)
        axes.annotate(name, (rank, row), (9, 0), **style)
        # A bar reaches from the first of a group to the last that does not differ significantly from it.
        group = [other for other, _ in ranked if 0 <= other - rank < critical]
        is_first = row == 0 or group[-1] - ranked[row - 1][0] >= critical
        if len(group) > 1 and is_first:
            axes.plot([rank, group[-1]], [row + 0.42] * 2, color=SOFT, linewidth=4, alpha=0.6, zorder=1)
    axes.plot([1, 1 + critical], [-0.9, -0.9], color=INK, linewidth=2.5)
    axes.annotate(f"critical difference {critical:.2f}", (1 + critical, -0.9), (8, 0), **style)
    axes.set_xticks([tick for tick in axes.get_xticks() if 1 <= tick <= len(ranked)])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"mean rank over {ranks.tasks} tasks (1 the best)", fontsize=FONT_SIZE, color=INK)
