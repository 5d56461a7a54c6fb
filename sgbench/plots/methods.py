"""Pictures of several methods at once: tuning curves, performance profiles, mean ranks over tasks."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.families import AcrossTasks, Tuned
from sgbench.leaderboard.score import Measure
from sgbench.plots.board import COLOURS, FONT_SIZE, INK, MARKERS, SOFT
from sgbench.statistics.across_tasks import performance_profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":", "-.")
MIN_CURVE = 2  # settings
MOST_MARKED = 10  # settings up to which each has a marker
MAX_LINES = 24
LEGEND: dict[str, Any] = {"frameon": False, "loc": "outside right center", "fontsize": 12}


def tuning_png(found: Sequence[Tuned], measure: Measure) -> bytes:
    """Expected test score of the setting that validation selects, against the number of settings tried.

    Raises:
        InputError: no family has two settings, so that no curve is one.
    """
    most = max((each.settings for each in found), default=0)
    if most < MIN_CURVE:
        raise InputError(
            "--plot: no method has two settings here, so there is no curve; run more, "
            "e.g. sgbench run -m width_fwhm=0.5,1,2"
        )

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.subplots()
        _frame(axes)
        for number, each in enumerate(found[:MAX_LINES]):
            settings = np.arange(1, each.settings + 1)
            look = _look(number) | {"marker": MARKERS[number % len(MARKERS)], "markersize": 7}
            # A share of the picture's diagonal between markers; one point alone would get none.
            look["markevery"] = 0.2 if each.settings > MOST_MARKED else 1
            scores = np.array(each.expected_test) * (1 if measure.is_loss else 100)
            axes.plot(settings, scores, label=each.name, **look)
        axes.set_xlabel("settings tried, of those here", fontsize=FONT_SIZE, color=INK)
        margin = 0.05 * (most - 1)
        axes.set_xlim(1 - min(margin, 0.5), most + margin)  # no tick at 0 settings
        axes.set_ylabel(
            f"expected {measure.title},\nof the best on validation", fontsize=FONT_SIZE, color=INK
        )
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        figure.legend(**LEGEND)

    return _png(draw, 10, 5)


def across_png(found: AcrossTasks) -> bytes:
    """Performance profiles, and under them mean ranks where there are several tasks."""

    def draw(figure: Figure) -> None:
        if found.ranks is None:
            _profiles(figure.subplots(), found)
        else:
            above, below = figure.subplots(2, 1, height_ratios=(3, 1 + 0.22 * len(found.standings)))
            _profiles(above, found)
            _rank_lines(below, found)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), **LEGEND)

    height = 5 if found.ranks is None else 6.5 + 0.25 * len(found.standings)
    return _png(draw, 11, height)


def _png(draw: Callable[[Figure], None], width: float, height: float) -> bytes:
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out = io.BytesIO()
    with style.context("default"):
        figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _look(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number // len(COLOURS) % len(STYLES)],
        "linewidth": 2,
    }


def _frame(axes: Axes) -> None:
    axes.tick_params(labelsize=FONT_SIZE, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.8)


def _profiles(axes: Axes, found: AcrossTasks) -> None:
    _frame(axes)
    lowest = min(float(each.min()) for standing in found.standings for each in standing.tasks)
    ends = min(lowest, 0.9) - 0.02, 1.0
    for number, standing in enumerate(found.standings[:MAX_LINES]):
        # Above a score the share is that of the runs beyond it, up to the next one.
        steps = np.unique(np.concatenate([ends, *standing.tasks]))
        shares = 100 * performance_profile(standing.tasks, steps)
        axes.plot(steps, shares, label=standing.name, drawstyle="steps-post", **_look(number))
    axes.set_xlabel("normalised score (0 guessing, 1 perfect)", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("runs above it, %", fontsize=FONT_SIZE, color=INK)


def _rank_lines(axes: Axes, found: AcrossTasks) -> None:
    """Mean ranks, with a bar as long as the critical difference, and bars over groups that are not told apart."""
    assert found.ranks is not None  # noqa: S101 - the caller knows
    ranked = sorted((standing.mean_rank or 0.0, standing.name) for standing in found.standings)
    reach = found.ranks.critical_difference
    _frame(axes)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(ranked) - 0.3, -1.6)
    axes.set_xlim(0.7, len(ranked) + 0.3 + 0.25 * len(ranked))
    for row, (rank, name) in enumerate(ranked):
        axes.plot([rank], [row], "o", ms=8, color=INK)
        axes.annotate(
            name, (rank, row), (9, 0), textcoords="offset points", va="center", fontsize=12, color=INK
        )
        alike = [other for other, (value, _) in enumerate(ranked) if 0 <= value - rank < reach]
        first = row == 0 or ranked[alike[-1]][0] - ranked[row - 1][0] >= reach
        if len(alike) > 1 and first:
            ends = [rank, ranked[alike[-1]][0]]
            axes.plot(ends, [row + 0.42] * 2, color=SOFT, linewidth=4, alpha=0.6, zorder=1)
    axes.plot([1, 1 + reach], [-0.9, -0.9], color=INK, linewidth=2.5)
    axes.annotate(
        f"critical difference {reach:.2f}",
        (1 + reach, -0.9),
        (8, 0),
        textcoords="offset points",
        va="center",
        fontsize=12,
        color=INK,
    )
    axes.set_xticks([tick for tick in axes.get_xticks() if 1 <= tick <= len(ranked)])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    tasks = len(found.tasks)
    axes.set_xlabel(f"mean rank over {tasks} tasks (1 the best)", fontsize=FONT_SIZE, color=INK)
