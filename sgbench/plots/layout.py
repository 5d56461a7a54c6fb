"""Lay out charts as coordinates and paths of an SVG, whose colours the page's style sheet sets."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Ends, Series
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.style import SHAPES

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 44
WIDE, ROW, LETTER, NARROW_LEFT, MOST_LEFT, MOST_LETTERS = 1120, 20, 9.4, 384, 540, 56
"""Width of a chart with long row names, height of a row, width of a letter on a phone, where letters are larger than
elsewhere, the most width of names in a chart that is not wide and in one that is, and their most letters."""
LONG = 15  # rows above which numbers stand at the axis above them too
LABEL_HEIGHT, LABEL_LETTER, CLEAR = 14, 7.4, 7  # of a label's text, and its distance from any mark
GLYPHS = {
    "o": "h0",  # a line of length 0 with round ends
    "s": "m-4.5,-4.5h9v9h-9z",
    "D": "m0,-6l6,6l-6,6l-6,-6z",
    "^": "m0,-6l5.5,10h-11z",
    "v": "m0,6l5.5,-10h-11z",
    "P": "m-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    "x": "m-5,-5l10,10m0,-10l-10,10",
    "<": "m-5,0l10,-6v12z",
    ">": "m5,0l-10,-6v12z",
}
"""Paths of markers from their place, with commas, since a script knows the places of a path by their space."""
BEYOND = ("<", ">")  # markers of points left and right of the frame
MARGIN, ERROR_GAP = 0.04, 0.09  # beyond the marks, and between numbers at an axis of errors, relative to the axis
TICKS, COLOURS = 5, 8
STEPS = (1, 2, 5, 10)  # distances of ticks within a decade
FEW_DECADES = 2.5
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
    marker: str  # a key of `GLYPHS`
    tooltip: str
    link: str | None
    label: str  # empty for none
    at: tuple[float, float]  # coordinates of the mark [px]
    shade: int | None  # of a cell, from 0; None for a dot
    label_at: tuple[str, float, float] = ("", 0.0, 4.0)  # class and distance of the label from the mark [px]


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
    marker: str  # of the dots
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
    top: int

    @property
    def scales(self) -> dict[str, str]:
        """Return the names of the axes, x or y, that are logarithmic and that are of errors."""
        axes = {"x": self.x, "y": self.y}
        return {
            "log": "".join(name for name, axis in axes.items() if axis.is_log),
            "error": "".join(name for name, axis in axes.items() if axis.is_error),
        }

    @property
    def has_numbers_above(self) -> bool:
        """Return whether the numbers of the horizontal axis stand above its rows too."""
        return self.top > TOP

    @property
    def has_links(self) -> bool:
        """Return whether a mark has a link."""
        return any(mark.link for series in self.series for mark in series.marks)


@dataclass(frozen=True)
class Drawing:
    """Holds the layout of charts with their legend."""

    caption: str
    key: tuple[tuple[str, str, bool, str, str], ...]  # name, style class, whether it is a line, marker and its path
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
    legend: dict[str, tuple[str, str, bool, str, str]] = {}  # as `Drawing.key`, by name
    coloured = 0  # series so far with a colour of the palette
    for series in (series for chart in panels for series in chart.series if series.points):
        name, marker = series.key or series.name, _marker(series)
        if name in legend:
            continue
        # Classes of the page's style sheet: a tone, s0, s1, ... for the known shapes, and l0, l1, ... for others.
        style_class = series.tone
        if not style_class and name in SHAPES:
            style_class = f"s{[*SHAPES].index(name)}"
        elif not style_class:
            style_class = f"l{coloured % COLOURS}"
            coloured += 1
        legend[name] = (name, style_class, series.is_line, marker, GLYPHS[marker] if series.is_marked else "")
    style_classes = {name: style_class for name, style_class, *_ in legend.values()}
    return Drawing(charts.caption, tuple(legend.values()), tuple(_panel(chart, style_classes) for chart in panels))


class _Frame:
    """Converts values of a chart to coordinates [px]."""

    def __init__(self, chart: Chart) -> None:
        # A chart with names is as high as its rows and as wide at the left as its longest name.
        margin = MARGIN if any(series.is_marked for series in chart.series) else 0.0
        rows, letters = len(chart.y.names), max(map(len, chart.y.names), default=0)
        self.left = min(MOST_LEFT, round(LETTER * letters) + (40 if chart.y.label else 20)) if rows else LEFT
        self.width = WIDE if self.left > NARROW_LEFT else WIDTH
        self.top = BOTTOM - TOP if rows > LONG else TOP
        self.height = self.top + BOTTOM + ROW * rows if rows else HEIGHT
        self.bottom = self.height - BOTTOM
        self.chart = chart
        across, up = [], []  # all values along each axis
        for point in (point for series in chart.series for point in series.points):
            across += [point.x, *(point.x_ends or ())]
            up += [point.y, *(point.y_ends or ())]
        self.x_ends = _ends(chart.x, [*across, *chart.x_lines], margin)
        low, high = _ends(chart.y, [*up, *chart.y_lines], margin)
        self.y_ends = (high, low) if chart.y.names else (low, high)  # names are listed from top to bottom

    def x(self, value: float) -> float:
        """Convert a value of the horizontal axis to a coordinate [px], clipped to the frame."""
        share = _share_of(_scaled(value, self.chart.x), self.x_ends)
        return round(self.left + (self.width - RIGHT - self.left) * share, 1)

    def y(self, value: float) -> float:
        """Convert a value of the vertical axis to a coordinate [px], clipped to the frame."""
        share = _share_of(_scaled(value, self.chart.y), self.y_ends)
        return round(self.bottom - (self.bottom - self.top) * share, 1)

    def beyond(self, point: ChartPoint) -> str:
        """Return the marker of a point that is left or right of the frame; empty for others."""
        low, high = self.x_ends
        place = _scaled(point.x, self.chart.x)
        return "<" if place < low - 1e-9 else ">" if place > high + 1e-9 else ""

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        return "L".join(f"{self.x(x):g} {self.y(y):g}" for x, y in points)


class _Labels:
    """Places labels beside their marks where they cover no mark, no other label and not the frame's edge."""

    def __init__(self, frame: _Frame) -> None:
        self.frame = frame
        points = [point for series in frame.chart.series if series.is_marked for point in series.points]
        self.dots = [(frame.x(point.x), frame.y(point.y)) for point in points]
        self.taken: list[tuple[float, float, float, float]] = []  # left, right, top and bottom of each label

    def placed(self, mark: Mark) -> Mark:
        """Place a label right, left, above or below its mark; where none is free the tooltip alone has its text."""
        if not mark.label or mark.shade is not None:
            return mark
        x, y = mark.at
        width = LABEL_LETTER * len(mark.label)
        # By preference: the style class, the offset of the text from the mark, and the text's left end.
        beside = ("right", 9, 4, x + 9), ("left", -9, 4, x - 9 - width)
        centred = ("", 0, -10, x - width / 2), ("", 0, 19, x - width / 2)
        for style_class, dx, dy, left in (*beside, *centred):
            box = (left, left + width, y + dy - LABEL_HEIGHT + 3, y + dy + 3)
            if self._is_free(box, mark.at):
                self.taken.append(box)
                return replace(mark, label_at=(style_class, dx, dy))
        return replace(mark, label="")

    def _is_free(self, box: tuple[float, float, float, float], own: tuple[float, float]) -> bool:
        """Return whether a label's box (left, right, top, bottom) is inside the frame and covers nothing.

        It must keep clear of other labels and of all marks except the label's own, at (x, y) `own`.
        """
        left, right, top, bottom = box
        frame = self.frame
        is_inside = frame.left <= left and right <= frame.width and top >= 0 and bottom <= frame.bottom
        covers_mark = any(
            left - CLEAR < x < right + CLEAR and top - CLEAR < y < bottom + CLEAR for x, y in self.dots if (x, y) != own
        )
        covers_label = any(
            left < other_right and other_left < right and top < other_bottom and other_top < bottom
            for other_left, other_right, other_top, other_bottom in self.taken
        )
        return is_inside and not covers_mark and not covers_label


