"""Holds the results of a sweep as a Python object, and draws sweeps and runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgbench.errors import InputError
from sgbench.paths import default_runs_dir, run_dir
from sgbench.records.record import RunRecord
from sgbench.sweeps.results import Results, SettingRow, best_rows
from sgbench.sweeps.text import as_text, show_notes, table_rows
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table


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
class SweepTable(ShownTable):
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
        text = as_text(self.results, "the same call")
        return "\n".join([*self.notes, *([""] if self.notes else []), text.rstrip("\n")])

    __repr__ = __str__

    def table(self) -> Table:
        """Make the table of the combinations with their scores."""
        rows, text_columns = table_rows(self.results)
        return plain_table(self.results.name, rows, text_columns=text_columns)

    def table_notes(self) -> tuple[str, ...]:
        """Return notes on the data and the runs, and on how to read the scores."""
        return (*self.notes, *show_notes(self.results))

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


class PictureFile(type(Path())):
    """Names the file of a picture, which a notebook shows as the result of a cell."""

    def _repr_png_(self) -> bytes | None:
        return self.read_bytes() if self.suffix == ".png" else None

    def _repr_svg_(self) -> str | None:
        return self.read_text(encoding="utf-8") if self.suffix == ".svg" else None


def plot(what: SweepTable | RunRecord | str | Path, path: str | Path, *, samples: int = 1) -> PictureFile:
    """Draw a sweep, or a run: learning curves and rates, spikes and potentials of replayed validation samples.

    The example draws what that of `run` has trained:

    >>> from sgbench import load_records
    >>> plot(load_records()[0], "run.png").stat().st_size > 0  # doctest: +SKIP
    True

    Args:
        what: the table of a sweep of a task with classes, a record, or the folder of a run. For a record, its run
            must lie in the default runs folder.
        path: file of the picture, .png, .svg or .pdf.
        samples: number of samples of a run to replay with the selected weights; 0 needs neither weights nor data.

    Returns:
        The path; a notebook shows the picture.

    Raises:
        InputError: the file is of another kind, the scores of the sweep are losses, or weights or data are missing.
    """
    picture = PictureFile(path)
    if not isinstance(what, SweepTable):
        from sgbench.inspection.run_picture import draw_run

        draw_run(_folder(what), picture, samples=samples)
        return picture
    from sgbench.plots import style
    from sgbench.plots.sweep import sweep_figure
    from sgbench.sweeps.picture import picture_of

    style.check_picture_path(picture)
    if any(row.measure.is_loss for row in what.results.rows):
        raise InputError("plot: pictures are of accuracies; narrow the sweep to tasks with classes")
    style.save(lambda: sweep_figure(picture_of(what.results)), picture)
    return picture


def _folder(run: RunRecord | str | Path) -> Path:
    if isinstance(run, str | Path):
        return Path(run)
    return run_dir(default_runs_dir(), run.protocol, run.method_id, run.seed)
