"""Draw validation scores over spikes per inference, one dot for each combination of a sweep."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from sgbench.errors import InputError
from sgbench.plots.style import COLOURS, GRID, INK, MARKERS
from sgbench.plots.sweep_curves import MAX_CURVES
from sgbench.plots.sweep_numbers import SweepPicture, SweepRow, require_few

MIN_TICK_GAP = 0.055  # of the height
LOG_FROM_RATIO = 4.0  # so that at least two numbers stand at the axis


def spikes_figure(picture: SweepPicture) -> Figure:
    """Draw scores over spikes, so that better and sparser settings are at the upper left."""
    kinds = _kinds(picture)
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    axes, axis = figure.subplots(), picture.axis
    means = [row.mean for rows in kinds.values() for row in rows if row.mean is not None]
    ends = axis.limits((mean.value for mean in means), (end for mean in means for end in mean))
    axis.frame(axes, "y", ends, gap=MIN_TICK_GAP)
    for position, (name, rows) in enumerate(kinds.items()):
        scores, lows, highs = axis.shown([row.mean for row in rows]).T
        colour, marker = COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)]
        spikes = [row.spikes or 0.0 for row in rows]
        axes.vlines(spikes, lows, highs, color=colour, alpha=0.4, linewidth=1.5, zorder=2)
        axes.scatter(spikes, scores, s=60, label=name, zorder=3, color=colour, marker=marker)
    _scale(axes, [row.spikes or 0.0 for rows in kinds.values() for row in rows])
    axes.set_xlabel("spikes per inference, all layers", fontsize=14, color=INK)
    axes.set_ylabel(f"{picture.what}\n{axis.scale_note}", fontsize=14, color=INK)
    axes.set_title(picture.title, fontsize=16, color=INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=13, colors=INK)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    figure.legend(frameon=False, loc="outside right center", fontsize=13)
    return figure


def _scale(axes: Axes, spikes: Sequence[float]) -> None:
    """Scale the axis of spikes logarithmically, with plain numbers, if they differ much and none is zero."""
    if min(spikes) > 0 and max(spikes) / min(spikes) > LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def _kinds(picture: SweepPicture) -> dict[str, list[SweepRow]]:
    first = next((axis.key for axis in picture.axes if not axis.numbers), None)
    kinds: dict[str, list[SweepRow]] = {}
    for row in picture.rows:
        if row.mean is not None and row.spikes is not None:
            kinds.setdefault(row.surrogate if first is None else row.settings[first], []).append(row)
    if not kinds:
        raise InputError("--of spikes: no run has counted spikes; runs of networks with spikes do")
    require_few(len(kinds), MAX_CURVES, "kinds of dots")
    return kinds
