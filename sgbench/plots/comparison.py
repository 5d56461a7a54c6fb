"""The picture of surrogates side by side: as the catalogue has them, and at one width."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.plots.style import COLOURS
from sgbench.plots.surrogate import U_LABEL, CurveBand

SHORT = 20  # characters of a name, of which four fit in a row
IN_A_TITLE = 40  # characters of a list of names
STEEP = 20.0  # ratio of peaks from which the left panel is logarithmic


@dataclass(frozen=True)
class ComparisonPicture:
    """Holds what the picture of several surrogates shows: slopes by the name of the entry."""

    slopes: dict[str, CurveBand]
    peaks: tuple[float, ...]  # those above 0
    shapes: dict[str, CurveBand]  # at one width and peak 1, of those that have a width
    width: str  # in words
    ends: tuple[float, float]  # of u in the left panel
    reach: float  # of u in the right panel, to both sides


def shared_window(windows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Choose a window that shows all curves, cut where a single wide one would hide the others.

    >>> shared_window([(-1.0, 1.0), (-2.0, 2.0), (-100.0, 3.0)])
    (-6.0, 3.0)
    """
    most = 3 * statistics.median(max(-low, high) for low, high in windows)
    return max(min(low for low, _ in windows), -most), min(max(high for _, high in windows), most)


def comparison_figure(picture: ComparisonPicture) -> Figure:
    """Draw slopes as they are on the left, and at one width on the right."""
    columns = 4 if max(map(len, picture.slopes)) <= SHORT else 3
    rows = math.ceil(len(picture.slopes) / columns)
    figure = Figure(figsize=(10.5, 4.6 + 0.25 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = {name: _look(number) for number, name in enumerate(picture.slopes)}
    _as_they_are(left, picture, looks)
    _at_one_width(right, picture, looks)
    for axes in (left, right):
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    place: Any = {"frameon": False, "loc": "outside lower center", "ncols": columns, "fontsize": 11}
    figure.legend(*left.get_legend_handles_labels(), **place)
    return figure


def _look(position: int) -> dict[str, Any]:
    """Choose a colour, and dashes from the ninth curve on."""
    dashed = position >= len(COLOURS)
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": (0, (4, 1.5)) if dashed else "-",
        "linewidth": 2.0,
    }


def _as_they_are(axes: Axes, picture: ComparisonPicture, looks: Mapping[str, dict[str, Any]]) -> None:
    """Draw slopes as the catalogue has them."""
    for name, slope in picture.slopes.items():
        axes.plot(slope.u, slope.mean, label=name, **looks[name])
    axes.set(title="as in the catalogue", ylabel="slope [1 / threshold unit]", xlim=picture.ends)
    peaks = picture.peaks
    if peaks and max(peaks) > STEEP * min(peaks):
        axes.set_yscale("symlog", linthresh=min(peaks))
    if not peaks:
        axes.set_ylim(-0.05, 1.1)


def _at_one_width(axes: Axes, picture: ComparisonPicture, looks: Mapping[str, dict[str, Any]]) -> None:
    """Draw slopes at one width and peak."""
    for name, shape in picture.shapes.items():
        axes.plot(shape.u, shape.mean, **looks[name])
    title = f"shapes at width {picture.width} and peak 1"
    axes.set(title=title, ylabel="slope / peak [1]", xlim=(-picture.reach, picture.reach))
    left_out = [name for name in picture.slopes if name not in picture.shapes]
    if not picture.shapes:
        axes.text(0.5, 0.5, "none of them has a width", transform=axes.transAxes, ha="center", fontsize=11)
    elif left_out:
        axes.set_title(f"{title}\n(no width: {_few(left_out)})", fontsize=11)


def _few(names: list[str]) -> str:
    """List names, or count them where the list would be long."""
    listed = ", ".join(names)
    return listed if len(listed) <= IN_A_TITLE else f"{len(names)} of them"
