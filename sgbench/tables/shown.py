"""Values that Python, a notebook and a paper show as a table, and text that prints as it reads."""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

from sgbench.errors import InputError, printable
from sgbench.tables.markup import as_html, as_latex
from sgbench.tables.table import Table
from sgbench.tables.text import aligned, few

COLUMNS, LINES, NOTE_LINES = 80, 23, 10  # of a screen, the prompt below it left out
NOTEBOOK_ROWS = 200
PRINT = "print() shows all"


class ShownTable:
    """Shows the table of a subclass: a screen of it in Python, all by print(), as HTML, and as LaTeX in a paper."""

    def table(self) -> Table:
        raise NotImplementedError

    def table_notes(self) -> Sequence[str]:
        return ()

    def to_latex(self) -> str:
        """Write the table as LaTeX with the rules of the package booktabs; all text is escaped."""
        return as_latex(self.table(), self.table_notes())

    def __repr__(self) -> str:
        """Write what fits on a screen."""
        notes = screen_lines(self.table_notes(), NOTE_LINES)
        rows = screen_lines(table_lines(self.table(), COLUMNS), LINES - len(notes))
        return "\n".join(map(printable, [*rows, *notes]))

    def __str__(self) -> str:
        return "\n".join(map(printable, [*table_lines(self.table()), *screen_lines(self.table_notes(), sys.maxsize)]))

    def _repr_html_(self) -> str:
        table, notes = self.table(), self.table_notes()
        more = len(table.rows) - NOTEBOOK_ROWS
        if more > 0:
            table, notes = replace(table, rows=table.rows[:NOTEBOOK_ROWS]), (*notes, f"{more} more rows; {PRINT}")
        return as_html(table, notes)


class ShownText(str):
    r"""Is a text of lines that Python and a notebook show as it reads, without quotes.

    >>> ShownText("a\nb")
    a
    b
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self)}</pre>"


def table_lines(table: Table, width: int | None = None, rest: str = PRINT) -> list[str]:
    """Align a table's cells; columns of numbers beyond `width` are left out, and `rest` says how to see them."""
    are_numbers = [column.is_number for column in table.columns]
    text_columns = are_numbers.index(True) if True in are_numbers else len(are_numbers)
    rows = [[column.title for column in table.columns], *([cell.text for cell in row] for row in table.rows)]
    return aligned(rows, text_columns=text_columns, width=width, rest=rest)


def screen_lines(lines: Iterable[str], most: int = LINES) -> list[str]:
    """Break lines that are wider than a screen between words, and shorten the list to `most` lines as `few` does."""
    wrapped = []
    for line in lines:
        indent = "  " if line.startswith("- ") else ""  # of an item of a list
        # A line that fits keeps its spaces, which `wrap` would drop.
        wrapped += [line] if len(line) <= COLUMNS else textwrap.wrap(line, COLUMNS, subsequent_indent=indent)
    return few(wrapped, PRINT, most=most)


def data_frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> object:
    """Make a pandas DataFrame from names of columns and rows of values; an `InputError` if pandas is not installed."""
    try:
        import pandas as pd  # pyright: ignore[reportMissingImports] - who asks for it has it
    except ImportError as error:
        raise InputError("to_pandas(): pandas is not installed: pip install pandas") from error
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))
