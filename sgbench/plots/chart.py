"""A chart as a plain value: axes, series, and the number, text and link of each point."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from pydantic import TypeAdapter

MOST_POINTS = 200
SHADES = 10  # count of colour shades of cells, from the least value to the largest
CHARTS = "charts.json"  # name of the file with a report's charts for the web site, next to its pages
Ends = tuple[float, float]


class Estimate(NamedTuple):
    """Holds a number with the ends of its interval; without an interval both ends equal the number."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ChartAxis:
    """Describes one axis."""

    label: str = ""
    is_log: bool = False
    is_error: bool = False  # accuracies in %, spaced by the logarithm of their errors
    ticks: tuple[float, ...] = ()  # values with a number at the axis; empty: round ones are chosen
    names: tuple[str, ...] = ()  # tick labels at 0, 1, 2 ... of an axis of categories
    ends: Ends | None = None  # limits; None: those of its points


@dataclass(frozen=True)
class ChartPoint:
    """Describes one point, with the ends of its intervals."""

    x: float
    y: float
    told: str = ""  # tooltip
    link: str | None = None  # from the top of the site
    label: str = ""  # text next to it in the picture
    x_ends: Ends | None = None  # of the interval of x; None: no interval is drawn
    y_ends: Ends | None = None
    shade: int | None = None  # of a cell, from 0; None: the point is a dot


@dataclass(frozen=True)
class Series:
    """Describes a series of points, which readers show and hide together."""

    name: str
    points: tuple[ChartPoint, ...]
    is_line: bool = False
    is_marked: bool = True
    has_band: bool = False  # whether intervals are drawn as a band; else as whiskers
    tone: str = ""  # "soft", "good" or "bad" in place of its own colour
    key: str = ""  # name in the legend, if several series share one
    marker: str = ""  # of matplotlib; empty: the shape's own, or a dot


@dataclass(frozen=True)
class Chart:
    """Describes a chart: its axes, its series, and reference lines."""

    title: str
    x: ChartAxis
    y: ChartAxis
    series: tuple[Series, ...]
    x_lines: tuple[float, ...] = ()  # x of vertical lines
    y_lines: tuple[float, ...] = ()  # y of horizontal lines
    lines: str = ""  # what these lines are, for the legend of a figure
    network: str = field(default="", compare=False)  # kind of the network that was measured; it is not drawn


@dataclass(frozen=True)
class Charts:
    """Holds charts side by side with one legend."""

    caption: str
    panels: tuple[Chart, ...]


def ends_of(estimate: Estimate) -> Ends | None:
    """Return the ends of an estimate's interval; None if it has no width."""
    return None if estimate.low == estimate.high else (estimate.low, estimate.high)


def value_text(value: float, ends: Ends | None = None, unit: str = "") -> str:
    """Write a number with its interval, as in tooltips.

    >>> value_text(92.5, (90.0, 94.25), " %"), value_text(0.1234567)
    ('92.5 % (90 to 94.25)', '0.1235')
    """
    text = f"{value:.4g}{unit}"
    return text if ends is None else f"{text} ({ends[0]:.4g} to {ends[1]:.4g})"


def line_of(name: str, points: Sequence[Ends], *, key: str = "", tone: str = "") -> Series:
    """Make a series of at most 200 evenly spread points (x, y), without points that are not finite.

    `key` and `tone` are fields of `Series`.

    >>> len(line_of("a", [(x, 0.0) for x in range(1000)]).points), line_of("a", [(0, math.nan)]).points
    (200, ())
    """
    finite = [ChartPoint(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    return Series(name, thinned(finite), is_line=True, is_marked=False, key=key, tone=tone)


def thinned(points: Sequence[ChartPoint]) -> tuple[ChartPoint, ...]:
    """Select at most 200 points, the first and the last included."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    return tuple(points[round(index * (len(points) - 1) / (MOST_POINTS - 1))] for index in range(MOST_POINTS))


def shade(value: float, low: float, high: float) -> int:
    """Return the shade of a value from 0 at `low` to 9 at `high`; 9 if both ends are equal.

    >>> shade(0.0, 0.0, 1.0), shade(0.55, 0.0, 1.0), shade(1.0, 0.0, 1.0), shade(3.0, 3.0, 3.0)
    (0, 5, 9, 9)
    """
    return SHADES - 1 if high <= low else min(SHADES - 1, int(SHADES * (value - low) / (high - low)))


def charts_json(charts: Mapping[str, Charts]) -> bytes:
    """Write charts by name as JSON; numbers have nine digits, since further ones vary between processors.

    >>> charts = {"a": Charts("c", (Chart("t", ChartAxis("x"), ChartAxis("y"), (line_of("l", [(0, 1 / 3)]),)),))}
    >>> charts_of_json(charts_json(charts))["a"].panels[0].series[0].points[0].y
    0.333333333
    """
    plain = {name: _plain(asdict(panels)) for name, panels in charts.items()}
    one_line = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return one_line.replace("},{", "},\n{").encode() + b"\n"  # a line for each point, so that a diff shows what moved


def charts_of_json(data: bytes) -> dict[str, Charts]:
    """Read what `charts_json` wrote."""
    return TypeAdapter(dict[str, Charts]).validate_json(data)


def _plain(value: Any) -> Any:
    """Round numbers to nine digits, and remove dictionary entries that are None or empty, at any depth."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None and item not in ("", ())}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
