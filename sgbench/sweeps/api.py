"""Runs a sweep in Python: checks every point, runs them side by side, and returns its table as an object."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.composition import catalogue
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.plots.style import Drawn
from sgbench.plots.sweep_numbers import ACCURACY, FAILED, LOSS, SweepPicture, SweepRow, SweptAxis
from sgbench.replicas.sweep import run_sweep
from sgbench.sweeps.names import name_methods
from sgbench.sweeps.notes import notes_on_rank
from sgbench.sweeps.outcome import headline
from sgbench.sweeps.points import LEARNING_RATE, SLOPES, WIDTHS, grid_of
from sgbench.sweeps.results import Results, SettingRow, best_rows, read_results
from sgbench.sweeps.saved import build_and_check
from sgbench.sweeps.text import as_text, show_notes, table_rows
from sgbench.tables.shown import ShownTable, data_frame
from sgbench.tables.table import Table, plain_table
from sgbench.training.calibration import calibrate_plan
from sgbench.training.memory import uncollected

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class SweepTable(Drawn, ShownTable):
    """Holds the means over seeds of each combination of a sweep; prints as `sgbench sweep show` does."""

    results: Results  # one row for each combination
    notes: tuple[str, ...] = field(default=())  # lines on the data and the runs, printed first

    @property
    def best(self) -> tuple[SettingRow, ...]:
        """Return the combinations that validation selects, see `best_rows`."""
        return tuple(best_rows(self.results))

    def __iter__(self) -> Iterator[SettingRow]:
        return iter(self.results.rows)

    def __len__(self) -> int:
        return len(self.results.rows)

    def __str__(self) -> str:
        return "\n".join([*self.notes, *([""] if self.notes else []), as_text(self.results, "the same call")])

    def table(self) -> Table:
        """Make the table of the combinations with their scores."""
        rows, text_columns = table_rows(self.results)
        return plain_table(self.results.name, rows, text_columns=text_columns)

    def table_notes(self) -> tuple[str, ...]:
        """Return notes on the data and the runs, and on how to read the scores."""
        return (*self.notes, *show_notes(self.results))

    def figure(self) -> Figure:
        from sgbench.plots.sweep import sweep_figure

        if any(row.measure.is_loss for row in self.results.rows):
            raise InputError("plot: pictures are of accuracies; narrow the sweep to tasks with classes")
        return sweep_figure(picture_of(self.results))

    def to_pandas(self) -> Any:
        """Build a DataFrame with a row for each combination; scores are from 0 to 1, or losses without classes.

        Raises:
            InputError: pandas is not installed.
        """
        keys = [axis.key for axis in self.results.axes]
        names = [
            *(f"{split}{end}" for split in ("validation", "test") for end in ("", "_half", "_low", "_high")),
            *("seeds", "failed", "at_chance", "missing", "method_id"),
        ]
        rows = []
        for row in self.results.rows:
            scores = [
                None if summary is None else getattr(summary, part)
                for summary in (row.validation, row.test)
                for part in ("mean", "half_width", "low", "high")
            ]
            counts = [len(row.done), len(row.failed), len(row.at_chance), len(row.missing)]
            rows.append([*(row.settings[key] for key in keys), *scores, *counts, row.method_id])
        return data_frame([*keys, *names], rows)


def sweep(
    *overrides: str,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    workers: int | None = None,
    title: str | None = None,
) -> SweepTable:
    """Run every combination of overrides side by side, and return the table of results.

    A finished run is read, not repeated, and an interrupted one continues.

    The example trains two networks:

    >>> words = ["experiment=digits", "surrogate=atan,zero", "protocol.epochs=1", "trainer.progress=false"]
    >>> table = sweep(*words)  # doctest: +SKIP
    >>> [row.settings["surrogate"] for row in table.results.rows]  # doctest: +SKIP
    ['atan', 'zero']

    Args:
        overrides: Hydra overrides, e.g. "surrogate=atan,triangle", "seed=0,1,2"; the first may be the name of a
            shipped sweep, e.g. "quickstart".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        workers: parallel processes; None takes one for each core.
        title: title of the table; None takes the name of the shipped sweep, or "sweep".

    Returns:
        The table of means over seeds, which prints itself; `best` is what validation selects, and `plot` draws it.

    Raises:
        InputError: an override is not usable; it is raised before anything runs.
    """
    arguments = list(overrides)
    if arguments and "=" not in arguments[0]:
        catalogue.entry("sweep", arguments[0], config_dirs)
        arguments[0] = f"sweep={arguments[0]}"
    if not arguments:
        raise InputError("sweep(): overrides are needed, e.g. sweep('surrogate=atan,triangle', 'seed=0,1,2')")
    folders = [Path(folder) for folder in config_dirs]
    with uncollected():
        planned = plan(arguments, multirun=True, config_dirs=folders, allow_targets=allow_targets)
        planned = calibrate_plan(planned)
        if planned.is_open:
            raise InputError("sweep(): runs points that are known beforehand; use sgbench run -m with this sweeper")
        build_and_check(planned)
    for line in notes_on_rank(planned):
        sys.stdout.write(f"{line}\n")
    run_sweep(
        planned.specs,
        range(len(planned.specs)),
        workers=workers,
        largest=None,
        headline=partial(headline, names=name_methods(planned)),
    )
    shipped_names = [text.removeprefix("sweep=") for text in arguments if text.startswith("sweep=")]
    title = title or next(iter(shipped_names), "sweep")
    grid = grid_of(title, arguments, config_dirs=folders, allow_targets=allow_targets)
    return SweepTable(read_results(grid, config_dirs=folders))


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
        estimate = Estimate(share, share, share) if ended else None  # a share without an interval
        rows.append(replace(_row(row), mean=estimate))
    return replace(picture_of(results), rows=tuple(rows), what=FAILED)


def _numeric_axis(axes: tuple[SweptAxis, ...], keys: tuple[str, ...]) -> SweptAxis | None:
    """Return the first axis of numbers whose key is among `keys`; None if no such key is swept."""
    return next((axis for axis in axes if axis.key in keys and axis.numbers), None)


def _row(row: SettingRow) -> SweepRow:
    """Convert a row of results to one of the picture, accuracies in percent."""
    unit = 1.0 if row.measure.is_loss else 100.0  # factor from a stored score to a drawn one
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
