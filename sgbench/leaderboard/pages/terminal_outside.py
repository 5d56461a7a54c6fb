"""Makes the table of results of code outside the catalogue, which have no rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sgbench.tables.table import Cell, Table, numbers, texts

if TYPE_CHECKING:
    from sgbench.leaderboard.rows import Board


def outsider_cells(board: Board) -> Iterator[list[str]]:
    """Yield the titles, then the cells of each result of outside code, in the order of the board."""
    from sgbench.leaderboard.pages.checked import checked_text
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


def outsider_lines(board: Board, width: int | None) -> list[str]:
    """Write the table of results of outside code in lines of at most `width` characters; empty for none."""
    from sgbench.tables import aligned

    if not board.outsiders:
        return []
    return [
        "",
        *aligned([*outsider_cells(board)], text_columns=1, width=width, least=4),
        "",
        f"from outside: {board.measure.kind} of code outside the catalogue as its predictions say, mean over seeds "
        "with its 95 % interval; not ranked, since neither its operations nor its training were seen",
    ]
