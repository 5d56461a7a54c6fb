"""Stored runs that another commit made again: whether both agree to the bit."""

from collections.abc import Iterable
from pathlib import Path

from sgbench.study_runner.store import Store, StoreEntry
from study.passing_steps.analysis.evidence import PILOTS

AGAIN = "N"
"""Block of the pilots with runs that the commit of the second look made again: amendment 2 of the registration."""


def agreeing(again: Iterable[StoreEntry], entries: Iterable[StoreEntry]) -> tuple[int, int]:
    made = {entry.key: entry.record for entry in again}
    stored = {entry.key: entry.record for entry in entries if entry.key in made}
    same = [
        (record.validation, record.test, record.counts)
        == (stored[key].validation, stored[key].test, stored[key].counts)
        for key, record in made.items()
        if key in stored
    ]
    return sum(same), len(made)


def text(folder: Path, entries: Iterable[StoreEntry]) -> str:
    """Write how many runs agree; nothing where none was made again."""
    if not (folder / PILOTS).is_dir():
        return ""
    found = list(Store(folder / PILOTS, "passing_steps").entries([AGAIN]))
    if not found:
        return ""
    same, made = agreeing(found, entries)
    return (
        f"The second look ran from a later commit. Of {made} runs of the first look that this commit made again, "
        f"{same} agree in validation, test and counts to the bit."
    )
