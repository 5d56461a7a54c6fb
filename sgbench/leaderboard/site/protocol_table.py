"""The rows of a board as a table of a page: the columns of `table.md`, each with what sorts it."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.leaderboard.costs import Amount, Energy
from sgbench.leaderboard.pages.sections import tried_text, trust_text
from sgbench.leaderboard.pages.seeds import seeds_of
from sgbench.leaderboard.pages.solved_section import has_solved, solved_share, solved_text
from sgbench.leaderboard.pages.table import has_static, interval_text, rank_text
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.site.sources import method_path
from sgbench.statistics.pairs import MIN_SEEDS
from sgbench.tables import NONE, Notes, number_text
from sgbench.tables.table import Cell, Column, Table, number, numbers, texts

CLAIMED = "claimed by who ran it: no tier repeats it"
ACTIVITY, ENERGY, PROVENANCE = "activity", "energy", "provenance"
"""Groups of columns that a page shows on request."""


def row_table(board: Board, rows: Sequence[MethodRow], *, caption: str) -> Table:
    """Build the page's table of some rows of a board, in their order.

    Args:
        board: on which they are.
        rows: ranked ones, or a part of the others.
        caption: what the table shows.
    """
    notes = Notes()
    columns = _columns(board, rows, notes)
    cells = tuple(_cells(row, board, notes) for row in rows)
    return Table(caption, columns, cells, head=2, notes=tuple(notes.texts), is_filtered=len(rows) > 1)


def _columns(board: Board, rows: Sequence[MethodRow], notes: Notes) -> tuple[Column, ...]:
    columns = [Column("rank", is_number=True), *texts("alike", "method", *board.varying)]
    columns += numbers(board.measure.title, "95 % interval", "seeds")
    columns += numbers("solved") if has_solved(board) else ()
    columns += numbers("spikes", "synaptic operations", group=ACTIVITY)
    for target in board.targets:
        left_out = "; ".join(target.missing)
        gap = [f"a part, not a whole: prices of {target.name} leave out {left_out}"] if left_out else []
        marks = notes.numbers(gap)
        columns.append(Column(f"{target.name} dynamic, nJ", is_number=True, notes=marks, group=ENERGY))
        if has_static(target):
            columns.append(Column(f"{target.name} static, µJ", is_number=True, notes=marks, group=ENERGY))
    columns += numbers("parameters", group=PROVENANCE)
    claimed = notes.numbers([CLAIMED])
    columns.append(Column("training, s", is_number=True, notes=claimed, group=PROVENANCE))
    if _stand(rows):
        columns.append(Column("settings tried", is_number=True, notes=claimed, group=PROVENANCE))
        columns += texts("division", "checked", group=PROVENANCE)
    return tuple(columns)


def _stand(rows: Sequence[MethodRow]) -> bool:
    return any(row.standing is not None for row in rows)


def _cells(row: MethodRow, board: Board, notes: Notes) -> tuple[Cell, ...]:
    place, measure, costs = row.place, board.measure, row.costs
    alone = [] if len(row.scores) >= MIN_SEEDS else ["one seed gives neither an interval nor a rank"]
    ends, seeds = row.score.ends, seeds_of(row, planned=len(board.protocol.seeds))
    cells = [
        number(None if place is None else float(place.low), rank_text(row)),
        Cell(NONE if place is None else place.groups),
        Cell(row.surrogate, link=method_path(board.protocol.name, row.method_id), is_code=True),
        *(Cell(row.varying.get(group, NONE), is_code=True) for group in board.varying),
        number(row.score.mean, measure.text(row.score.mean), notes.numbers(alone)),
        Cell(NONE) if ends is None else Cell(" to ".join(map(measure.text, ends)), ends[1] - ends[0]),
        Cell(seeds, float(len(row.scores))),
        *([number(solved_share(row, board).share, solved_text(row, board))] if has_solved(board) else []),
        _amount(costs.spikes, notes),
        _amount(costs.synaptic_operations, notes),
    ]
    for target in board.targets:
        energy = costs.energies[target.name]
        cells.append(_energy(energy, notes))
        if has_static(target):
            static = None if energy.static_nj is None else energy.static_nj.times(1e-3)
            cells.append(Cell(NONE) if static is None else Cell(interval_text(static), static.value))
    cells.append(number(costs.parameters, f"{costs.parameters or 0:,}"))
    cells.append(number(costs.training_s, number_text(costs.training_s or 0.0)))
    if row.standing is not None:
        tried = tried_text(row)
        cells.append(Cell(tried, None if tried == NONE else float(tried)))
        cells += [Cell(row.standing.division), Cell(trust_text(row))]
    return tuple(cells)


def _amount(amount: Amount, notes: Notes) -> Cell:
    if amount.value is None:
        return Cell(NONE, notes=notes.numbers(amount.reasons))
    return Cell(number_text(amount.value), amount.value)


def _energy(energy: Energy, notes: Notes) -> Cell:
    if energy.dynamic_nj is None:
        return Cell(NONE, notes=notes.numbers(f"no total: {reason}" for reason in energy.reasons))
    return Cell(interval_text(energy.dynamic_nj), energy.dynamic_nj.value)
