"""Writes how many seeds of a method ran, failed, or stayed at chance."""

from sgbench.leaderboard.rows import MethodRow
from sgbench.leaderboard.store.outside import Outsider


def seeds_of(row: MethodRow, *, planned: int = 0) -> str:
    return seeds_text(len(row.scores), len(row.failed_seeds), len(row.at_chance), planned)


def seeds_outside(outsider: Outsider) -> str:
    """Write how many seeds of a result of outside code ran, and how many failed."""
    return seeds_text(len(outsider.scores), len(outsider.failed_seeds))


def seeds_text(seeds: int, failed: int = 0, at_chance: int = 0, planned: int = 0) -> str:
    """Write a count of seeds, with the planned count if it is larger, and counts of failed and chance seeds if any.

    >>> seeds_text(5), seeds_text(2, 1, planned=5), seeds_text(5, at_chance=3, planned=5)
    ('5', '2 of 5 (1 failed)', '5 (3 at chance)')
    """
    text = f"{seeds} of {planned}" if seeds < planned else f"{seeds}"
    counts = [f"{count} {word}" for count, word in ((failed, "failed"), (at_chance, "at chance")) if count]
    return f"{text} ({', '.join(counts)})" if counts else text
