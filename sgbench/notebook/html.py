"""Tables as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def html_table(rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """Write a table whose first row is its head, followed by lines of notes.

    >>> html_table([["a"], ["<1>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;1&gt;</td></tr></tbody></table>'
    """
    head, *body = rows
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    inside = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{inside}</tbody></table>{below}"


def data_frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> object:
    """Make a pandas DataFrame.

    Raises:
        InputError: pandas is not installed.
    """
    from sgbench.errors import InputError

    try:
        import pandas as pd  # pyright: ignore[reportMissingImports] - who asks for it has it
    except ImportError as error:
        raise InputError("to_pandas(): pandas is not installed: pip install pandas") from error
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))
