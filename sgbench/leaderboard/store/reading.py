"""Reading records that strangers wrote: what is shared by many is checked and kept once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, deviation
from sgbench.leaderboard.store.sources import source_of
from sgbench.paths import RECORD
from sgbench.records.files import parse_model, read_bytes
from sgbench.records.record import KnownMethods, RunRecord

Layout = Literal["runs", "leaderboards"]
WHOSE = re.compile(r"^method [0-9a-f]{12} seed \d+ ")
"""Begins a reason, which is otherwise the same for many runs."""


@dataclass(frozen=True)
class Finding:
    """Names a file that was left out or is stale, and says why."""

    path: str
    reason: str


def by_cause(findings: Iterable[Finding]) -> list[str]:
    """Write a line for each cause: the first file that has it, and how many more do.

    >>> reason = "method 0123456789ab seed {} deviates from toy_v1: clip_norm is 1, the protocol says null"
    >>> lines = by_cause([Finding(f"{seed}.json", reason.format(seed)) for seed in (7, 8, 9)])
    >>> len(lines), lines[0][-23:]
    (1, 'and 2 more of this kind')
    """
    causes: dict[str, list[Finding]] = {}
    for found in findings:
        causes.setdefault(WHOSE.sub("", found.reason), []).append(found)
    return [
        f"{first.path}: {first.reason}{f'; and {len(more):,} more of this kind' if more else ''}"
        for first, *more in causes.values()
    ]


class ChoosesSettingsError(InputError):
    """Says that settings are chosen with a run's seed: it is no row of a board, and nothing is wrong with it."""


def finding(path: Path, error: InputError) -> Finding:
    """Make a finding about a file from an error."""
    reason = " ".join(str(error).split())
    return Finding(str(path), reason.removeprefix(f"{path}: "))


class RecordReader:
    """Reads the records of one command.

    Args:
        references: against which each record is checked.
        trials: whether runs of seeds that settings are chosen with are wanted too.
    """

    def __init__(self, references: References, *, trials: bool = False) -> None:
        self._references = references
        self._trials = trials
        self._known = KnownMethods()

    def comparable(self, path: Path, place: Iterable[str], layout: Layout) -> RunRecord:
        """Read the record in a file if it can be compared with others on its board.

        Args:
            path: of the file.
            place: its parts below the root.
            layout: what kind of root that is.

        Raises:
            ChoosesSettingsError: it was run to choose settings, and such runs are not wanted.
            InputError: why it is no row of a board, on one line.
        """
        record = parse_model(read_bytes(path), RunRecord, str(path), context=self._known)
        expected = (
            (record.protocol, record.method_id, str(record.seed), RECORD)
            if layout == "runs"
            else (record.protocol, "records", record.method_id, f"{record.seed}.json")
        )
        second = (*expected[:2], f"{record.method_id}-{source_of(record)}", expected[-1])
        if tuple(place) != expected and (layout == "runs" or tuple(place) != second):
            raise InputError(f"{path}: misplaced: what it says of itself belongs to {'/'.join(expected)}")
        reference = self._references.of(record.protocol)
        if layout == "runs" and not self._trials and reference.protocol.is_tuning_seed(record.seed):
            raise ChoosesSettingsError(f"{path}: settings are chosen with seed {record.seed}")
        reason = deviation(record, reference, known=self._known, trials=self._trials)
        if reason is not None:
            raise InputError(f"{path}: {reason}")
        return record
