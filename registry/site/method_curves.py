"""Makes the learning curves of a method's page: every seed, and their mean with its interval."""

import math
from collections.abc import Callable, Sequence

from sgbench.leaderboard.rows import Board
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, line_of, thinned, value_text
from sgbench.records.content import EpochScores
from sgbench.records.record import RunRecord
from sgbench.statistics.intervals import Scale, summarise

MEAN = "mean"
"""Name of the line with the mean of all finished seeds."""
Pick = Callable[[EpochScores], float | None]


def curve_charts(records: Sequence[RunRecord], board: Board, *, claim: str = "") -> Charts:
    """Build charts of the validation score and training loss of every epoch, each with the mean of finished seeds.

    `records`: records of the method. `board`: board of the method. `claim`: note on who states the values that no check
    repeats; empty for none.
    """
    if board.measure.is_loss:
        first = _chart(records, "validation loss", lambda epoch: epoch.validation_loss, "positive")
    else:
        first = _chart(records, "validation accuracy", lambda epoch: epoch.validation_accuracy, "share")
    loss = _chart(records, "training loss", lambda epoch: epoch.train_loss, "positive")
    note = f"; {claim}" if claim else ""
    caption = f"Every epoch of every seed{note}. The mean and its 95 % interval are of the epochs that all have."
    return Charts(caption, (first, loss))


def _chart(records: Sequence[RunRecord], title: str, pick: Pick, scale: Scale) -> Chart:
    """Make the chart of one score over epochs; `pick` returns it from an epoch's scores, `scale` is its range."""
    unit = 100.0 if scale == "share" else 1.0
    curves = [(record, _points(record, pick)) for record in records]
    seeds = [
        line_of(f"seed {record.seed}", [(x, unit * y) for x, y in points], key="each seed", tone="soft")
        for record, points in curves
    ]
    finished = [dict(points) for record, points in curves if record.failure is None and points]
    shared = sorted(set.intersection(*map(set, finished))) if len(finished) > 1 else []
    means = [_mean(epoch, [curve[epoch] for curve in finished], unit, scale) for epoch in shared]
    mean = Series(MEAN, thinned(means), is_line=True, is_marked=False, has_band=True)
    values = [point.y for series in seeds for point in series.points]
    is_log = scale == "positive" and min(values, default=0.0) > 0 and max(values) > 10 * min(values)
    ends = (min(values), max(values)) if values else None  # intervals of few seeds can be far wider
    y_axis = ChartAxis(f"{title}, %" if scale == "share" else title, is_log, ends=ends)
    return Chart(f"{title} of every epoch", ChartAxis("epoch"), y_axis, (*seeds, mean))


def _points(record: RunRecord, pick: Pick) -> list[tuple[float, float]]:
    pairs = [(float(epoch.epoch), pick(epoch)) for epoch in record.curve]
    return [(epoch, y) for epoch, y in pairs if y is not None and math.isfinite(y)]


def _mean(epoch: float, values: Sequence[float], unit: float, scale: Scale) -> ChartPoint:
    is_inside = all(value > 0 and (scale != "share" or value < 1) for value in values)  # else the scale has no end
    summary = summarise(values, scale=scale if is_inside else "real")
    ends = None if summary.ends is None else (unit * summary.ends[0], unit * summary.ends[1])
    y = unit * summary.mean
    return ChartPoint(epoch, y, f"epoch {epoch:g}, {value_text(y, ends)}", y_ends=ends)
