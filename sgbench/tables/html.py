"""A table as HTML, as a notebook shows it."""

from collections.abc import Sequence
from html import escape

from sgbench.tables.table import Cell, Column, Table
from sgbench.tables.text import NONE


def as_html(table: Table, notes: Sequence[str] = ()) -> str:
    """Write a table without its caption, followed by its own notes and then `notes`, a paragraph each.

    >>> from sgbench.tables.table import texts
    >>> as_html(Table("t", texts("a"), ((Cell("<1>"),),)), ["n"])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;1&gt;</td></tr></tbody></table><p>n</p>'
    """
    head = "".join(  # screen readers announce an empty th
        f"<th>{text}</th>" if text else "<td></td>"
        for text in (escape(column.title) + _marks(table, column) for column in table.columns)
    )
    lines = ("".join(f"<td>{_cell(table, cell)}</td>" for cell in row) for row in table.rows)
    inside = "".join(f"<tr>{line}</tr>" for line in lines)
    numbered = (f"{number}. {note}" for number, note in enumerate(table.all_notes, start=1))
    below = "".join(f"<p>{escape(note)}</p>" for note in (*numbered, *notes))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{inside}</tbody></table>{below}"


def _cell(table: Table, cell: Cell) -> str:
    text = escape(cell.text)
    return f"{f'<code>{text}</code>' if cell.is_code and cell.text != NONE else text}{_marks(table, cell)}"


def _marks(table: Table, noted: Cell | Column) -> str:
    """Write the numbers of notes as a superscript; empty without notes."""
    return f"<sup>{', '.join(map(str, table.numbers(noted.notes)))}</sup>" if noted.notes else ""
