"""The front page: which surrogate to use, and whether to believe it."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.leaderboard.families import AcrossTasks
from sgbench.leaderboard.site.across import picture, standings_table
from sgbench.leaderboard.site.answer import answer_of, duels_columns, duels_table
from sgbench.leaderboard.site.files import Page, SiteFile
from sgbench.leaderboard.site.protocols import first_cell
from sgbench.leaderboard.site.sources import Sources, protocol_path
from sgbench.leaderboard.site.study_charts import study_charts
from sgbench.plots.duels import duels_charts
from sgbench.plots.layout import laid_out
from sgbench.tables import counted
from sgbench.tables.table import Cell, Table, number, numbers, texts

MAP = "regime map"
"""Name of the chart of the study that the front page shows."""
FOREST_CAPTION = (
    "Points with 95 % intervals. Orange: told apart after correction for all pairs of the board. Blue: not told "
    "apart, which is no proof that they are equal."
)


def front_files(sources: Sources, comparison: AcrossTasks | str) -> Iterator[Page | SiteFile]:
    """Yield the front page, with the study's regime map where a checkout has it.

    Args:
        sources: boards and catalogue.
        comparison: surrogates over all tasks, or why they cannot be compared.
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
    answer = answer_of(sources, comparison)
    panels = duels_columns(answer)
    charts = study_charts(sources) if sources.beside.advice else {}
    tables = {
        "advice": answer.advice,
        "over tasks": standings_table(comparison, sources) if isinstance(comparison, AcrossTasks) else None,
        "differences": duels_table(answer),
        "seeds": answer.powers,
        "boards": Table("Every board", columns, lines),
    }
    yield Page(
        "index.html",
        "Which surrogate gradient should I use?",
        "Which surrogate gradient for which task, with the evidence and its doubts, from committed records.",
        "front.html",
        {
            "answer": answer,
            "map": laid_out(charts[MAP]) if MAP in charts else None,
            "study": "docs/study/README.html" if sources.beside.has_docs else None,
            "size": ", ".join(counted(*size) for size in sizes),
            "picture": picture(comparison) if isinstance(comparison, AcrossTasks) else None,
            "table": tables["over tasks"],
            "duels": tables["differences"],
            "forest": laid_out(duels_charts(panels, FOREST_CAPTION)) if panels else None,
            "boards": tables["boards"],
        },
        "index.html",
        tables={name: table for name, table in tables.items() if table is not None},
    )