def _share_of(value: float, ends: Ends) -> float:
    """Return the position of a value between two ends, from 0 to 1; one beyond them is clipped."""
    low, high = ends
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _scaled(value: float, axis: ChartAxis) -> float:
    """Return a value, or on a logarithmic axis its logarithm to base 10, -inf for 0 and less."""
    if axis.is_error:
        return float(ErrorAxis().place(ErrorAxis().clip(value)))
    if not axis.is_log:
        return value
    return math.log10(value) if value > 0 else -math.inf


def _ends(axis: ChartAxis, values: Sequence[float], margin: float) -> Ends:
    """Choose the limits of an axis: those that it states, or the least and the largest value with a margin.

    `margin`: relative to their distance. Limits of a logarithmic axis are logarithms; each name has a length of 1.
    """
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    scaled = [_scaled(value, axis) for value in axis.ends or values]
    finite = [value for value in scaled if math.isfinite(value)]
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):  # a single value
        return low - 0.05 * max(abs(low), 1.0), high + 0.05 * max(abs(high), 1.0)
    beyond = 0.0 if axis.ends and not axis.is_error else margin * (high - low)
    return low - beyond, high + beyond


def _panel(chart: Chart, style_classes: dict[str, str]) -> Panel:
    """Lay out one chart; `style_classes` maps the names in the legend, in order, to style classes."""
    frame, names = _Frame(chart), list(style_classes)
    labels = _Labels(frame)
    drawn = []
    for series in chart.series:
        name = series.key or series.name
        if series.points:
            drawn.append(_series(frame, labels, series, names.index(name), style_classes[name]))
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
        frame.top,
    )


