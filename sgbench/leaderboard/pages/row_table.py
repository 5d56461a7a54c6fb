"""Makes the table of a board's rows for pages in HTML."""

from collections.abc import Callable, Iterable, Sequence

from sgbench.leaderboard.pages.columns import ACCURACY, METHOD, BoardCell, BoardColumn, Note, cells_of, columns_in
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE, Notes
from sgbench.tables.table import Cell, Column, Table


def row_table(
    board: Board,
    rows: Sequence[MethodRow],
    *,
    caption: str,
    link_of: Callable[[MethodRow], str | None] = lambda _: None,
) -> Table:
    """Make the table of all columns of a board; `link_of` gives the page that a method's name leads to."""
    columns, notes = columns_in(board, "site"), Notes()
    heads = tuple(_head(column, notes) for column in columns)
    name_column = next(index for index, column in enumerate(columns) if column.titles["site"] == "method")
    lines = []
    for row in rows:
        link = link_of(row)
        cells = enumerate(cells_of(columns, row))
        lines.append(tuple(_cell(cell, notes, link if index == name_column else None) for index, cell in cells))
    return Table(caption, heads, tuple(lines), head=name_column, notes=tuple(notes.texts), is_filtered=len(rows) > 1)


def _head(column: BoardColumn, notes: Notes) -> Column:
    group = "" if column.group in (METHOD, ACCURACY) else column.group
    return Column(column.titles["site"], column.is_number, _numbers(column.notes, notes), group)


def _cell(cell: BoardCell, notes: Notes, link: str | None) -> Cell:
    return Cell(cell.text or NONE, cell.order, link, _numbers(cell.notes, notes), cell.is_code)


def _numbers(texts: Iterable[Note], notes: Notes) -> tuple[int, ...]:
    return notes.numbers(f"{note.text} {note.quoted}".strip() for note in texts)
