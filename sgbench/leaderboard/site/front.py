"""The front page: which surrogate to use, and whether to believe it."""

from __future__ import annotations

from sgbench.leaderboard.families import AcrossTasks
from sgbench.leaderboard.labels import counted
from sgbench.leaderboard.site.across import picture, standings_table
from sgbench.leaderboard.site.answer import answer_of
from sgbench.leaderboard.site.files import Page
from sgbench.leaderboard.site.protocols import first_cell
from sgbench.leaderboard.site.sources import Sources, protocol_path
from sgbench.leaderboard.site.table import Cell, Table, number, numbers, texts


def front_page(sources: Sources, found: AcrossTasks | str) -> Page:
    """Return the front page.

    Args:
        sources: boards and catalogue.
        found: surrogates over all tasks, or why they cannot be compared.
    """
    boards = sources.boards
    records = sum(len(place.row.scores) for place in sources.places.values())
    sizes = (len(boards), "board"), (len(sources.places), "method"), (records, "record")
    lines = tuple(
        (
            Cell(board.protocol.name, link=protocol_path(board.protocol.name), is_code=True),
            number(len(board.rows), f"{len(board.rows):,}"),
            first_cell(board),
        )
        for board in boards
    )
    columns = (*texts("protocol"), *numbers("methods"), *texts("first of them"))
    return Page(
        "index.html",
        "Which surrogate gradient should I use?",
        "Which surrogate gradient for which task, with the evidence and its doubts, from committed records.",
        "front.html",
        {
            "answer": answer_of(sources, found),
            "size": ", ".join(counted(*size) for size in sizes),
            "picture": picture() if isinstance(found, AcrossTasks) else None,
            "table": standings_table(found, sources) if isinstance(found, AcrossTasks) else None,
            "boards": Table("Every board", columns, lines),
        },
        "index.html",
    )
