"""The front page: which surrogate to use, and whether to believe it."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.leaderboard.families import AcrossTasks
from sgbench.leaderboard.site.across import picture, standings_table
from sgbench.leaderboard.site.answer import answer_of, duels_columns, duels_table
from sgbench.leaderboard.site.files import Page, Picture, SiteFile
from sgbench.leaderboard.site.pictures import drawn, on_page, size_in
from sgbench.leaderboard.site.protocols import first_cell
from sgbench.leaderboard.site.sources import Sources, protocol_path
from sgbench.plots.duels import duels_figure, duels_size
from sgbench.tables import counted
from sgbench.tables.table import Cell, Table, number, numbers, texts

MAP_ALT = "The regime map of the study: accuracy against width for each task and shape."
REGIME_MAP = "regime_map.png"
MAP_CAPTION = (
    "Test accuracy against the width of the surrogate, a panel a task and a line a shape; the darker, the more "
    "compact. Where lines lie apart, or bend, the choice matters. A cross marks a cell with failed runs."
)

FOREST = "differences.svg"
FOREST_ALT = (
    "Differences of the first method of each board to the second and to the best control, with intervals."
)
FOREST_CAPTION = (
    "Points with 95 % intervals. Orange: told apart after correction for all pairs of the board. Blue: not told "
    "apart, which is no proof that they are equal."
)


def front_files(sources: Sources, comparison: AcrossTasks | str) -> Iterator[Page | SiteFile]:
    """Yield the front page, and the study's regime map where a checkout has it.

    Args:
        sources: boards and catalogue.
        comparison: surrogates over all tasks, or why they cannot be compared.
    """
    map_file = None if sources.docs is None else sources.docs / "study" / REGIME_MAP
    has_map = map_file is not None and map_file.is_file() and bool(sources.beside.advice)
    regime_map = None
    if map_file is not None and has_map:
        yield SiteFile(REGIME_MAP, map_file.read_bytes)
        regime_map = Picture(REGIME_MAP, MAP_ALT, MAP_CAPTION, size_in(map_file.read_bytes()))
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
    if panels:
        yield drawn(FOREST, panels, lambda: duels_figure(panels))
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
            "map": regime_map,
            "study": "docs/study/README.html" if sources.beside.has_docs else None,
            "size": ", ".join(counted(*size) for size in sizes),
            "picture": picture(comparison) if isinstance(comparison, AcrossTasks) else None,
            "table": tables["over tasks"],
            "duels": tables["differences"],
            "forest": Picture(FOREST, FOREST_ALT, FOREST_CAPTION, on_page(duels_size(panels)))
            if panels
            else None,
            "boards": tables["boards"],
        },
        "index.html",
        tables={name: table for name, table in tables.items() if table is not None},
    )
