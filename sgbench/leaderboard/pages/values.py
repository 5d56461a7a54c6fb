"""A board as CSV and JSON; same bytes from the same records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

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
    rows = [{name: _text(value, digits) for name, value in row.items()} for row in _rows(board)]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_json(board: Board, *, digits: int = DIGITS) -> str:
    """Write the board as a list of JSON objects with the names of the CSV; numbers are numbers, gaps are null."""
    rows = [{name: _number(value, digits) for name, value in row.items()} for row in _rows(board)]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rows(board: Board) -> Iterator[dict[str, Value]]:
    """Yield the values of each row by the names of the CSV's columns."""
    columns = board_columns(board)
    for row in (*board.rows, *board.claimed, *board.baselines):
        yield {name: value for column in columns for name, value in column.values(row).items()}


def _number(value: Value, digits: int) -> Value:
    return value if value is None or isinstance(value, str | int) else float(f"{value:.{digits}g}")


def _text(value: Value, digits: int) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int) else f"{value:.{digits}g}"
