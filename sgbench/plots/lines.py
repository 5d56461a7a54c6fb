"""Line charts as plain numbers of an SVG, for pages that draw thousands of them and follow a reader's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 44
MOST_POINTS = 200
MOST_LINES = 20
TICKS = 5
MOST_TICKS = 9
STEPS = (1, 2, 5, 10)  # of a decade, between ticks


@dataclass(frozen=True)
class Tick:
    """Describes one mark of an axis: where it stands and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class ChartLine:
    """Describes one line with its name; `points` are those of an SVG's polyline."""

    name: str
    points: str


@dataclass(frozen=True)
class Chart:
    """Holds a chart of lines between ticks."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[ChartLine, ...]
    left_out: int  # lines beyond those that are drawn
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    is_log: bool = False,
) -> Chart | None:
    """Build a chart of lines, each thinned to 200 points; None where no line has a point.

    Args:
        lines: points by the name of the line; what is no finite number is left out.
        title: what is shown, for those who hear it.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        is_log: whether the horizontal axis is logarithmic; then every number on it has to be above 0.

    >>> drawn = chart({"seed 0": [(0, 0.0), (1, 1.0)]}, title="t", x_label="epoch", y_label="loss")
    >>> drawn.lines[0].points
    '64.0,216.0 628.0,12.0'
    """
    finite = {
        name: thinned([point for point in points if all(map(math.isfinite, point))])
        for name, points in lines.items()
    }
    drawable = {name: points for name, points in finite.items() if points}
    shown = dict([*drawable.items()][:MOST_LINES])
    if not shown:
        return None
    place = math.log10 if is_log else float
    across = [x for points in shown.values() for x, _ in points]
    up = [y for points in shown.values() for _, y in points]
    x_ends, y_ends = _ends([place(x) for x in across]), _ends(up)
    drawn = tuple(
        ChartLine(name, " ".join(f"{_x(place(x), x_ends):.1f},{_y(y, y_ends):.1f}" for x, y in points))
        for name, points in shown.items()
    )
    marked = _spread(sorted(set(across))) if is_log else ticks(*x_ends)
    return Chart(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=tuple(Tick(round(_x(place(value), x_ends), 1), f"{value:g}") for value in marked),
        y_ticks=tuple(Tick(round(_y(value, y_ends), 1), f"{value:g}") for value in ticks(*y_ends)),
        lines=drawn,
        left_out=len(drawable) - len(shown),
    )


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Select at most 200 points, evenly spread, the first and the last among them.

    >>> len(thinned([(x, 0.0) for x in range(1000)])), thinned([(1, 2.0)])
    (200, [(1, 2.0)])
    """
    if len(points) <= MOST_POINTS:
        return [*points]
    last = len(points) - 1
    return [points[round(place * last / (MOST_POINTS - 1))] for place in range(MOST_POINTS)]


def ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between two ends as ticks.

    >>> ticks(0, 1), ticks(0.92, 0.96)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.92, 0.93, 0.94, 0.95, 0.96])
    """
    rough = (high - low) / TICKS
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(size * decade for size in STEPS if size * decade >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{place * step:.10g}") for place in range(first, last + 1)]


def _spread(values: Sequence[float]) -> list[float]:
    """Select a few of the values that points stand at, the first and the last among them."""
    step = -(-len(values) // MOST_TICKS)
    return [*values[:-1:step], values[-1]]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Choose where an axis begins and ends; a single value gets some room."""
    low, high = min(values), max(values)
    room = max(abs(high), 1.0) * 0.05
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high), 1e-300) else (low - room, high + room)


def _x(value: float, ends: tuple[float, float]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - ends[0]) / (ends[1] - ends[0])


def _y(value: float, ends: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - ends[0]) / (ends[1] - ends[0])
