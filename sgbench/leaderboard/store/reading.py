"""Reads untrusted records and checks them; parts that many records share are checked once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, deviation
from sgbench.leaderboard.store.sources import source_of
from sgbench.paths import RECORD
from sgbench.records.files import ShardLine, parse_model, read_bytes
from sgbench.records.record import KnownMethods, RunRecord

Layout = Literal["runs", "leaderboards", "registry"]
"""Layout of a folder of records; a registry is one file with contents of boards in place of records."""


@dataclass(frozen=True)
class Finding:
    """Names a file that was left out or is stale, with the reason."""

    path: str
    reason: str
    deviates: bool = False
    """Whether it is a run of the user's own, which may deviate from its protocol, and no defect of a file."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def by_cause(findings: Iterable[Finding]) -> list[str]:
    """Write a line for each reason, with the first file that has it and the count of others.

    >>> by_cause(Finding(f"{seed}.json", "clip_norm is 1, the protocol says null") for seed in (7, 8, 9))
    ['7.json: clip_norm is 1, the protocol says null; and 2 more of this kind']
    """
    causes: dict[str, list[Finding]] = {}
    for found in findings:
        causes.setdefault(found.reason, []).append(found)
    return [f"{first}; and {len(more):,} more of this kind" if more else str(first) for first, *more in causes.values()]


class ChoosesSettingsError(InputError):
    """States that settings were chosen with a run's seed, so that it is no row of a board, and no defect either."""


class DeviatesError(InputError):
    """States that a run in a runs folder deviates from its protocol: no board ranks it, and it is no defect."""


def finding(path: Path, error: InputError) -> Finding:
    reason = " ".join(str(error).split())
    return Finding(str(path), reason.removeprefix(f"{path}: "), isinstance(error, DeviatesError))


class RecordFile(NamedTuple):
    """Holds where a record is: in a file, or in a line of a study's shard that a board's index names."""

    path: Path
    """Path of the file; for a line, the path that a file of the record would have."""
    line: bytes | None = None
    """The line of the shard; None if the record is a file."""

    def read(self, context: object = None) -> RunRecord:
        """Read the record; `context` keeps parts that many records share, so that each is checked once."""
        if self.line is None:
            return parse_model(read_bytes(self.path), RunRecord, str(self.path), context=context)
        return parse_model(self.line, ShardLine, str(self.path), context=context).record


class RecordReader:
    """Reads and checks the records of one command.

    `references`: references of protocols, against which each record is checked; `trials`: whether to accept runs with
    the seeds that settings are chosen with.
    """

    def __init__(self, references: References, *, trials: bool = False) -> None:
        self._references = references
        self._trials = trials
        self._known = KnownMethods()

    def comparable(self, file: RecordFile, location: Iterable[str], layout: Layout) -> RunRecord:
        """Read a record, and check that it can be compared with others on its board."""
        path, record = file.path, file.read(self._known)
        expected = (
            (record.protocol, record.method_id, str(record.seed), RECORD)
            if layout == "runs"
            else (record.protocol, "records", record.method_id, f"{record.seed}.json")
        )
        with_source = (*expected[:2], f"{record.method_id}-{source_of(record)}", expected[-1])
        if tuple(location) != expected and (layout == "runs" or tuple(location) != with_source):
            raise InputError(f"{path}: misplaced: what it says of itself belongs to {'/'.join(expected)}")
        chooses = self._references.of(record.protocol).protocol.is_tuning_seed(record.seed)
        if layout == "runs" and not self._trials and chooses:
            raise ChoosesSettingsError(f"{path}: settings are chosen with seed {record.seed}")
        try:
            self.require_comparable(record, str(path))
        except InputError as error:
            if layout == "runs" and record.failure is None:
                raise DeviatesError(str(error)) from error
            raise
        return record

    def require_comparable(self, record: RunRecord, name: str) -> None:
        """Raise an `InputError`, which begins with `name`, for a record that deviates from its protocol."""
        reference = self._references.of(record.protocol)
        reason = deviation(record, reference, known=self._known, trials=self._trials)
        if reason is not None:
            raise InputError(f"{name}: {reason}")
