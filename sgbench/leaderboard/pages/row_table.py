"""Makes the table of a board's rows for its page and for the site."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sgbench.leaderboard.pages.columns import ACCURACY, METHOD, BoardColumn, columns_in
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Column, Table


def page_table(board: Board, rows: Sequence[MethodRow], link_of: Callable[[MethodRow], str]) -> Table:
    """Make the table of a board's page; `link_of` gives where a row's records are, to which its last cell leads."""
    columns = columns_in(board, "page")
    heads = tuple(Column(each.titles["page"], each.group != METHOD, each.notes) for each in columns)
    cells = ((row, [column.cell(row) for column in columns]) for row in rows)
    lines = tuple((*line[:-1], replace(line[-1], link=link_of(row))) for row, line in cells)
    return Table(board.protocol.name, heads, lines)


def row_table(
    board: Board,
    rows: Sequence[MethodRow],
    *,
    caption: str,
    link_of: Callable[[MethodRow], str | None] = lambda _: None,
) -> Table:
    """Make the table of all columns of a board; `link_of` gives the page that a method's name leads to."""
    columns = columns_in(board, "site")
    heads = tuple(_head(column) for column in columns)
    names = [column.titles["site"] for column in columns].index("method")

    def cell(row: MethodRow, column: BoardColumn) -> Cell:
        made = column.cell(row)
        return replace(made, text=made.text or NONE, link=link_of(row) if column is columns[names] else None)

    lines = tuple(tuple(cell(row, column) for column in columns) for row in rows)
    return Table(caption, heads, lines, head=names, is_filtered=len(rows) > 1)


def _head(column: BoardColumn) -> Column:
    group = "" if column.group in (METHOD, ACCURACY) else column.group
    return Column(column.titles["site"], column.is_number, column.notes, group)
