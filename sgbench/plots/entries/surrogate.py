"""Draws a surrogate next to a reference, and compares several in a table and a picture."""

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.plots.entries import surrogate_curves as curves
from sgbench.plots.entries.surrogate_curves import SampledCurve, facts, facts_line, without_infinities
from sgbench.plots.style import BLUE, COLOURS, INK, SOFT, VERMILION
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text

U_LABEL = "u = membrane potential \u2212 threshold [threshold units]"
LEGEND_WIDTH = 85  # characters of a legend
REFERENCE_STYLE: Any = {"color": SOFT, "linewidth": 1.4, "linestyle": (0, (5, 2))}
FORWARD_STYLE: Any = {"color": INK, "linewidth": 1.5, "linestyle": ":", "zorder": 3}
POINTS, RANDOM_POINTS = 1201, 41  # of a curve, and of random spikes, whose mean fewer points show without jitter
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
    """Compute the curves in the picture of a surrogate, at about `points` places u.

    The reference is a fast sigmoid of the same peak and width, unless that is this surrogate itself.
    """
    low, high = curves.shown_interval(surrogate)
    u = curves.grid(low, high, surrogate.kinks, points)
    reference = curves.matched_fast_sigmoid(surrogate)
    if reference is not None and curves.same_curve(surrogate, reference.surrogate):
        reference = None
    # The order matters: random surrogates draw from one generator.
    slope = curves.slope_of(surrogate, u, curves.DRAWS)
    half_width = _half_width(surrogate)
    forward = curves.forward_of(surrogate, u)
    is_random = forward.low is not None
    if is_random:
        few_points = torch.linspace(float(u[0]), float(u[-1]), RANDOM_POINTS, dtype=u.dtype)
        forward = curves.forward_of(surrogate, few_points)
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
    """Measure where the slope is above half its peak; None if that differs from the declared width, as of two lobes."""
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
    lines, labels = list(handles.values()), list(handles)
    figure.legend(lines, labels, loc="outside lower center", frameon=False, ncols=columns, fontsize=11)
    figure.suptitle(f"{picture.name}\n{picture.headline}", fontsize=13)
    return figure


def _draw_slope(axes: Axes, picture: SurrogatePicture) -> None:
    """Draw the slope, a band of its draws if it is random, the reference, and an arrow for its width."""
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
    width = picture.half_width
    if width is not None:
        arrow = {"arrowstyle": "<->", "color": VERMILION, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(width.right, width.height), xytext=(width.left, width.height), arrowprops=arrow)


def _draw_forward(axes: Axes, picture: SurrogatePicture) -> None:
    """Draw what is sent forward, and the primitive of the slope, or a note that there is none."""
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
    left_share = -low / (high - low)  # of the panel that is left of u = 0
    text = "no primitive: this slope is not that of a known curve, so a steepness cannot learn from it"
    if is_staircase:  # it leaves its upper left corner free
        x, height, text_share = 0.04, 0.85, 0.6
    elif left_share >= 1 - left_share:
        x, height, text_share = 0.04, 0.5, left_share
    else:
        x, height, text_share = left_share + 0.04, 0.5, 1 - left_share
    filled = textwrap.fill(text, int(52 * text_share))
    axes.text(x, height, filled, transform=axes.transAxes, va="center", fontsize=11)
    axes.margins(y=0.12)


REACH = 2.5  # half the shown interval of shapes at one width, in widths
SHORT_NAME, TITLE_LENGTH = 20, 40  # most characters of a name if four are to fit in a row, and of a list of names
LOG_RATIO = 20.0  # ratio of peaks from which the left panel is logarithmic


def comparison(surrogates: Mapping[str, Surrogate], width: float) -> list[dict[str, Any]]:
    """List the facts of each surrogate as a dictionary for JSON.

    "matched" holds the facts when it is scaled to peak 1 and this width [threshold units]; None without a width.
    """
    return [
        without_infinities({"name": name, **facts(surrogate), "matched": _matched_facts(surrogate, width)})
        for name, surrogate in surrogates.items()
    ]


def _matched_facts(surrogate: Surrogate, width: float) -> dict[str, Any] | None:
    """List the facts of a surrogate that is scaled to peak 1 and a width; None if it has no width."""
    scale, peak = _scale_to(surrogate, width), curves.peak_of(surrogate)
    if scale is None:
        return None
    tenth = curves.extent_width(surrogate, 0.1)
    return {
        "peak": 1.0,
        "width": width,
        "width_10": None if tenth is None else tenth * scale,
        "area": None if surrogate.area is None else surrogate.area / peak * scale,
        "support": [end * scale for end in surrogate.support],
    }


def _scale_to(surrogate: Surrogate, width: float) -> float | None:
    """Return the factor on u that gives a surrogate this width; None if it has no width, or no finite peak."""
    peak = curves.peak_of(surrogate)
    return width / surrogate.fwhm if surrogate.fwhm and peak and math.isfinite(peak) else None


