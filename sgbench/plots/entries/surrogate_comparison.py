"""Compares surrogates in a table and a picture, as the catalogue has them and at one width."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.entries import surrogate_curves as curves
from sgbench.plots.entries.surrogate import U_LABEL
from sgbench.plots.entries.surrogate_curves import SampledCurve, facts, without_infinities
from sgbench.plots.style import COLOURS
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text

POINTS = 1201
REACH = 2.5  # half the shown interval of shapes at one width, in widths
SHORT_NAME = 20  # most characters of a name if four are to fit in a row
TITLE_LENGTH = 40  # characters of a list of names
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


def shared_window(windows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Choose an interval of u that shows all curves, cut if a single wide one would hide the others.

    >>> shared_window([(-1.0, 1.0), (-2.0, 2.0), (-100.0, 3.0)])
    (-6.0, 3.0)
    """
    most = 3 * statistics.median(max(-low, high) for low, high in windows)
    return max(min(low for low, _ in windows), -most), min(max(high for _, high in windows), most)


def comparison_picture(surrogates: Mapping[str, Surrogate], width: float) -> ComparisonPicture:
    """Compute the curves in the picture of several surrogates.

    `width`: full width at half maximum at which shapes are compared [threshold units].
    """
    ends = shared_window([curves.shown_interval(surrogate) for surrogate in surrogates.values()])
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
    line_styles = {name: _line_style(number) for number, name in enumerate(picture.slopes)}
    _draw_original(left, picture, line_styles)
    _draw_matched(right, picture, line_styles)
    for axes in (left, right):
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    below: Any = {"frameon": False, "loc": "outside lower center", "ncols": columns, "fontsize": 11}
    figure.legend(*left.get_legend_handles_labels(), **below)
    return figure


def _line_style(position: int) -> dict[str, Any]:
    dashed = position >= len(COLOURS)
    return {"color": COLOURS[position % len(COLOURS)], "linestyle": (0, (4, 1.5)) if dashed else "-", "linewidth": 2.0}


def _draw_original(axes: Axes, picture: ComparisonPicture, line_styles: Mapping[str, dict[str, Any]]) -> None:
    for name, slope in picture.slopes.items():
        axes.plot(slope.u, slope.mean, label=name, **line_styles[name])
    axes.set(title="as in the catalogue", ylabel="slope [1 / threshold unit]", xlim=picture.ends)
    peaks = picture.peaks
    if peaks and max(peaks) > LOG_RATIO * min(peaks):
        axes.set_yscale("symlog", linthresh=min(peaks))
    if not peaks:
        axes.set_ylim(-0.05, 1.1)


def _draw_matched(axes: Axes, picture: ComparisonPicture, line_styles: Mapping[str, dict[str, Any]]) -> None:
    for name, shape in picture.shapes.items():
        axes.plot(shape.u, shape.mean, **line_styles[name])
    title = f"shapes at width {picture.width} and peak 1"
    axes.set(title=title, ylabel="slope / peak [1]", xlim=(-picture.reach, picture.reach))
    left_out = [name for name in picture.slopes if name not in picture.shapes]
    if not picture.shapes:
        axes.text(0.5, 0.5, "none of them has a width", transform=axes.transAxes, ha="center", fontsize=11)
    elif left_out:
        axes.set_title(f"{title}\n(no width: {_list_or_count(left_out)})", fontsize=11)


def _list_or_count(names: list[str]) -> str:
    """List names, or count them if the list would be long."""
    listed = ", ".join(names)
    return listed if len(listed) <= TITLE_LENGTH else f"{len(names)} of them"
