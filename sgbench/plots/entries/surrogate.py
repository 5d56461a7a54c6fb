"""Draws a surrogate: its derivative and primitive, next to a reference."""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.plots.entries import surrogate_curves as curves
from sgbench.plots.entries.surrogate_curves import SampledCurve, facts_line
from sgbench.plots.style import BLUE, INK, SOFT, VERMILION
from sgbench.surrogates.base import Surrogate

U_LABEL = "u = membrane potential \u2212 threshold [threshold units]"
LEGEND_WIDTH = 85  # characters of a legend
REFERENCE_STYLE: Any = {"color": SOFT, "linewidth": 1.4, "linestyle": (0, (5, 2))}
FORWARD_STYLE: Any = {"color": INK, "linewidth": 1.5, "linestyle": ":", "zorder": 3}
POINTS = 1201
RANDOM_POINTS = 41  # of random spikes; fewer points show their mean without jitter
SAME_WIDTH = 0.02  # largest relative difference of the measured from the declared width
FORWARD_LABELS = {
    "binary": "spike (forward)",
    "signed": "signed spike (forward)",
    "integer": "spike count (forward)",
    "real": "output (forward)",
}


@dataclass(frozen=True)
class HalfWidth:
    """Holds the interval of u in which a slope is above half its peak."""

    left: float  # [threshold units]
    right: float
    height: float  # half the peak


@dataclass(frozen=True)
class ReferenceCurves:
    """Holds the curves of another surrogate to compare with, at the points u of the picture's slope."""

    label: str
    slope: Tensor
    primitive: Tensor | None


@dataclass(frozen=True)
class SurrogatePicture:
    """Holds the curves in the picture of a surrogate; all but `forward` have the same u."""

    name: str
    headline: str  # its facts in one line
    slope: SampledCurve
    slope_label: str
    peak: float | None
    half_width: HalfWidth | None
    forward: SampledCurve
    forward_label: str
    is_staircase: bool  # whether more than one spike is sent at once
    primitive: Tensor | None  # None if the slope has no known primitive
    reference: ReferenceCurves | None


def surrogate_picture(name: str, surrogate: Surrogate, points: int = POINTS) -> SurrogatePicture:
    low, high = curves.shown_interval(surrogate)
    u = curves.grid(low, high, surrogate.kinks, points)
    reference = curves.matched_fast_sigmoid(surrogate)
    if reference is not None and curves.same_curve(surrogate, reference.surrogate):
        reference = None
    slope = curves.slope_of(surrogate, u, curves.DRAWS)
    half_width = _half_width(surrogate)
    forward = curves.forward_of(surrogate, u)
    is_random, at = forward.low is not None, u
    if is_random:
        at = torch.linspace(float(u[0]), float(u[-1]), RANDOM_POINTS, dtype=u.dtype)
        forward = curves.forward_of(surrogate, at)
    primitive = curves.primitive_of(surrogate, u)
    return SurrogatePicture(
        name=name,
        headline=facts_line(surrogate),
        slope=slope,
        slope_label=name if slope.low is None else f"{name}: mean of {curves.DRAWS} draws",
        peak=surrogate.peak,
        half_width=half_width,
        forward=forward,
        forward_label="mean spike (forward, random)" if is_random else FORWARD_LABELS[surrogate.output],
        is_staircase=surrogate.output == "integer",
        primitive=primitive,
        reference=None if reference is None else _reference_curves(reference, u),
    )


def _half_width(surrogate: Surrogate) -> HalfWidth | None:
    width = surrogate.fwhm
    ends = None if width is None else curves.extent(surrogate, 0.5)
    if width is None or ends is None or abs(ends[1] - ends[0] - width) > SAME_WIDTH * width:
        return None
    return HalfWidth(*ends, height=curves.peak_of(surrogate) / 2)


