"""Converts the results of a sweep to the numbers that its picture shows."""

from dataclasses import replace

from sgbench.errors import InputError
from sgbench.plots.estimate import Estimate
from sgbench.plots.sweep_numbers import ACCURACY, FAILED, LOSS, SweepPicture, SweepRow, SweptAxis
from sgbench.sweeps.points import LEARNING_RATE, SLOPES, WIDTHS
from sgbench.sweeps.results import Results, SettingRow

LABELS = {
    **dict.fromkeys(WIDTHS, "full width at half maximum, threshold units"),
    **{key: f"{key.partition('.')[2]} of the surrogate, 1 / threshold unit" for key in SLOPES},
    LEARNING_RATE: "learning rate",
}


def axis_label(key: str) -> str:
    """Return the label, with its unit, of the axis of a swept key; the key itself if it has no label.

    >>> axis_label("surrogate.slope")
    'slope of the surrogate, 1 / threshold unit'
    """
    return LABELS.get(key, key)


def picture_of(results: Results) -> SweepPicture:
    """Convert results to the numbers that the picture of a sweep shows: axes, rows and their scores."""
    kinds = {row.measure.kind for row in results.rows}
    if len(kinds) > 1:
        raise InputError("--plot: accuracies and losses have no common axis; narrow the sweep to tasks of one kind")
    axes = tuple(SweptAxis(axis.key, axis_label(axis.key), axis.values, axis.numbers or ()) for axis in results.axes)
    return SweepPicture(
        title=f"{results.name} on {results.protocol}",
        axes=axes,
        width=_numeric_axis(axes, WIDTHS) or _numeric_axis(axes, SLOPES),
        rate=_numeric_axis(axes, (LEARNING_RATE,)),
        rows=tuple(_row(row) for row in results.rows),
        seeds=len(results.seeds),
        what=LOSS if kinds == {"loss"} else ACCURACY,
    )


def failed_map(results: Results) -> SweepPicture:
    """Convert results to the numbers of a picture that shows the share of failed runs [%] in place of scores."""
    rows = []
    for row in results.rows:
        ended = len(row.done) + len(row.failed)
        share = 100 * len(row.failed) / ended if ended else 0.0
        shown = Estimate(share, share, share) if ended else None
        rows.append(replace(_row(row), mean=shown))
    return replace(picture_of(results), rows=tuple(rows), what=FAILED)


def _numeric_axis(axes: tuple[SweptAxis, ...], keys: tuple[str, ...]) -> SweptAxis | None:
    return next((axis for axis in axes if axis.key in keys and axis.numbers), None)


def _row(row: SettingRow) -> SweepRow:
    """Convert a row of results to one of the picture, accuracies in percent."""
    unit = 1.0 if row.measure.is_loss else 100.0
    return SweepRow(
        settings=row.settings,
        surrogate=row.surrogate,
        mean=None if row.validation is None else row.measure.estimate(row.validation),
        seeds=tuple(unit * row.by_seed[seed] for seed in row.done),
        failed=tuple(unit * row.by_seed[seed] for seed in row.failed),
        is_short=bool(row.missing and row.by_seed),
        chance=unit * row.chance,
        spikes=row.spikes,
    )
