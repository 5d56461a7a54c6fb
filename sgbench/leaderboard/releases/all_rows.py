"""Collect the rows of all boards in one table, for files and papers."""

from collections.abc import Iterable, Sequence

from sgbench.leaderboard.pages.checked import checked_text
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.records.release import Part
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, numbers, texts

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