def _marker(series: Series) -> str:
    """Return the marker of a series: its own, that of its surrogate shape, or a dot."""
    shape = SHAPES.get(series.key or series.name)
    return series.marker or ("o" if shape is None else shape.marker)


def _series(frame: _Frame, labels: _Labels, series: Series, index: int, style_class: str) -> DrawnSeries:
    """Lay out a series: its line, its intervals as a band or as whiskers, and its marks.

    Marks become one path of dots, which is small. If one of them has a link, a label or a shade, or lies beyond the
    frame, each mark of the series is drawn by itself. `index` and `style_class` are those of the legend.
    """
    points, marker = series.points, _marker(series)
    line = f"M{frame.path((point.x, point.y) for point in points)}" if series.is_line else ""
    marks = [_mark(frame, point, frame.beyond(point) or marker) for point in points] if series.is_marked else []
    are_single = any(mark.link or mark.label or mark.shade is not None or mark.marker in BEYOND for mark in marks)
    dots = "" if are_single else "".join(mark.path for mark in marks)
    tooltips = () if are_single or not points[0].told else tuple(point.told for point in points)
    return DrawnSeries(
        series.name, index, style_class, line, _band(frame, series), _whiskers(frame, series), dots, marker,
        tuple(map(labels.placed, marks)) if are_single else (), tooltips,
    )  # fmt: skip


def _band(frame: _Frame, series: Series) -> str:
    """Return the path around a series' band, along upper ends of its intervals and back along lower ones; or ""."""
    intervals = [(point.x, point.y_ends) for point in series.points if point.y_ends is not None]
    if not series.has_band or len(intervals) < 2:  # noqa: PLR2004 - one interval spans no area
        return ""
    upper = [(x, high) for x, (_, high) in intervals]
    lower = [(x, low) for x, (low, _) in reversed(intervals)]
    return f"M{frame.path([*upper, *lower])}Z"


def _whiskers(frame: _Frame, series: Series) -> str:
    """Return the path of all intervals that are drawn as lines: horizontal ones, and vertical ones without a band."""
    points = series.points
    upright = [] if series.has_band else [[(p.x, end) for end in p.y_ends] for p in points if p.y_ends is not None]
    level = [[(end, p.y) for end in p.x_ends] for p in points if p.x_ends is not None]
    return "".join(f"M{frame.path(ends)}" for ends in (*upright, *level))


def _mark(frame: _Frame, point: ChartPoint, marker: str) -> Mark:
    """Lay out a mark: a marker, or for a shade a square cell."""
    x, y = point.x, point.y
    if point.shade is None:
        path = f"M{frame.path([(x, y)])}{GLYPHS[marker]}"
    else:
        corners = [(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)]
        path = f"M{frame.path(corners)}Z"
    return Mark(path, marker, point.told, point.link, point.label, at=(frame.x(x), frame.y(y)), shade=point.shade)


def _ticks(axis: ChartAxis, ends: Ends) -> list[tuple[float, str]]:
    """List the value and the text of each tick: names, or round numbers between the limits of the axis."""
    if axis.names:
        return [(float(index), _shortened(name)) for index, name in enumerate(axis.names)]
    if axis.is_error:
        low, high = (float(ErrorAxis().score(end)) for end in ends)
        return [*ErrorAxis().ticks(low, high, gap=ERROR_GAP).items()]
    values = axis.ticks or (log_ticks(*ends) if axis.is_log else ticks(*ends))
    return [(value, f"{value:g}") for value in values]


def _shortened(name: str) -> str:
    """Shorten a long name in its middle, since ends distinguish names; the tooltip has the whole name.

    >>> _shortened("short"), _shortened("b" * 40 + "a" * 40).count("a")
    ('short', 28)
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
