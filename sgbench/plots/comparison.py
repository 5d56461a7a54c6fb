"""Surrogates side by side: their numbers, and one picture of all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.inspection import surrogate_curves as curves
from sgbench.inspection.surrogate_facts import facts, number, plain
from sgbench.plots.portrait import STYLE, save
from sgbench.plots.surrogate import U_LABEL
from sgbench.surrogates.base import Surrogate

# Okabe & Ito's palette for all kinds of colour vision; its yellow, too light for a line, is an olive here.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C2B")
POINTS = 1201
SHORT = 20  # characters of a name, of which four fit in a row
IN_A_TITLE = 40  # characters of a list of names
STEEP = 20.0  # ratio of peaks from which the left panel is logarithmic


def comparison(made: Mapping[str, Surrogate], width: float) -> list[dict[str, Any]]:
    """One row per surrogate; `matched` is its shape at peak 1 and this width, None without a width."""
    return [
        plain({"name": name, **facts(each), "matched": _matched(each, width)}) for name, each in made.items()
    ]


def _matched(surrogate: Surrogate, width: float) -> dict[str, Any] | None:
    """Stretched along u to the width and along the slope to peak 1: the area follows."""
    found, peak = surrogate.fwhm, curves.top(surrogate)
    if not found or not peak or not math.isfinite(peak):
        return None
    stretch = width / found
    tenth = curves.extent_width(surrogate, 0.1)
    return {
        "peak": 1.0,
        "width": width,
        "width_10": None if tenth is None else tenth * stretch,
        "area": None if surrogate.area is None else surrogate.area / peak * stretch,
        "support": [end * stretch for end in surrogate.support],
    }


def draw(made: Mapping[str, Surrogate], width: float, path: Path) -> None:
    """Write the picture of all: left as the catalogue has them, right at one width and peak 1."""
    with mpl.rc_context(STYLE):
        save(comparison_figure(made, width), path)


def comparison_figure(made: Mapping[str, Surrogate], width: float) -> Figure:
    """The picture of all."""
    columns = 4 if max(map(len, made)) <= SHORT else 3
    rows = math.ceil(len(made) / columns)
    figure = Figure(figsize=(10.5, 4.6 + 0.25 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = {name: _look(number) for number, name in enumerate(made)}
    _as_they_are(left, made, looks)
    _at_one_width(right, made, looks, width)
    for axes in (left, right):
        axes.set_xlabel(U_LABEL, fontsize=11)
        axes.locator_params(axis="x", nbins=7)
    place: Any = {"frameon": False, "loc": "outside lower center", "ncols": columns, "fontsize": 11}
    figure.legend(*left.get_legend_handles_labels(), **place)
    return figure


def _look(position: int) -> dict[str, Any]:
    """A colour, and dashes from the ninth curve on."""
    dashed = position >= len(PALETTE)
    return {
        "color": PALETTE[position % len(PALETTE)],
        "linestyle": (0, (4, 1.5)) if dashed else "-",
        "linewidth": 2.0,
    }


def _as_they_are(axes: Axes, made: Mapping[str, Surrogate], looks: Mapping[str, dict[str, Any]]) -> None:
    low, high = _shared_window([curves.window(each) for each in made.values()])
    peaks = [peak for peak in map(curves.top, made.values()) if 0 < peak < math.inf]
    for name, each in made.items():
        u = curves.grid(low, high, each.kinks, POINTS)
        axes.plot(u, curves.slope_of(each, u, curves.DRAWS).mean, label=name, **looks[name])
    axes.set(title="as in the catalogue", ylabel="slope [1 / threshold unit]", xlim=(low, high))
    if peaks and max(peaks) > STEEP * min(peaks):
        axes.set_yscale("symlog", linthresh=min(peaks))
    if not peaks:
        axes.set_ylim(-0.05, 1.1)


def _shared_window(windows: list[tuple[float, float]]) -> tuple[float, float]:
    """One that shows all, cut where a single wide one would hide the others."""
    most = 3 * statistics.median(max(-low, high) for low, high in windows)
    return max(min(low for low, _ in windows), -most), min(max(high for _, high in windows), most)


def _at_one_width(
    axes: Axes, made: Mapping[str, Surrogate], looks: Mapping[str, dict[str, Any]], width: float
) -> None:
    reach, left_out = 2.5 * width, []
    for name, each in made.items():
        peak = curves.top(each)
        if not each.fwhm or not peak or not math.isfinite(peak):
            left_out.append(name)
            continue
        stretch = width / each.fwhm
        u = curves.grid(-reach, reach, tuple(kink * stretch for kink in each.kinks), POINTS)
        slope: Tensor = curves.slope_of(each, u / stretch, curves.DRAWS).mean / peak
        axes.plot(u, slope, **looks[name])
    axes.set(
        title=f"shapes at width {number(width)} and peak 1", ylabel="slope / peak [1]", xlim=(-reach, reach)
    )
    if len(left_out) == len(made):
        axes.text(0.5, 0.5, "none of them has a width", transform=axes.transAxes, ha="center", fontsize=11)
    elif left_out:
        axes.set_title(
            f"shapes at width {number(width)} and peak 1\n(no width: {_few(left_out)})", fontsize=11
        )


def _few(names: list[str]) -> str:
    listed = ", ".join(names)
    return listed if len(listed) <= IN_A_TITLE else f"{len(names)} of them"
