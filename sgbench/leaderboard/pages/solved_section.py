"""Compares methods by the share of seeds that solve the task: whose accuracy reaches the protocol's threshold."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.statistics.pairs import holm
from sgbench.statistics.solved import Share, ShareDifference, compare_shares, wilson
from sgbench.tables import code, p_text

PERCENT = 100
COMPARED = ("method", "id", "solved more often by the first, points of runs (95 % CI)", "p, Boschloo, Holm")


def has_solved(board: Board) -> bool:
    """Return whether the protocol names the accuracy from which a run solves the task."""
    return board.protocol.solved_from is not None and not board.measure.is_loss


def solved_share(row: MethodRow, board: Board) -> Share:
    """Compute the share of a method's seeds that solve the task, with Wilson's interval; a failed seed does not."""
    threshold = board.protocol.solved_from or 0.0
    return wilson(sum(score >= threshold for score in row.scores.values()), len(row.scores))


def solved_text(row: MethodRow, board: Board) -> str:
    """Write how many seeds solve the task, with the interval of their share."""
    share = solved_share(row, board)
    ends = f"{PERCENT * share.low:.0f} to {PERCENT * share.high:.0f} %"
    return f"{share.count:.0f} of {share.runs:.0f} ({ends})"


@functools.cache
def _compared(solved_a: int, runs_a: int, solved_b: int, runs_b: int) -> ShareDifference:
    return compare_shares(solved_a, runs_a, solved_b, runs_b)


def compare_solved(a: MethodRow, b: MethodRow, board: Board) -> ShareDifference:
    """Compare how often two methods solve the task, by Boschloo's exact test."""
    counts = [(int(share.count), int(share.runs)) for share in (solved_share(row, board) for row in (a, b))]
    return _compared(*counts[0], *counts[1])


def corrected_for_pairs(rows: Sequence[MethodRow], board: Board) -> dict[tuple[str, str], float]:
    pairs = list(itertools.combinations(rows, 2))
    p = holm(np.array([compare_solved(a, b, board).p for a, b in pairs]))
    return {(a.method_id, b.method_id): value for (a, b), value in zip(pairs, p.tolist(), strict=True)}


def solved_rows(board: Board) -> Iterator[list[str]]:
    """Yield for each ranked method but the first the cells of its comparison with the first in solving the task."""
    first, *others = [row for row in board.rows if row.rank is not None]
    p = corrected_for_pairs([first, *others], board)
    for row in others:
        compared = compare_solved(first, row, board)
        difference, low, high = (
            f"{round(PERCENT * end)}" for end in (compared.difference, compared.low, compared.high)
        )
        yield [
            code(row.label),
            row.method_id,
            f"{difference} ({low} to {high})",
            p_text(p[first.method_id, row.method_id]),
        ]


def solved_statement(board: Board) -> str:
    """Say when a seed counts as solved, and how shares are compared."""
    threshold = PERCENT * (board.protocol.solved_from or 0.0)
    return (
        f"A seed counts as solved from a test accuracy of {threshold:g} % on; the interval of the share is "
        "Wilson's. Shares are compared by Boschloo's exact test, seeds unpaired, with Holm's correction over all "
        "pairs. Where seeds either solve a task or do not, a mean accuracy says little; ranks still go by it."
    )


def solved_sentence(a: MethodRow, b: MethodRow, board: Board) -> str:
    """Write how often two methods solve the task, with the p-values of the difference."""
    compared = compare_solved(a, b, board)
    ranked = [row for row in board.rows if row.rank is not None]
    names = [row.method_id for row in ranked]
    corrected = ""
    if {a.method_id, b.method_id} <= set(names):
        first, second = sorted((a.method_id, b.method_id), key=names.index)
        p = corrected_for_pairs(ranked, board)[first, second]
        corrected = f", {p_text(p)} after Holm's correction for all pairs"
    return (
        f"A solves the task in {solved_text(a, board)} seeds, B in {solved_text(b, board)}; p {p_text(compared.p)} "
        f"by Boschloo's exact test{corrected}."
    )
