"""Writes a board as CSV and as JSON; equal records give equal bytes."""

import csv
import io
import json
from collections.abc import Iterator

from sgbench.leaderboard.pages.columns import Value, board_columns
from sgbench.leaderboard.rows import Board

DIGITS = 12
"""Significant digits of a number in `table.csv`."""


def to_csv(board: Board, *, digits: int = DIGITS) -> str:
    """Write the board as CSV: accuracies as fractions, one column per seed, energies with both ends.

    Beyond twelve significant digits the quantile of the t-distribution varies between library versions, and a table
    must be the same on every machine. The fields `..._low` and `..._high` of a score are the ends of Student's
    interval, so that its half-width can be computed from them; they may lie where no accuracy can. The fields
    `..._interval_low` and `..._interval_high` are the ends that the page shows. `digits`: significant digits of each
    number.
    """
    rows = [{name: _text(value, digits) for name, value in row.items()} for row in _rows(board)]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_json(board: Board, *, digits: int = DIGITS) -> str:
    """Write the board as a list of JSON objects with the names of the CSV; what is missing is null."""
    rows = [{name: _number(value, digits) for name, value in row.items()} for row in _rows(board)]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rows(board: Board) -> Iterator[dict[str, Value]]:
    columns = board_columns(board)
    for row in board.shown:
        yield {name: value for column in columns for name, value in column.values(row).items()}


def _number(value: Value, digits: int) -> Value:
    return value if value is None or isinstance(value, str | int) else float(f"{value:.{digits}g}")


def _text(value: Value, digits: int) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int) else f"{value:.{digits}g}"
