"""Build the chart of predicted energies relative to measured ones, one row for each, grouped by target."""

from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.plots.estimate import Estimate

LEAST, MOST = 1e-3, 10.0  # ends of the axis of ratios; ratios beyond are drawn as arrows at its ends


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


def measured_charts(predictions: Sequence[Prediction], caption: str) -> Charts:
    """Build the chart of predictions relative to measurements, one row for each, grouped by target."""
    if not predictions:
        raise InputError("no published measurement to draw")
    ordered = sorted(predictions, key=lambda prediction: prediction.target)
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}
    for row, prediction in enumerate(ordered):
        value, low, high = prediction.ratio
        ratio_text = value_text(value, (low, high))
        tooltip = f"{prediction.target}, {prediction.label}: predicted {ratio_text} times what was measured"
        points[prediction.holds].append(ChartPoint(value, row, tooltip, x_ends=(low, high)))
    known = [(each.measured.low / each.measured.value, each.measured.high / each.measured.value) for each in ordered]
    measured = tuple(ChartPoint(1.0, row, "measured", x_ends=ends) for row, ends in enumerate(known))
    series = (
        Series("measured", measured, tone="soft"),
        Series("the prediction holds", tuple(points[True]), tone="good"),
        Series("it does not", tuple(points[False]), tone="bad"),
    )
    rows = ChartAxis(names=tuple(f"{each.label} ({each.target})" for each in ordered))
    ratio = ChartAxis("predicted over measured", is_log=True, ends=(LEAST, MOST))
    return Charts(caption, (Chart("Predicted over measured", ratio, rows, series, x_lines=(1.0,)),))