def _reference_curves(reference: curves.ReferenceCurve, u: Tensor) -> ReferenceCurves:
    slope = curves.slope_of(reference.surrogate, u).mean
    return ReferenceCurves(reference.label, slope, curves.primitive_of(reference.surrogate, u))


def surrogate_figure(picture: SurrogatePicture) -> Figure:
    """Draw the slope with its width on the left; forward step, primitive and reference on the right."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_slope(left, picture)
    _draw_forward(right, picture)
    for axes in (left, right):
        axes.set_xlim(float(picture.slope.u[0]), float(picture.slope.u[-1]))
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    # One legend for both panels names each line once.
    handles = {
        label: line for axes in (left, right) for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = 2 if len("".join(handles)) > LEGEND_WIDTH else len(handles)
    below: Any = {"frameon": False, "loc": "outside lower center", "ncols": columns, "fontsize": 11}
    figure.legend(list(handles.values()), list(handles), **below)
    figure.suptitle(f"{picture.name}\n{picture.headline}", fontsize=13)
    return figure


def _draw_slope(axes: Axes, picture: SurrogatePicture) -> None:
    slope, reference = picture.slope, picture.reference
    if slope.low is not None and slope.high is not None:
        ends = slope.u.numpy(), slope.low.numpy(), slope.high.numpy()
        axes.fill_between(*ends, color=BLUE, alpha=0.2, linewidth=0, label="central 80 % of draws")
    axes.plot(slope.u, slope.mean, color=BLUE, linewidth=2.5, label=picture.slope_label)
    if reference is not None:
        axes.plot(slope.u, reference.slope, label=reference.label, **REFERENCE_STYLE)
    axes.set(ylabel="slope [1 / threshold unit]", title="backward: surrogate derivative")
    highest = max(picture.peak or 1.0, float((slope.mean if slope.high is None else slope.high).max()))
    lowest = min(0.0, float((slope.mean if slope.low is None else slope.low).min()))
    axes.set_ylim(lowest - 0.06 * (highest - lowest), highest + 0.1 * (highest - lowest))
    if lowest < 0:
        axes.axhline(0.0, color=SOFT, linewidth=0.8)
    if picture.half_width is not None:
        _mark_width(axes, picture.half_width)


def _mark_width(axes: Axes, width: HalfWidth) -> None:
    arrow = {"arrowstyle": "<->", "color": VERMILION, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(width.right, width.height), xytext=(width.left, width.height), arrowprops=arrow)


def _draw_forward(axes: Axes, picture: SurrogatePicture) -> None:
    forward, u = picture.forward, picture.slope.u
    axes.plot(forward.u, forward.mean, label=picture.forward_label, **FORWARD_STYLE)
    axes.set(ylabel="spike, primitive [1]", title="forward and primitive")
    if picture.primitive is None:
        _note_missing_primitive(axes, float(u[0]), float(u[-1]), is_staircase=picture.is_staircase)
        return
    axes.plot(u, picture.primitive, color=BLUE, linewidth=2.5)
    if picture.reference is not None and picture.reference.primitive is not None:
        axes.plot(u, picture.reference.primitive, **REFERENCE_STYLE)
    steps = np.concatenate([forward.mean, picture.primitive])
    low, high = float(steps.min()), float(steps.max())
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))


def _note_missing_primitive(axes: Axes, low: float, high: float, *, is_staircase: bool) -> None:
    """Write into a panel from u = low to high that there is no primitive, on the side of u = 0 with more space."""
    left = -low / (high - low)
    share = max(left, 1 - left)
    text = "no primitive: this slope is not that of a known curve, so a steepness cannot learn from it"
    if is_staircase:  # it leaves its upper left corner free
        x, height, share = 0.04, 0.85, 0.6
    else:
        x, height = 0.04 if left >= 1 - left else left + 0.04, 0.5
    filled = textwrap.fill(text, int(52 * share))
    axes.text(x, height, filled, transform=axes.transAxes, va="center", fontsize=11)
    axes.margins(y=0.12)
