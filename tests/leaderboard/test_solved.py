"""Boards of tasks that a seed solves or does not: shares, intervals and tests; other boards stay as they are."""

from __future__ import annotations

import csv
import io
import math

import pytest
from scipy.stats import boschloo_exact

from sgbench.leaderboard.pages.brief import brief_cells, brief_head
from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.solved_section import solved_text
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.rows import Board
from tests.leaderboard.factory import CLASSES, make_board, method, protocol, record, target
from tests.messages import lines_naming

SEEDS = (0, 1, 2)
ACCURACIES = {"atan": (0.95, 0.9, 0.97), "triangle": (0.99, 0.89, 0.1), "sigmoid": (0.2, None, 0.1)}
"""Of three seeds three, one and none are solved, and one of the last has failed."""


def board(solved_from: float | None) -> Board:
    """Three methods under a protocol with this bar, or without one."""
    terms = protocol().model_copy(update={"solved_from": solved_from})
    records = [
        record(seed=seed, accuracy=value, of=method(surrogate=name))
        for name, values in ACCURACIES.items()
        for seed, value in zip(SEEDS, values, strict=True)
    ]
    return make_board(records, protocol=terms, targets={"toy": target()}, classes=CLASSES)


def wilson_by_hand(solved: int, runs: int) -> tuple[float, float]:
    """The roots of Wilson's quadratic equation, z = 1.95996."""
    z, share = 1.959963984540054, solved / runs
    middle = share + z * z / (2 * runs)
    half = z * math.sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    return (middle - half) / (1 + z * z / runs), (middle + half) / (1 + z * z / runs)


def test_shares_by_hand() -> None:
    """An accuracy of exactly the bar counts as solved; a failed seed does not."""
    shown = board(0.9)
    assert [solved_text(row, shown).partition(" (")[0] for row in shown.rows] == ["3 of 3", "1 of 3", "0 of 3"]
    values = list(csv.DictReader(io.StringIO(to_csv(shown))))
    for row, solved in zip(values, (3, 1, 0), strict=True):
        low, high = wilson_by_hand(solved, 3)
        numbers = [float(row[name]) for name in ("solved_share", "solved_low", "solved_high")]
        assert numbers == pytest.approx([solved / 3, low, high], abs=1e-9)


def test_pairs_are_compared_by_boschloo() -> None:
    """Oracle: scipy's p-value of the smaller side, doubled, and Holm's correction over three pairs by hand."""
    raw = {}
    for a, b in ((3, 1), (3, 0), (1, 0)):
        test = boschloo_exact([[a, b], [3 - a, 3 - b]], alternative="greater")
        raw[a, b] = min(1.0, 2 * float(test.pvalue))
    ordered = sorted(raw.values())
    assert ordered[0] == raw[3, 0]
    page = to_markdown(board(0.9), layout="runs")
    line = next(line for line in page.splitlines() if line.startswith("| `sigmoid") and "100 (" in line)
    assert float(line.rsplit("|", 2)[1]) == pytest.approx(min(1.0, 3 * raw[3, 0]), rel=0.05)
    told = explain_rows(board(0.9), board(0.9).rows[0], board(0.9).rows[2], hits={}).sentences
    assert lines_naming("\n".join(told), "A solves", "3 of 3", "Boschloo")


def test_the_terminal_has_the_column() -> None:
    """Head and cells have one more entry, in the same place."""
    shown, plain = board(0.9), board(None)
    assert brief_head(shown)[:6] == ["rank", "alike", "method", "test accuracy, %", "seeds", "solved"]
    assert brief_cells(shown.rows[0], shown)[5].startswith("3 of 3")
    assert len(brief_cells(plain.rows[0], plain)) == len(brief_head(plain)) == len(brief_head(shown)) - 1


def test_a_board_without_a_bar_says_nothing_of_it() -> None:
    """Must not differ but for the new parts: no column, no test, no sentence."""
    plain = board(None)
    assert "solved" not in to_markdown(plain, layout="runs").lower()
    with_columns, without = (next(csv.reader(io.StringIO(to_csv(one)))) for one in (board(0.9), plain))
    assert [name for name in with_columns if not name.startswith("solved_")] == without
