"""A board with few columns, for a terminal, a README or a notebook."""

from collections.abc import Iterator

from sgbench.leaderboard.pages.columns import cells_of, columns_in
from sgbench.leaderboard.pages.empty import without_rows
from sgbench.leaderboard.pages.terminal_outside import outsider_table
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables.latex import as_latex
from sgbench.tables.markdown import as_markdown
from sgbench.tables.table import Table, plain_table


def brief_markdown(board: Board) -> str:
    """Write the tables of `board show` as Markdown, without the notes of `table.md`."""
    return "\n".join(f"{part if isinstance(part, str) else as_markdown(part)}\n" for part in _parts(board))


def brief_latex(board: Board) -> str:
    """Write the tables of `board show` as LaTeX."""
    return "\n".join(f"% {part}\n" if isinstance(part, str) else as_latex(part) for part in _parts(board))


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
    return [cell.text for cell in cells_of(columns_in(board, "brief"), row)]