@dataclass(frozen=True)
class ComparisonPicture:
    """Holds the curves in the picture of several surrogates."""

    slopes: dict[str, SampledCurve]  # maps names of surrogates to their slopes
    peaks: tuple[float, ...]  # peaks of the slopes that are above 0
    shapes: dict[str, SampledCurve]  # maps surrogates with a width to their slopes at one width and peak 1
    width: str  # label of the width
    ends: tuple[float, float]  # least and largest u in the left panel
    reach: float  # largest |u| in the right panel


def _shared_window(windows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Choose an interval of u that shows all curves, cut if a single wide one would hide the others.

    >>> _shared_window([(-1.0, 1.0), (-2.0, 2.0), (-100.0, 3.0)])
    (-6.0, 3.0)
    """
    limit = 3 * statistics.median(max(-low, high) for low, high in windows)
    lowest, highest = min(low for low, _ in windows), max(high for _, high in windows)
    return max(lowest, -limit), min(highest, limit)


def comparison_picture(surrogates: Mapping[str, Surrogate], width: float) -> ComparisonPicture:
    """Compute the curves in the picture of several surrogates.

    `width`: full width at half maximum at which shapes are compared [threshold units].
    """
    ends = _shared_window([curves.shown_interval(surrogate) for surrogate in surrogates.values()])
    shapes = {name: _shape(surrogate, width) for name, surrogate in surrogates.items()}
    return ComparisonPicture(
        slopes={name: _slope(surrogate, ends) for name, surrogate in surrogates.items()},
        peaks=tuple(peak for peak in map(curves.peak_of, surrogates.values()) if 0 < peak < math.inf),
        shapes={name: shape for name, shape in shapes.items() if shape is not None},
        width=number_text(width),
        ends=ends,
        reach=REACH * width,
    )


def _slope(surrogate: Surrogate, ends: tuple[float, float]) -> SampledCurve:
    u = curves.grid(*ends, surrogate.kinks, POINTS)
    return SampledCurve(u, curves.slope_of(surrogate, u, curves.DRAWS).mean)


def _shape(surrogate: Surrogate, width: float) -> SampledCurve | None:
    """Compute the slope of a surrogate that is scaled to peak 1 and a width; None if it has no width."""
    scale = _scale_to(surrogate, width)
    if scale is None:
        return None
    kinks = tuple(kink * scale for kink in surrogate.kinks)
    u = curves.grid(-REACH * width, REACH * width, kinks, POINTS)
    slope = curves.slope_of(surrogate, u / scale, curves.DRAWS).mean / curves.peak_of(surrogate)
    return SampledCurve(u, slope)


def comparison_figure(picture: ComparisonPicture) -> Figure:
    """Draw the slopes as they are on the left, and scaled to one width and peak 1 on the right."""
    columns = 4 if max(map(len, picture.slopes)) <= SHORT_NAME else 3
    rows = math.ceil(len(picture.slopes) / columns)
    figure = Figure(figsize=(10.5, 4.6 + 0.25 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    line_styles: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(picture.slopes):
        dashes = "-" if number < len(COLOURS) else (0, (4, 1.5))  # where colours begin again
        line_styles[name] = {"color": COLOURS[number % len(COLOURS)], "linestyle": dashes, "linewidth": 2.0}
    _draw_original(left, picture, line_styles)
    _draw_matched(right, picture, line_styles)
    for axes in (left, right):
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    lines, labels = left.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", frameon=False, ncols=columns, fontsize=11)
    return figure


def _draw_original(axes: Axes, picture: ComparisonPicture, line_styles: Mapping[str, dict[str, Any]]) -> None:
    """Draw the slopes as they are; logarithmically if their peaks differ much."""
    for name, slope in picture.slopes.items():
        axes.plot(slope.u, slope.mean, label=name, **line_styles[name])
    axes.set(title="as in the catalogue", ylabel="slope [1 / threshold unit]", xlim=picture.ends)
    peaks = picture.peaks
    if peaks and max(peaks) > LOG_RATIO * min(peaks):
        axes.set_yscale("symlog", linthresh=min(peaks))
    if not peaks:
        axes.set_ylim(-0.05, 1.1)


def _draw_matched(axes: Axes, picture: ComparisonPicture, line_styles: Mapping[str, dict[str, Any]]) -> None:
    """Draw the slopes at one width and peak 1, and name the surrogates that have no width."""
    for name, shape in picture.shapes.items():
        axes.plot(shape.u, shape.mean, **line_styles[name])
    title = f"shapes at width {picture.width} and peak 1"
    axes.set(title=title, ylabel="slope / peak [1]", xlim=(-picture.reach, picture.reach))
    left_out = [name for name in picture.slopes if name not in picture.shapes]
    if not picture.shapes:
        axes.text(0.5, 0.5, "none of them has a width", transform=axes.transAxes, ha="center", fontsize=11)
    elif left_out:
        listed = ", ".join(left_out)
        named = listed if len(listed) <= TITLE_LENGTH else f"{len(left_out)} of them"
        axes.set_title(f"{title}\n(no width: {named})", fontsize=11)
