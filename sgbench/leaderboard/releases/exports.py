"""Export rows of boards for other tools: flat tables, LaTeX, BibTeX, and NeuroBench's metrics."""

import json
from collections.abc import Callable, Mapping, Sequence

from sgbench.composition.citations import bibliography, cite_entries, entries_of_method
from sgbench.energy.neurobench import VERSION, neurobench_metrics
from sgbench.leaderboard.pages.brief import brief_latex
from sgbench.leaderboard.pages.export import NUMBER, TEXT, encode
from sgbench.leaderboard.releases.all_rows import DESCRIBED, table_of_rows
from sgbench.leaderboard.rows import Board, Measured, MethodRow
from sgbench.tables.values import as_csv, as_json, value

Methods = Mapping[str, Sequence[Measured]]
Export = Callable[[Sequence[Board], Methods], bytes]


def _latex(boards: Sequence[Board], _: Methods) -> bytes:
    return "\n".join(f"% {board.protocol.name}\n{brief_latex(board)}" for board in boards).encode()


def _parquet(boards: Sequence[Board], _: Methods) -> bytes:
    table = table_of_rows(boards)
    titles = [column.title for column in table.columns]
    cells = {title: [value(row[index]) for row in table.rows] for index, title in enumerate(titles)}
    return encode(cells, "parquet", {title: TEXT if title in DESCRIBED else NUMBER for title in titles})


def _bibtex(boards: Sequence[Board], methods: Methods) -> bytes:
    """Collect the sources of all entries in the rows of boards, each once, as BibTeX."""
    found = {
        (entry.group, entry.name): entry
        for board in boards
        for method in methods[board.protocol.name]
        for entry in entries_of_method(method.method.choices)
    }
    return bibliography(cite_entries(found[key] for key in sorted(found))).encode()


def _neurobench(boards: Sequence[Board], _: Methods) -> bytes:
    tree = {board.protocol.name: {row.method_id: _metrics(row, board) for _, row in board.parts()} for board in boards}
    return (json.dumps({"neurobench": VERSION, "boards": tree}, indent=1, sort_keys=True) + "\n").encode()


def _metrics(row: MethodRow, board: Board) -> dict[str, object]:
    counts = row.costs.counts
    name = "loss" if board.measure.is_loss else "ClassificationAccuracy"
    costs = {} if counts is None else neurobench_metrics(counts, parameters=row.costs.parameters)
    return {name: row.score.mean, **costs}


EXPORTS: dict[str, Export] = {
    "csv": lambda boards, _: as_csv(table_of_rows(boards)),
    "json": lambda boards, _: as_json(table_of_rows(boards)),
    "parquet": _parquet,
    "latex": _latex,
    "bibtex": _bibtex,
    "neurobench": _neurobench,
}
"""Maps each format to the function that writes the rows of boards in it."""
