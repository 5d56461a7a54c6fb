"""A table as files for computing: comma-separated values, and JSON."""

import csv
import io
import json

from sgbench.tables.table import Cell, Table
from sgbench.tables.text import NONE, inert

DIGITS = 9
"""Significant digits of a number in a file: as many as agree between versions of the libraries."""
RUN = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that begin a formula in a spreadsheet, also of full width; texts that begin with one are quoted."""


def as_csv(table: Table) -> bytes:
    r"""Return a table as comma-separated values, numbers with nine significant digits.

    >>> from sgbench.tables.table import numbers, texts
    >>> rows = ((Cell("a, b"), Cell("1.5", 1.4996)), (Cell("b"), Cell("-")))
    >>> as_csv(Table("t", (*texts("name"), *numbers("size")), rows))
    b'name,size\n"a, b",1.4996\nb,\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    for row in table.rows:
        # A text that a spreadsheet would run as a formula gets quotes.
        values = ((raw, isinstance(raw, str) and raw.startswith(RUN)) for raw in map(value, row))
        writer.writerow([inert(json.dumps(raw)) if runs else raw for raw, runs in values])
    return out.getvalue().encode()


def as_json(table: Table) -> bytes:
    r"""Return a table as a list of objects, one for each row; a missing value is null.

    >>> from sgbench.tables.table import texts
    >>> as_json(Table("t", texts("name"), ((Cell("-"),),)))
    b'[\n {\n  "name": null\n }\n]\n'
    """
    titles = [column.title for column in table.columns]
    rows = [dict(zip(titles, map(value, row), strict=True)) for row in table.rows]
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def value(cell: Cell) -> str | float | None:
    """Return the value of a cell: the unrounded number if its text is a number, None for a dash, else the text.

    >>> value(Cell("2,454", 2454.2)), value(Cell("1 to 7", 1.0)), value(Cell("-"))
    (2454.2, '1 to 7', None)
    """
    if cell.text == NONE:
        return None
    if cell.order is not None and _is_number(cell.text):
        rounded = float(f"{cell.order:.{DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    return cell.text


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
