"""Makes and prints the table of results of code outside the catalogue, which have no rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sgbench.tables.table import Cell, Table, numbers, texts

if TYPE_CHECKING:
    from rich.console import Console

    from sgbench.leaderboard.rows import Board


def outsider_cells(board: Board) -> Iterator[list[str]]:
    """Yield the titles, then the cells of each result of outside code, in the order of the board."""
    from sgbench.leaderboard.pages.sections import checked_text
    from sgbench.leaderboard.pages.seeds import seeds_outside

    yield ["from outside", board.measure.title, "seeds", "checked"]
    for outsider in board.outsiders:
        submission = outsider.provenance.submission
        yield [
            outsider.method_id if submission is None else submission.name,
            board.measure.summary(outsider.score),
            seeds_outside(outsider),
            checked_text(outsider.provenance, outside=True)
            if outsider.provenance.notice is None
            else outsider.provenance.notice.kind,
        ]


def outsider_table(board: Board) -> Table:
    """Make the table of results of code outside the catalogue."""
    columns, *rows = outsider_cells(board)
    name, score, seeds, checked = columns
    heads = (*texts(name), *numbers(score, seeds), *texts(checked))
    return Table(f"From outside of {board.protocol.name}", heads, tuple(tuple(map(Cell, row)) for row in rows))


def add_outsiders(console: Console, board: Board, *, spacious: bool) -> None:
    """Print the table of results of outside code, if any; `spacious` adds space between columns."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    if not board.outsiders:
        return
    (name, score, seeds, checked), *lines = outsider_cells(board)
    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0) if spacious else 0)
    table.add_column(name, overflow="fold")
    table.add_column(score.removeprefix("test "), justify="right", no_wrap=True)
    table.add_column(seeds, justify="right", no_wrap=True)
    table.add_column(checked, no_wrap=True)
    for line in lines:
        table.add_row(*map(Text, line))
    console.print()
    console.print(table)
    note = (
        f"from outside: {board.measure.kind} of code outside the catalogue as its predictions say, mean over seeds "
        "with its 95 % interval; not ranked, since neither its operations nor its training were seen"
    )
    console.print(note, markup=False, style="dim", soft_wrap=not console.is_terminal)
