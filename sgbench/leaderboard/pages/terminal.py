"""Writes below a board's table in a terminal how methods compare with networks without spikes in energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sgbench.tables import NONE, aligned, number_text
from sgbench.tables.table import Cell, Table, numbers, texts

if TYPE_CHECKING:
    from sgbench.energy.crossover import Duel, EnergyComparison, Matched
    from sgbench.leaderboard.rows import Board, MethodRow

NOTE = (
    "events: share of connections times steps that a spike uses; ANN, QNN: below this share it needs less "
    "energy than the same network without spikes, than that with quantised activations (always: at any "
    "share up to 100; never: even if nothing fires); beats: on so many price lists; lower: how often its "
    "energy is below another method's, over the corners of all price lists"
)
"""Explains the columns below the table."""


def energy_lines(board: Board, width: int | None) -> list[str]:
    """Write the table that compares methods with their matched networks without spikes; empty if none can be.

    `width` limits its lines [characters].
    """
    from sgbench.leaderboard.matched import compare_energies, matched_rows, ordered_rows, shown_targets

    rows = matched_rows(board)
    if not rows:
        return []
    shown = shown_targets(board, rows)
    duels = compare_energies(board, ordered_rows(board))
    kinds = [f"{one.target} {'QNN' if one.quantised else 'ANN'}, %" for one in shown]
    head = ["method", "events, %", "beats ANN", "beats QNN", "lower, %", *kinds]
    cells = [[*_cells(row, energies, shown, duels)] for row, energies in rows]
    return ["", *aligned([head, *cells], text_columns=1, width=width, least=len(head) - len(kinds)), "", NOTE]


def _cells(
    row: MethodRow, matched: Matched, shown: list[EnergyComparison], duels: Mapping[tuple[str, str], Duel]
) -> Iterator[str]:
    from sgbench.leaderboard.matched import mean_share

    yield row.label
    yield number_text(100 * matched.rate)
    for quantised in (False, True):
        won, lists = matched.cheaper(quantised=quantised)
        yield f"{won}/{lists}" if lists else NONE
    mean = mean_share(duels, row.method_id)
    yield NONE if mean is None else f"{100 * mean:.0f}"
    for comparison in shown:
        yield _crossover(matched.priced.get(comparison.target))


def _crossover(comparison: EnergyComparison | None) -> str:
    from sgbench.leaderboard.matched import end_text, rate_extreme

    if comparison is None or comparison.crossover is None:
        return NONE
    low, high = end_text(comparison.crossover.low), end_text(comparison.crossover.high)
    return rate_extreme(comparison.crossover) or (low if low == high else f"{low}-{high}")


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
    if not board.outsiders:
        return []
    return [
        "",
        *aligned([*outsider_cells(board)], text_columns=1, width=width, least=4),
        "",
        f"from outside: {board.measure.kind} of code outside the catalogue as its predictions say, mean over seeds "
        "with its 95 % interval; not ranked, since neither its operations nor its training were seen",
    ]
