"""The picture of a surrogate: its slope and what the slope is that of, beside a reference."""

from __future__ import annotations

import textwrap
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.composition.catalogue import Entry
from sgbench.inspection import surrogate_curves as curves
from sgbench.inspection.surrogate_facts import headline
from sgbench.surrogates.base import Surrogate

BLUE, ORANGE, GREY, BLACK = "#0072B2", "#D55E00", "#777777", "#222222"
U_LABEL = "u = membrane potential \u2212 threshold [threshold units]"
IN_A_ROW = 85  # characters of a legend
REFERENCE_STYLE: Any = {"color": GREY, "linewidth": 1.4, "linestyle": (0, (5, 2))}
FORWARD_STYLE: Any = {"color": BLACK, "linewidth": 1.5, "linestyle": ":", "zorder": 3}
FORWARD = {
    "binary": "spike (forward)",
    "signed": "signed spike (forward)",
    "integer": "spike count (forward)",
    "real": "output (forward)",
}


def surrogate_figure(entry: Entry, surrogate: Surrogate, points: int = 1201) -> Figure:
    """Slope with its width on the left; forward step, primitive and reference on the right."""
    low, high = curves.window(surrogate)
    u = curves.grid(low, high, surrogate.kinks, points)
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    reference = curves.reference(surrogate)
    if reference is not None and curves.same_curve(surrogate, reference.surrogate):
        reference = None
    _draw_slope(left, entry, surrogate, reference, u)
    _draw_forward(right, surrogate, reference, u)
    for axes in (left, right):
        axes.set_xlim(low, high)
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    handles = {
        label: line
        for axes in (left, right)
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = 2 if len("".join(handles)) > IN_A_ROW else len(handles)
    place: Any = {"frameon": False, "loc": "outside lower center", "ncols": columns, "fontsize": 11}
    figure.legend(list(handles.values()), list(handles), **place)
    figure.suptitle(f"{entry.name}\n{headline(surrogate)}", fontsize=13)
    return figure


def _draw_slope(
    axes: Axes, entry: Entry, surrogate: Surrogate, reference: curves.Reference | None, u: Tensor
) -> None:
    found = curves.slope_of(surrogate, u, curves.DRAWS)
    name = entry.name if found.low is None else f"{entry.name}: mean of {curves.DRAWS} draws"
    if found.low is not None and found.high is not None:
        axes.fill_between(
            u, found.low, found.high, color=BLUE, alpha=0.2, linewidth=0, label="central 80 % of draws"
        )
    axes.plot(u, found.mean, color=BLUE, linewidth=2.5, label=name)
    if reference is not None:
        axes.plot(u, curves.slope_of(reference.surrogate, u).mean, label=reference.label, **REFERENCE_STYLE)
    axes.set(ylabel="slope [1 / threshold unit]", title="backward: surrogate derivative")
    highest = max(1.0 if not surrogate.peak else surrogate.peak, _largest(found))
    lowest = min(0.0, float(found.mean.min() if found.low is None else found.low.min()))
    axes.set_ylim(lowest - 0.06 * (highest - lowest), highest + 0.1 * (highest - lowest))
    if lowest < 0:
        axes.axhline(0.0, color=GREY, linewidth=0.8)
    _mark_width(axes, surrogate)


def _largest(found: curves.Samples) -> float:
    return float(found.mean.max() if found.high is None else found.high.max())


def _mark_width(axes: Axes, surrogate: Surrogate) -> None:
    """An arrow across the curve at half its peak."""
    ends = curves.extent(surrogate, 0.5) if surrogate.fwhm is not None else None
    if (
        ends is None
        or surrogate.fwhm is None
        or abs(ends[1] - ends[0] - surrogate.fwhm) > 0.02 * surrogate.fwhm
    ):
        return
    half = curves.top(surrogate) / 2
    arrow = {"arrowstyle": "<->", "color": ORANGE, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(ends[1], half), xytext=(ends[0], half), arrowprops=arrow)


def _draw_forward(axes: Axes, surrogate: Surrogate, reference: curves.Reference | None, u: Tensor) -> None:
    forward = curves.forward_of(surrogate, u)
    if forward.low is not None:  # random spikes: fewer points, joined, show their mean without its jitter
        sparse = torch.linspace(float(u[0]), float(u[-1]), 41, dtype=u.dtype)
        forward = curves.forward_of(surrogate, sparse)
        axes.plot(sparse, forward.mean, label="mean spike (forward, random)", **FORWARD_STYLE)
    else:
        axes.plot(u, forward.mean, label=FORWARD[surrogate.output], **FORWARD_STYLE)
    axes.set(ylabel="spike, primitive [1]", title="forward and primitive")
    primitive = curves.primitive_of(surrogate, u)
    if primitive is None:
        _say_why(axes, float(u[0]), float(u[-1]), counts=surrogate.output == "integer")
        return
    axes.plot(u, primitive, color=BLUE, linewidth=2.5)
    beside = None if reference is None else curves.primitive_of(reference.surrogate, u)
    if beside is not None:
        axes.plot(u, beside, **REFERENCE_STYLE)
    steps = torch.cat([forward.mean, primitive])
    low, high = float(steps.min()), float(steps.max())
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))


def _say_why(axes: Axes, low: float, high: float, *, counts: bool) -> None:
    """The absence of a primitive in words, on the roomier side of the step."""
    left = -low / (high - low)
    roomy = max(left, 1 - left)
    text = "no primitive: this slope is not that of a known curve, so a steepness cannot learn from it"
    if counts:  # a staircase leaves its upper left corner free
        place, height, roomy = 0.04, 0.85, 0.6
    else:
        place, height = 0.04 if left >= 1 - left else left + 0.04, 0.5
    filled = textwrap.fill(text, int(52 * roomy))
    axes.text(place, height, filled, transform=axes.transAxes, va="center", fontsize=11)
    axes.margins(y=0.12)
