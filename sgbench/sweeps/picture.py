"""The results of a sweep as the numbers of its picture."""

from __future__ import annotations

from sgbench.plots.estimate import Estimate
from sgbench.plots.sweep_numbers import SweepPicture, SweepRow, SweptAxis
from sgbench.statistics.intervals import Summary
from sgbench.sweeps.points import LEARNING_RATE, SLOPES, WIDTHS, Axis
from sgbench.sweeps.results import Results, Row

LABELS = {
    **dict.fromkeys(WIDTHS, "full width at half maximum, threshold units"),
    **{key: f"{key.partition('.')[2]} of the surrogate, 1 / threshold unit" for key in SLOPES},
    LEARNING_RATE: "learning rate",
}


def axis_label(key: str) -> str:
    """Return what an axis shows and its unit.

    >>> axis_label("surrogate.slope")
    'slope of the surrogate, 1 / threshold unit'
    """
    return LABELS.get(key, key)


def picture_of(results: Results) -> SweepPicture:
    """Return what the picture of a sweep shows.

    Args:
        results: of tasks with classes, so that scores are accuracies.
    """
    axes = tuple(_axis(axis) for axis in results.axes)
    return SweepPicture(
        title=f"{results.name} on {results.protocol}",
        axes=axes,
        width=_numeric(axes, WIDTHS) or _numeric(axes, SLOPES),
        rate=_numeric(axes, (LEARNING_RATE,)),
        rows=tuple(_row(row) for row in results.rows),
        seeds=len(results.seeds),
    )


def _axis(axis: Axis) -> SweptAxis:
    return SweptAxis(axis.key, axis_label(axis.key), axis.values, axis.numbers or ())


def _numeric(axes: tuple[SweptAxis, ...], keys: tuple[str, ...]) -> SweptAxis | None:
    """Return the first axis of numbers that has one of these keys."""
    return next((axis for axis in axes if axis.key in keys and axis.numbers), None)


def _row(row: Row) -> SweepRow:
    return SweepRow(
        settings=row.settings,
        surrogate=row.surrogate,
        mean=None if row.validation is None else _percent(row.validation),
        seeds=tuple(100 * row.by_seed[seed] for seed in row.done),
        failed=tuple(100 * row.by_seed[seed] for seed in row.failed),
        is_short=bool(row.missing and row.by_seed),
        chance=100 * row.chance,
    )


def _percent(summary: Summary) -> Estimate:
    half = summary.half_width or 0.0
    return Estimate(100 * summary.mean, 100 * (summary.mean - half), 100 * (summary.mean + half))
