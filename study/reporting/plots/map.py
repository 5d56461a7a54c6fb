"""Where the choice of a surrogate matters: accuracy against width, a panel a task, a line a shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Series, ends_of, value_text
from sgbench.plots.estimate import Estimate

ASIDE_DECADES = 0.035  # between shapes of one width, whose intervals would hide each other


@dataclass(frozen=True)
class MapPoint:
    """Describes one width of one shape: mean score with its interval, and the share of runs that failed."""

    width: float
    score: Estimate
    failed: float


def map_chart(title: str, guess: float, lines: Mapping[str, Sequence[MapPoint]], *, network: str = "") -> Chart:
    """Build the chart of one task, a line a shape; a cross lies on a cell of which some runs failed."""
    series, crossed = [], []
    for place, (name, points) in enumerate(lines.items()):
        aside = 10 ** (ASIDE_DECADES * (place - (len(lines) - 1) / 2))
        drawn = tuple(_point(point, aside) for point in points)
        series.append(Series(name, drawn, is_line=True))
        crossed += [replace(mark, y_ends=None) for mark, point in zip(drawn, points, strict=True) if point.failed]
    if crossed:
        series.append(Series("some runs failed", tuple(crossed), tone="bad", marker="x"))
    widths = tuple(sorted({point.width for points in lines.values() for point in points}))
    across = ChartAxis("width (thresholds)", is_log=True, ticks=widths)
    up = ChartAxis("test accuracy, %", is_error=True)
    return Chart(title, across, up, tuple(series), y_lines=(guess,), lines="guessing", network=network)


def _point(point: MapPoint, aside: float) -> ChartPoint:
    ends = ends_of(point.score)
    words = f"width {point.width:g}, {value_text(point.score.value, ends, ' %')}"
    failed = f"; {100 * point.failed:.0f} % of runs failed" if point.failed else ""
    return ChartPoint(point.width * aside, point.score.value, words + failed, y_ends=ends)
