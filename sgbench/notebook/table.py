"""What came of a sweep, for Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgbench.errors import InputError
from sgbench.notebook.html import data_frame, html_table
from sgbench.sweeps.results import Results, Row, best_rows
from sgbench.sweeps.text import SHOW_NOTES, as_text, cells


@dataclass(frozen=True, repr=False)
class SweepTable:
    """A row for each combination of a sweep, with means over seeds; it prints as `sgbench sweep show` does.

    Args:
        results: by combination.
        notes: lines on how it came to be.
    """

    results: Results
    notes: tuple[str, ...] = field(default=())

    @property
    def best(self) -> tuple[Row, ...]:
        """The rows that validation selects."""
        return tuple(best_rows(self.results))

    def __iter__(self) -> Iterator[Row]:
        return iter(self.results.rows)

    def __len__(self) -> int:
        return len(self.results.rows)

    def __str__(self) -> str:
        text = as_text(self.results, "the same call")
        return "\n".join([*self.notes, *([""] if self.notes else []), text.rstrip("\n")])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows, _ = cells(self.results)
        return html_table(rows, [*self.notes, *SHOW_NOTES])

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each combination; scores are fractions, or losses where there are no classes.

        Raises:
            InputError: pandas is not installed.
        """
        keys = [axis.key for axis in self.results.axes]
        names = [
            "validation",
            "validation_half",
            "test",
            "test_half",
            "seeds",
            "failed",
            "missing",
            "method_id",
        ]
        rows = []
        for row in self.results.rows:
            scores = [
                number
                for found in (row.validation, row.test)
                for number in ((None, None) if found is None else (found.mean, found.half_width))
            ]
            counts = [len(row.done), len(row.failed), len(row.missing)]
            rows.append([*(row.settings[key] for key in keys), *scores, *counts, row.method_id])
        return data_frame([*keys, *names], rows)


def plot(table: SweepTable, path: str | Path) -> Path:
    """Draw the picture of a sweep: heat maps, curves or dots, whichever its axes ask for.

    Args:
        table: of a task with classes.
        path: of the picture, .png, .svg or .pdf.

    Returns:
        The path.

    Raises:
        InputError: another kind of file, or the scores are losses.
    """
    from sgbench.plots import style
    from sgbench.plots.sweep import sweep_figure
    from sgbench.sweeps.picture import picture_of

    picture = Path(path)
    style.check_picture_path(picture)
    if any(row.measure.is_loss for row in table.results.rows):
        raise InputError("plot: pictures are of accuracies; narrow the sweep to tasks with classes")
    style.save(lambda: sweep_figure(picture_of(table.results)), picture)
    return picture
