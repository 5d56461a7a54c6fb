"""Holds the results of a sweep as a Python object, and draws sweeps and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError
from sgbench.paths import default_runs_dir, run_dir
from sgbench.plots.style import Drawn, drawn
from sgbench.records.record import RunRecord
from sgbench.sweeps.results import Results, SettingRow, best_rows
from sgbench.sweeps.text import as_text, show_notes, table_rows
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data_frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> object:
    """Make a pandas DataFrame from names of columns and rows of values.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        import pandas as pd  # pyright: ignore[reportMissingImports] - who asks for it has it
    except ImportError as error:
        raise InputError("to_pandas(): pandas is not installed: pip install pandas") from error
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))


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
        from sgbench.sweeps.picture import picture_of

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
                number
                for scores in (row.validation, row.test)
                for number in (
                    (None,) * 4 if scores is None else (scores.mean, scores.half_width, scores.low, scores.high)
                )
            ]
            counts = [len(row.done), len(row.failed), len(row.at_chance), len(row.missing)]
            rows.append([*(row.settings[key] for key in keys), *scores, *counts, row.method_id])
        return data_frame([*keys, *names], rows)


def plot(what: Drawn | RunRecord | str | Path, path: str | Path | None = None, *, samples: int = 1) -> Any:
    """Draw a result, or a run: learning curves and rates, spikes and potentials of replayed validation samples.

    Results that have a picture (sweeps, boards, diagnoses, energies, advice under a budget, verdicts) also draw
    themselves: `table.plot()`.

    The example draws what that of `run` has trained:

    >>> from sgbench import load_records
    >>> plot(load_records()[0], "run.png").stat().st_size > 0  # doctest: +SKIP
    True

    Args:
        what: a result, a record, or the folder of a run. For a record, its run must lie in the default runs folder.
        path: file of the picture, .png, .svg or .pdf; None returns a matplotlib figure.
        samples: number of samples of a run to replay with the selected weights; 0 needs neither weights nor data.

    Returns:
        The figure, or the path of the file; a notebook shows either.

    Raises:
        InputError: the file is of another kind, there is nothing to draw, or weights or data are missing.
    """
    if isinstance(what, Drawn):
        return what.plot(path)
    if not isinstance(what, RunRecord | str | Path):
        raise InputError(f"plot: {type(what).__name__} has no picture; give a result with plot(), or a run")
    from sgbench.inspection.run_picture import figure_of_run

    is_record = isinstance(what, RunRecord)
    folder = run_dir(default_runs_dir(), what.protocol, what.method_id, what.seed) if is_record else Path(what)
    return drawn(partial(figure_of_run, folder, samples=samples), path)
