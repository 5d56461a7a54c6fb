"""Draw predicted energies relative to measured ones, one row for each, grouped by target."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.plots.estimate import Estimate
from sgbench.plots.style import BAND, BLUE, GRID, INK, ORANGE, SOFT

ROW_INCHES, HEAD_INCHES = 0.27, 1.5
LEAST, MOST = 1e-3, 10.0  # ends of the axis of ratios; ratios beyond are drawn as arrows at its ends
FONT_SIZE = 11


@dataclass(frozen=True)
class Prediction:
    """Holds one predicted and the measured energy, in the same unit."""

    target: str
    label: str  # of the measured network
    predicted: Estimate
    measured: Estimate
    holds: bool  # whether the two intervals overlap

    @property
    def ratio(self) -> Estimate:
        return Estimate(*(end / self.measured.value for end in self.predicted))


def measured_figure(predictions: Sequence[Prediction]) -> Figure:
    """Draw predictions relative to measurements, grouped by target.

    The line at 1 is the measurement, the grey bar on it its interval, and whiskers are the ends of the prices. A
    prediction holds if whisker and bar overlap.
    """
    if not predictions:
        raise InputError("no published measurement to draw")
    ordered = sorted(predictions, key=lambda prediction: prediction.target)
    figure = Figure(figsize=measured_size(len(ordered)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(LEAST, MOST)
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    axes.axvline(1.0, color=INK, linewidth=1)
    first = 0
    for index, (target, group) in enumerate(groupby(ordered, key=lambda prediction: prediction.target)):
        rows = list(group)
        if index % 2 == 0:
            axes.axhspan(first - 0.5, first + len(rows) - 0.5, color=BAND, linewidth=0, zorder=0)
        axes.text(MOST * 1.15, first, target, va="center", fontsize=FONT_SIZE, color=SOFT)
        for row, prediction in enumerate(rows, start=first):
            _draw(axes, row, prediction)
        first += len(rows)
    labels = [prediction.label for prediction in ordered]
    axes.set_yticks(range(len(ordered)), labels, fontsize=FONT_SIZE)
    axes.tick_params(length=0, axis="y", colors=INK)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_xlabel("predicted energy or power, as a multiple of the measured one", fontsize=FONT_SIZE, color=INK)
    held = sum(prediction.holds for prediction in ordered)
    axes.set_title(
        f"{held} of {len(ordered)} predictions hold (blue); the others do not (orange)", loc="left", color=INK
    )
    return figure


def measured_size(predictions: int) -> tuple[float, float]:
    """Compute width and height of the picture from the count of predictions [inches]."""
    return 11.0, HEAD_INCHES + ROW_INCHES * predictions


def _draw(axes: Axes, row: int, prediction: Prediction) -> None:
    colour = BLUE if prediction.holds else ORANGE
    measured = prediction.measured
    ends = [measured.low / measured.value, measured.high / measured.value]
    axes.plot(ends, [row, row], color=SOFT, linewidth=7, alpha=0.5, solid_capstyle="butt")
    value, low, high = (min(max(end, LEAST), MOST) for end in prediction.ratio)
    axes.plot([low, high], [row, row], color=colour, linewidth=1.8)
    marker = "<" if prediction.ratio.value < LEAST else ">" if prediction.ratio.value > MOST else "o"
    axes.plot([value], [row], marker, color=colour, markersize=6, clip_on=False)


def measured_charts(predictions: Sequence[Prediction], caption: str) -> Charts:
    """Build the chart of predictions relative to measurements, one row for each, grouped by target."""
    ordered = sorted(predictions, key=lambda prediction: prediction.target)
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}
    for row, prediction in enumerate(ordered):
        value, low, high = prediction.ratio
        ratio_text = value_text(value, (low, high))
        tooltip = f"{prediction.target}, {prediction.label}: predicted {ratio_text} times what was measured"
        points[prediction.holds].append(ChartPoint(value, row, tooltip, x_ends=(low, high)))
    series = (
        Series("the prediction holds", tuple(points[True]), tone="good"),
        Series("it does not", tuple(points[False]), tone="bad"),
    )
    rows = ChartAxis(names=tuple(f"{each.label} ({each.target})" for each in ordered))
    ratio = ChartAxis("predicted over measured", is_log=True, ends=(LEAST, MOST))
    return Charts(caption, (Chart("Predicted over measured", ratio, rows, series, x_lines=(1.0,)),))
