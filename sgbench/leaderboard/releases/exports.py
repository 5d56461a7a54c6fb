"""Export rows of boards for other tools: flat tables, LaTeX, BibTeX, and NeuroBench's metrics."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from sgbench.composition.citations import bibliography, cite_entries, entries_of_method
from sgbench.energy.neurobench import VERSION, neurobench_metrics
from sgbench.leaderboard.pages.brief import brief_latex
from sgbench.leaderboard.pages.checked import checked_text
from sgbench.leaderboard.pages.export import NUMBER, TEXT, encode
from sgbench.leaderboard.rows import Board, Measured, MethodRow
from sgbench.records.release import Part
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, numbers, texts
from sgbench.tables.values import as_csv, as_json, value

DESCRIBED = ("board", "id", "method", "part", "measure", "alike", "division", "checked")
COSTS = ("parameters", "spikes", "synaptic_operations", "training_s")


def table_of_rows(boards: Iterable[Board]) -> Table:
    all_boards = list(boards)
    targets = sorted({target.name for board in all_boards for target in board.targets})
    scores = ("rank_low", "rank_high", "score", "low", "high", "seeds", "failed_seeds")
    columns = (*texts(*DESCRIBED), *numbers(*scores, *COSTS, *(f"{name}_nj" for name in targets)))
    rows = [_cells(board, part, row, targets) for board in all_boards for part, row in board.parts()]
    return Table("Rows of all boards", columns, tuple(rows))


def _cells(board: Board, part: Part, row: MethodRow, targets: Sequence[str]) -> tuple[Cell, ...]:
    """Make the cells of one row, in the order of the columns of `table_of_rows`."""
    listing, rank, costs = row.listing, row.rank, row.costs
    described = (
        *(board.protocol.name, row.method_id, row.label, part, board.measure.kind),
        "" if rank is None else rank.groups,
        "" if listing is None else listing.division,
        "" if listing is None else checked_text(listing.provenance),
    )
    low, high = row.score.ends or (None, None)
    energies = (costs.energies[name].dynamic_nj if name in costs.energies else None for name in targets)
    values = (
        *((None, None) if rank is None else (rank.low, rank.high)),
        *(row.score.mean, low, high, len(row.scores), len(row.failed_seeds)),
        *(costs.parameters, costs.spikes.value, costs.synaptic_operations.value, costs.training_s),
        *(None if energy is None else energy.value for energy in energies),
    )
    return (*(Cell(text) for text in described), *map(_number, values))


def _number(value: float | None) -> Cell:
    return Cell(NONE) if value is None else Cell(f"{value:.6g}", float(value))


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
