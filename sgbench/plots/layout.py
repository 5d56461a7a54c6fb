"""Lay out charts as coordinates and paths of an SVG, whose colours the page's style sheet sets."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Ends, Series

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 44
WIDE, ROW, LETTER, MOST_LEFT, MOST_LETTERS = 920, 20, 8.4, 520, 67
"""Width of a chart with row names, height of a row, width of a letter, and the most width and letters of names."""
LABEL_HEIGHT = 15
MARGIN = 0.04  # of an axis beyond its marks, relative
TICKS = 5
STEPS = (1, 2, 5, 10)  # distances of ticks within a decade
FEW_DECADES = 2.5
COLOURS = 8
TONES = ("soft", "good", "bad")


@dataclass(frozen=True)
class Tick:
    """Describes one tick of an axis."""

    at: float  # coordinate [px]
    text: str


@dataclass(frozen=True)
class Mark:
    """Describes one mark: a dot or a cell with its tooltip, link and label."""

    path: str  # of SVG
    tooltip: str
    link: str | None
    label: str  # empty for none
    at: tuple[float, float]  # coordinates of the label [px]
    shade: int | None  # of a cell, from 0; None for a dot


@dataclass(frozen=True)
class DrawnSeries:
    """Holds the SVG paths of one series; those it lacks are empty."""

    name: str
    index: int  # in the legend
    style_class: str
    line: str
    band: str
    whiskers: str
    dots: str  # marks without links and labels
    marks: tuple[Mark, ...]
    tooltips: tuple[str, ...]  # of the points of a line or of dots, if any


@dataclass(frozen=True)
class Panel:
    """Holds the layout of one chart."""

    title: str
    x: ChartAxis
    y: ChartAxis
    x_ends: Ends  # limits of the frame: values, or their logarithms to base 10
    y_ends: Ends
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_lines: tuple[float, ...]
    y_lines: tuple[float, ...]
    series: tuple[DrawnSeries, ...]
    height: int
    left: int
    bottom: int
    width: int
    right: int
    top: int = TOP

    @property
    def leads(self) -> bool:
        """Return whether a mark has a link."""
        return any(mark.link for series in self.series for mark in series.marks)


@dataclass(frozen=True)
class Drawing:
    """Holds the layout of charts with their legend."""

    caption: str
    key: tuple[tuple[str, str, bool], ...]  # name, style class, and whether it is a line
    panels: tuple[Panel, ...]


def laid_out(charts: Charts) -> Drawing | None:
    """Lay out charts with one legend; charts and series without points are left out, and None if all are.

    >>> from sgbench.plots.chart import line_of
    >>> line = line_of("seed 0", [(0, 0.0), (1, 1.0)])
    >>> drawing = laid_out(Charts("c", (Chart("t", ChartAxis("epoch"), ChartAxis("loss"), (line,)),)))
    >>> drawing.panels[0].series[0].line
    'M64 216L628 12'
    """
    panels = [chart for chart in charts.panels if any(series.points for series in chart.series)]
    if not panels:
        return None
    styles: dict[str, tuple[str, bool]] = {}  # style class, and whether it is a line, by name in the legend
    for series in (series for chart in panels for series in chart.series if series.points):
        coloured = sum(style_class not in TONES for style_class, _ in styles.values())
        style_class = series.tone or f"l{coloured % COLOURS}"
        styles.setdefault(series.key or series.name, (style_class, series.is_line))
    legend = tuple((name, style_class, is_line) for name, (style_class, is_line) in styles.items())
    style_classes = {name: style_class for name, style_class, _ in legend}
    return Drawing(charts.caption, legend, tuple(_panel(chart, style_classes) for chart in panels))


class _Frame:
    """Converts values of a chart to coordinates [px]."""

    def __init__(self, chart: Chart) -> None:
        points = [point for series in chart.series for point in series.points]
        margin = MARGIN if any(series.is_marked for series in chart.series) else 0.0
        rows, letters = len(chart.y.names), max(map(len, chart.y.names), default=0)
        self.left = min(MOST_LEFT, round(LETTER * letters) + (40 if chart.y.label else 20)) if rows else LEFT
        self.width = WIDE if letters * LETTER > WIDTH / 2 else WIDTH
        self.height = TOP + BOTTOM + ROW * rows if rows else HEIGHT
        self.bottom = self.height - BOTTOM
        self.x_is_log, self.y_is_log = chart.x.is_log, chart.y.is_log
        across = [value for point in points for value in (point.x, *(point.x_ends or ()))]
        up = [value for point in points for value in (point.y, *(point.y_ends or ()))]
        self.x_ends = _ends(chart.x, [*across, *chart.x_lines], margin)
        low, high = _ends(chart.y, [*up, *chart.y_lines], margin)
        self.y_ends = (high, low) if chart.y.names else (low, high)  # names are listed from top to bottom

    def x(self, value: float) -> float:
        """Convert a value of the horizontal axis to a coordinate [px], clipped to the frame."""
        share = _share_of(_scaled(value, self.x_is_log), self.x_ends)
        return round(self.left + (self.width - RIGHT - self.left) * share, 1)

    def y(self, value: float) -> float:
        """Convert a value of the vertical axis to a coordinate [px], clipped to the frame."""
        share = _share_of(_scaled(value, self.y_is_log), self.y_ends)
        return round(self.bottom - (self.bottom - TOP) * share, 1)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        return "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)


def _share_of(value: float, ends: Ends) -> float:
    """Return the position of a value between two ends, from 0 to 1; one beyond them is clipped."""
    low, high = ends
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _scaled(value: float, is_log: bool) -> float:
    """Return a value, or on a logarithmic axis its logarithm to base 10, -inf for 0 and less."""
    if not is_log:
        return value
    return math.log10(value) if value > 0 else -math.inf


def _ends(axis: ChartAxis, values: Sequence[float], margin: float) -> Ends:
    """Choose the limits of an axis that must hold some values: its own, or the outermost values and a margin.

    The margin is relative to their distance. Limits of a logarithmic axis are logarithms; each name takes a length
    of 1.
    """
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    scaled = [_scaled(value, axis.is_log) for value in axis.ends or values]
    finite = [value for value in scaled if math.isfinite(value)]
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin, high = 0.0, high + 0.05 * max(abs(high), 1.0)
        low -= 0.05 * max(abs(low), 1.0)
    beyond = 0.0 if axis.ends else margin * (high - low)
    return low - beyond, high + beyond


def _panel(chart: Chart, style_classes: dict[str, str]) -> Panel:
    """Lay out one chart; `style_classes` maps the names in the legend, in order, to style classes."""
    frame, names = _Frame(chart), list(style_classes)
    drawn = []
    for series in chart.series:
        name = series.key or series.name
        if series.points:
            drawn.append(_series(frame, series, names.index(name), style_classes[name]))
    return Panel(
        chart.title,
        chart.x,
        chart.y,
        frame.x_ends,
        frame.y_ends,
        tuple(Tick(frame.x(value), text) for value, text in _ticks(chart.x, frame.x_ends)),
        tuple(Tick(frame.y(value), text) for value, text in _ticks(chart.y, frame.y_ends)),
        tuple(map(frame.x, chart.x_lines)),
        tuple(map(frame.y, chart.y_lines)),
        tuple(drawn),
        frame.height,
        frame.left,
        frame.bottom,
        frame.width,
        frame.width - RIGHT,
    )


def _series(frame: _Frame, series: Series, index: int, style_class: str) -> DrawnSeries:
    """Lay out a series: its line, its intervals as a band or as whiskers, and its marks, one by one or as dots."""
    points = series.points
    line = f"M{frame.path((point.x, point.y) for point in points)}" if series.is_line else ""
    with_ends = [(point, point.y_ends) for point in points if point.y_ends is not None]
    band = ""
    if series.has_band and len(with_ends) > 1:
        upper = [(point.x, high) for point, (_, high) in with_ends]
        lower = [(point.x, low) for point, (low, _) in reversed(with_ends)]
        band = f"M{frame.path([*upper, *lower])}Z"
    whiskers = [] if series.has_band else [[(point.x, end) for end in ends] for point, ends in with_ends]
    whiskers += [[(end, point.y) for end in point.x_ends] for point in points if point.x_ends is not None]
    whisker_path = "".join(f"M{frame.path(ends)}" for ends in whiskers)
    has_marks = series.is_marked and any(point.link or point.label or point.shade is not None for point in points)
    marks = [_mark(frame, point) for point in points] if series.is_marked else []
    dots = "" if has_marks else "".join(mark.path for mark in marks)
    tooltips = () if has_marks or not points[0].told else tuple(point.told for point in points)
    single_marks = _without_overlap(marks) if has_marks else ()
    return DrawnSeries(series.name, index, style_class, line, band, whisker_path, dots, single_marks, tooltips)


def _without_overlap(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Remove the labels of dots that would overlap an earlier label; tooltips still have their text."""
    taken: list[tuple[float, float, float]] = []  # coordinates and width of each label
    kept = []
    for mark in marks:
        x, y = mark.at
        width = LETTER * len(mark.label)
        overlaps = any(
            abs(y - other_y) < LABEL_HEIGHT and abs(x - other_x) < max(width, other_width)
            for other_x, other_y, other_width in taken
        )
        label = "" if overlaps and mark.shade is None else mark.label
        taken += [(x, y, width)] if label else []
        kept.append(replace(mark, label=label))
    return tuple(kept)


