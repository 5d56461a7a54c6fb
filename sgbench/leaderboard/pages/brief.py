"""A board with few columns, for a terminal, a README or a notebook, and one page of boards in HTML."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape

from sgbench.leaderboard.pages.columns import ACCURACY, METHOD, BoardColumn, columns_in
from sgbench.leaderboard.pages.empty import too_few, without_rows
from sgbench.leaderboard.pages.terminal import outsider_table
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import NONE
from sgbench.tables.html import as_html
from sgbench.tables.latex import as_latex
from sgbench.tables.markdown import as_markdown
from sgbench.tables.table import Cell, Column, Table, plain_table

PAGE_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Boards</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8885; padding: .2rem .6rem; text-align: left; }
</style>
"""


def brief_markdown(board: Board) -> str:
    """Write the tables of `board show` as Markdown, without the notes of `table.md`."""
    return "\n".join(f"{part if isinstance(part, str) else as_markdown(part)}\n" for part in _parts(board))


def brief_latex(board: Board) -> str:
    """Write the tables of `board show` as LaTeX."""
    return "\n".join(f"% {part}\n" if isinstance(part, str) else as_latex(part) for part in _parts(board))


def html_page(boards: Iterable[Board]) -> str:
    """Write boards as one page of HTML, which needs no other file."""
    return f"{PAGE_HEAD}{''.join(part for board in boards for part in _html_parts(board))}</html>\n"


def _html_parts(board: Board) -> Iterator[str]:
    yield f"<h1>{escape(board.protocol.name)}</h1>\n<p>{escape(board.protocol.about)}</p>\n"
    notes = (too_few(board) or "",) if board.rows else (without_rows(board),)
    table = row_table(board, board.shown, caption=board.protocol.name)
    yield f"{as_html(table, [*filter(None, notes)])}\n"
    if board.outsiders:
        yield f"{as_html(outsider_table(board))}\n"


def _parts(board: Board) -> Iterator[Table | str]:
    if not board.rows:
        yield f"{board.protocol.name}: {without_rows(board)}"
    if board.rows or board.claimed or board.baselines:
        yield brief_table(board)
    if board.outsiders:
        yield outsider_table(board)


def brief_table(board: Board) -> Table:
    """Make the table of rank, name, score and costs of ranked methods, of claimed ones, and of baselines."""
    rows = [brief_head(board), *(brief_cells(row, board) for row in board.shown)]
    return plain_table(board.protocol.name, rows, text_columns=3)


def brief_head(board: Board) -> list[str]:
    return [column.titles["brief"] for column in columns_in(board, "brief")]


def brief_cells(row: MethodRow, board: Board) -> list[str]:
    """Return a row's rank, name, score and costs."""
    return [column.cell(row).text for column in columns_in(board, "brief")]


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
