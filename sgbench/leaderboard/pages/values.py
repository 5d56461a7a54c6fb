"""A board as comma-separated values, for computing; same bytes from the same records."""

from __future__ import annotations

import csv
import io

from sgbench.leaderboard.pages.columns import Value, board_columns
from sgbench.leaderboard.rows import Board

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
    columns = board_columns(board)
    rows = [
        {name: _text(value, digits) for column in columns for name, value in column.values(row).items()}
        for row in (*board.rows, *board.claimed, *board.baselines)
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _text(value: Value, digits: int) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.{digits}g}"
