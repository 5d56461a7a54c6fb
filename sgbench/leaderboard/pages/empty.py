"""Explains why a board has no ranked row, by counting the results of its protocol that are not ranked."""

from collections import Counter

from sgbench.leaderboard.rows import Board
from sgbench.tables import counted

FEWEST = 4
"""Ranked methods from which on a board compares."""


def too_few(board: Board) -> str:
    """Write that a board of one to three ranked methods compares nothing yet; empty of others.

    A rank among so few says more of who has run the protocol than of the methods.
    """
    if not 0 < len(board.rows) < FEWEST:
        return ""
    return f"No comparison yet: {counted(len(board.rows), 'method')} on this board, and {FEWEST} are needed."


def without_rows(board: Board) -> str:
    """Describe in one line why a board has no ranked method."""
    retired = [row.listing.provenance.notice for row in board.retired if row.listing is not None]
    outside = [outsider.provenance.notice for outsider in board.outsiders]
    kinds = Counter(notice.kind for notice in (*retired, *outside) if notice is not None)
    parts = [f"{number} {kind}" for kind, number in sorted(kinds.items(), reverse=True)]
    if board.claimed:
        parts.append(f"{len(board.claimed)} claimed and not repeated")
    if board.baselines:
        parts.append(f"{counted(len(board.baselines), 'baseline')} without spikes")
    if None in outside:
        parts.append(f"{outside.count(None)} from outside the catalogue")
    return f"no method counts: {', '.join(parts)}"
