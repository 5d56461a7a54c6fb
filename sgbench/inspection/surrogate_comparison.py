"""Surrogates side by side as numbers: those of a table, and those of one picture of all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sgbench.inspection import surrogate_curves as curves
from sgbench.inspection.surrogate_facts import facts, plain
from sgbench.plots.comparison import ComparisonPicture, shared_window
from sgbench.plots.surrogate import CurveBand
from sgbench.surrogates.base import Surrogate
from sgbench.tables import number_text

POINTS = 1201
REACH = 2.5  # of the shapes at one width, in widths


def comparison(surrogates: Mapping[str, Surrogate], width: float) -> list[dict[str, Any]]:
    """Return one row per surrogate; `matched` is its shape at peak 1 and this width, None without a width."""
    return [
        plain({"name": name, **facts(surrogate), "matched": _matched(surrogate, width)})
        for name, surrogate in surrogates.items()
    ]


def _matched(surrogate: Surrogate, width: float) -> dict[str, Any] | None:
    """Stretch a surrogate along u to a width, and its slope to peak 1; the area follows."""
    stretch, peak = _stretch(surrogate, width), curves.top(surrogate)
    if stretch is None:
        return None
    tenth = curves.extent_width(surrogate, 0.1)
    return {
        "peak": 1.0,
        "width": width,
        "width_10": None if tenth is None else tenth * stretch,
        "area": None if surrogate.area is None else surrogate.area / peak * stretch,
        "support": [end * stretch for end in surrogate.support],
    }


def _stretch(surrogate: Surrogate, width: float) -> float | None:
    """Compute the factor by which u is stretched to reach a width; None without a width or a finite peak."""
    peak = curves.top(surrogate)
    return width / surrogate.fwhm if surrogate.fwhm and peak and math.isfinite(peak) else None


def comparison_picture(surrogates: Mapping[str, Surrogate], width: float) -> ComparisonPicture:
    """Collect what the picture of several surrogates shows.

    Args:
        surrogates: by the name of their entry.
        width: at which shapes are compared [threshold units].
    """
    ends = shared_window([curves.window(surrogate) for surrogate in surrogates.values()])
    shapes = {name: _shape(surrogate, width) for name, surrogate in surrogates.items()}
    return ComparisonPicture(
        slopes={name: _slope(surrogate, ends) for name, surrogate in surrogates.items()},
        peaks=tuple(peak for peak in map(curves.top, surrogates.values()) if 0 < peak < math.inf),
        shapes={name: shape for name, shape in shapes.items() if shape is not None},
        width=number_text(width),
        ends=ends,
        reach=REACH * width,
    )


def _slope(surrogate: Surrogate, ends: tuple[float, float]) -> CurveBand:
    u = curves.grid(*ends, surrogate.kinks, POINTS)
    return CurveBand(u.numpy(), curves.slope_of(surrogate, u, curves.DRAWS).mean.numpy())


def _shape(surrogate: Surrogate, width: float) -> CurveBand | None:
    """Return the slope at peak 1, stretched along u to a width."""
    stretch = _stretch(surrogate, width)
    if stretch is None:
        return None
    kinks = tuple(kink * stretch for kink in surrogate.kinks)
    u = curves.grid(-REACH * width, REACH * width, kinks, POINTS)
    slope = curves.slope_of(surrogate, u / stretch, curves.DRAWS).mean / curves.top(surrogate)
    return CurveBand(u.numpy(), slope.numpy())
