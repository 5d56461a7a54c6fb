"""The section of a board's page on baselines without spikes."""

from sgbench.leaderboard.pages.seeds import seeds_of
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.statistics.pairs import compare
from sgbench.tables import NONE, code, number_text


def baseline_cells(board: Board) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of the table of networks without spikes, the best first."""
    header = [
        "baseline",
        "id",
        f"{board.measure.title} (mean, 95 % CI)",
        "seeds",
        f"better than the first method by, {board.measure.unit} (95 % CI)",
    ]
    header += ["synaptic operations per inference", *(f"{target.name}, nJ" for target in board.targets)]
    header += ["trainable parameters", "training time, s"]
    return header, [_cells(row, board) for row in board.baselines]


def _cells(row: MethodRow, board: Board) -> list[str]:
    cells = [code(row.label), row.method_id, board.measure.summary(row.score), seeds_of(row)]
    cells += [_lead(row, board), number_text(row.costs.synaptic_operations.value)]
    energies = (row.costs.energies[target.name].dynamic_nj for target in board.targets)
    cells += [NONE if energy is None else number_text(energy.value) for energy in energies]
    cells.append(NONE if row.costs.parameters is None else f"{row.costs.parameters:,}")
    return [*cells, number_text(row.costs.training_s)]


def _lead(row: MethodRow, board: Board) -> str:
    if not board.rows or board.has_other_data(row):
        return NONE
    measure = board.measure
    return measure.difference(compare(measure.signed(row.scores), measure.signed(board.rows[0].scores)))


def about_baselines() -> str:
    """Write the note below the table: what the baselines without spikes are and how they are compared."""
    return (
        "Networks without spikes on the same data in the same code, for as many epochs, with about as many "
        "parameters as the protocol's spiking network where they have hidden layers. They are not ranked. One that "
        "sees counts or all of a sample runs once a sample, others once a step; a value of 0 costs no synaptic "
        "operation."
    )