def _mark(frame: _Frame, point: ChartPoint) -> Mark:
    """Lay out a mark: a dot, which is a line of length 0 with round ends, or for a shade a square cell."""
    x, y = point.x, point.y
    if point.shade is None:
        path = f"M{frame.path([(x, y)])}h0"
    else:
        corners = [(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)]
        path = f"M{frame.path(corners)}Z"
    return Mark(path, point.told, point.link, point.label, at=(frame.x(x), frame.y(y)), shade=point.shade)


def _ticks(axis: ChartAxis, ends: Ends) -> list[tuple[float, str]]:
    """List the value and the text of each tick: names, or round numbers between the limits of the axis."""
    if axis.names:
        return [(float(index), _shortened(name)) for index, name in enumerate(axis.names)]
    values = log_ticks(*ends) if axis.is_log else ticks(*ends)
    return [(value, f"{value:g}") for value in values]


def _shortened(name: str) -> str:
    """Shorten a long name in its middle, since ends distinguish names; the tooltip has the whole name.

    >>> _shortened("short"), _shortened("b" * 40 + "a" * 40).count("a")
    ('short', 33)
    """
    half = MOST_LETTERS // 2
    return name if len(name) <= MOST_LETTERS else f"{name[: half - 3]}...{name[-half:]}"


def ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between two ends as ticks.

    >>> ticks(0, 1), ticks(0.92, 0.96)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.92, 0.93, 0.94, 0.95, 0.96])
    """
    least_step = (high - low) / TICKS
    decade = 10.0 ** math.floor(math.log10(least_step))
    step = next(size * decade for size in STEPS if size * decade >= least_step * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Choose powers of ten between two ends, given as logarithms to base 10, with 2 and 5 times these if few.

    >>> log_ticks(-1, 1), log_ticks(0, 9)
    ([0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0], [1.0, 100.0, 10000.0, 1000000.0, 100000000.0])
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    if high - low < FEW_DECADES:
        candidates = [float(f"{step}e{decade}") for decade in decades for step in STEPS[:-1]]
    else:
        candidates = [float(f"1e{decade}") for decade in decades[:: math.ceil((high - low) / (TICKS + 1))]]
    inside = [value for value in candidates if low - 1e-9 <= math.log10(value) <= high + 1e-9]
    return inside if len(inside) > 1 else ticks(10**low, 10**high)
