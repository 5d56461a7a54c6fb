"""Text on the seeds of a method: how many ran, failed, or stayed at chance."""

from __future__ import annotations

from sgbench.leaderboard.rows import MethodRow
from sgbench.leaderboard.store.outside import Outsider


def seeds_of(row: MethodRow, *, planned: int = 0) -> str:
    """Write a row's count of seeds, planned seeds, and those that failed or stayed at chance."""
    return seeds_text(len(row.scores), len(row.failed_seeds), len(row.at_chance), planned)


def seeds_outside(outsider: Outsider) -> str:
    """Write the seeds of a result from outside: how many, and those that failed."""
    return seeds_text(len(outsider.scores), len(outsider.failed_seeds))


def seeds_text(seeds: int, failed: int = 0, at_chance: int = 0, planned: int = 0) -> str:
    """Write numbers of seeds.

    >>> seeds_text(5), seeds_text(2, 1, planned=5), seeds_text(5, at_chance=3, planned=5)
    ('5', '2 of 5 (1 failed)', '5 (3 at chance)')
    """
    of = f" of {planned}" if seeds < planned else ""
    what = [f"{count} {word}" for count, word in ((failed, "failed"), (at_chance, "at chance")) if count]
    return f"{seeds}{of} ({', '.join(what)})" if what else f"{seeds}{of}"
