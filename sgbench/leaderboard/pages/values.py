"""A board as comma-separated values, for computing; same bytes from the same records."""

from __future__ import annotations

import csv
import io

from sgbench.leaderboard.pages.sections import trust_text
from sgbench.leaderboard.pages.solved_section import has_solved, solved_share
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.tables import inert

DIGITS = 12
"""Of a number in a board's own table."""


def to_csv(board: Board, *, digits: int = DIGITS) -> str:
    """Write the board as CSV: accuracies as fractions, one column per seed, energies with both ends.

    Beyond twelve significant digits the quantile of the t-distribution varies between library versions, and a table
    has to be the same on every machine. The ends of a score are those of Student's interval, which may lie where
    no accuracy can: what is computed from them needs its half-width.

    Args:
        board: its rows.
        digits: significant ones of each number.
    """
    shown = (*board.rows, *board.claimed, *board.baselines)
    seeds = sorted({seed for row in shown for seed in row.scores})
    records = [_csv_row(row, board, seeds, digits) for row in shown]
    out = io.StringIO()
    columns = list(records[0]) if records else []
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def _csv_row(row: MethodRow, board: Board, seeds: list[int], digits: int) -> dict[str, str]:
    score, half, name = row.score, row.score.half_width, f"test_{board.measure.kind}"
    cells = {
        "rank_low": "" if row.place is None else str(row.place.low),
        "rank_high": "" if row.place is None else str(row.place.high),
        "alike": "" if row.place is None else row.place.groups,
        "method_id": row.method_id,
        "surrogate": row.surrogate,
        **({"baseline": "yes" if row in board.baselines else "no"} if board.baselines else {}),
        **({"claimed": "yes" if row in board.claimed else "no"} if board.claimed else {}),
        **{group: row.varying.get(group, "") for group in board.varying},
        f"{name}_mean": _number(score.mean, digits),
        f"{name}_low": _number(None if half is None else score.mean - half, digits),
        f"{name}_high": _number(None if half is None else score.mean + half, digits),
        "seeds": str(len(row.scores)),
        "failed_seeds": " ".join(map(str, row.failed_seeds)),
        **(_solved_cells(row, board, digits) if has_solved(board) else {}),
        **{f"{name}_seed_{seed}": _number(row.scores.get(seed), digits) for seed in seeds},
        "spikes_per_inference": _number(row.costs.spikes.value, digits),
        "synaptic_operations_per_inference": _number(row.costs.synaptic_operations.value, digits),
    }
    cells |= _standing_cells(row, board.measure.kind, digits)
    for target in board.targets:
        energy = row.costs.energies[target.name]
        for kind, interval in (("dynamic", energy.dynamic_nj), ("static", energy.static_nj)):
            for end in ("value", "low", "high"):
                cells[f"{target.name}_{kind}_{end}_nj"] = _number(interval and getattr(interval, end), digits)
        cells[f"{target.name}_left_out"] = "; ".join(map(inert, energy.missing))
        cells[f"{target.name}_no_total_because"] = "; ".join(map(inert, energy.reasons))
    cells["parameters"] = "" if row.costs.parameters is None else str(row.costs.parameters)
    cells["training_time_s"] = _number(row.costs.training_s, digits)
    return cells


def _solved_cells(row: MethodRow, board: Board, digits: int) -> dict[str, str]:
    """Return the share of seeds that solve the task, with its interval; boards of other tasks lack the columns."""
    share = solved_share(row, board)
    ends = {"solved_share": share.share, "solved_low": share.low, "solved_high": share.high}
    return {name: _number(value, digits) for name, value in ends.items()}


def _standing_cells(row: MethodRow, kind: str, digits: int) -> dict[str, str]:
    if row.standing is None:
        return {}
    dossier = row.standing.dossier
    return {
        "division": row.standing.division,
        "checked": trust_text(row),
        f"verified_{kind}": "" if dossier.best is None else _number(dossier.best.verified, digits),
        "tuning_trials": "" if dossier.submission is None else str(dossier.submission.tuning_trials),
    }


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}"
