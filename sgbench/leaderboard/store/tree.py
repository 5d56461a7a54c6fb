"""Reads folders of untrusted records, and adds records to a board without overwriting any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.predictions import check_predictions
from sgbench.leaderboard.store.reading import ChoosesSettingsError, Finding, Layout, RecordFile, RecordReader, finding
from sgbench.leaderboard.store.sources import require_same_source, row_id_of, source_of
from sgbench.leaderboard.store.stored import (
    INDEX,
    RECORDS,
    AnotherRecordError,
    LinePlace,
    RowSeed,
    ShardReader,
    StoredRecords,
    read_index,
    record_path,
)
from sgbench.paths import JUDGED, RECORD, whole_name
from sgbench.records.record import RunRecord
from sgbench.records.unfinished import remove_abandoned

RUN_DEPTH = 3  # <protocol>/<method_id>/<seed>


class RowRecords(NamedTuple):
    """Holds the records of one row of a board: of one method, and of one source of a user's own classes."""

    row_id: str  # the method's id, with a suffix for a further source
    records: list[RunRecord]


@dataclass(frozen=True)
class RecordsAdded:
    """Lists the records that `add` has added, found there already, or refused."""

    added: tuple[str, ...]
    already_there: tuple[str, ...]
    refused: tuple[Finding, ...]
    contradicted: tuple[str, ...] = ()
    """Paths of the records that are there already where another record of the same run was refused."""


def protocols(root: Path, *, only: str | None = None, layout: Layout = "runs") -> list[str]:
    """List the protocols that have a folder in `root`; `only` is the name of one of them, or its beginning."""
    if not root.is_dir():
        remedy = (
            "name one with --root, or fill it with 'sgbench run'"
            if layout == "runs"
            else "start in the checkout, or name one with --root, or fill it with 'sgbench board add'"
        )
        raise InputError(f"{root}: no such folder; {remedy}")
    names = sorted(
        child.name
        for child in root.iterdir()
        if child.is_dir() and not child.name.startswith(".") and child.name not in _not_read(layout)
    )
    if only is None:
        return names
    only = whole_name(only, names)
    if only not in names:
        raise InputError(f"{root} has no protocol '{only}'; {suggest(only, names)}")
    return [only]


@dataclass(frozen=True)
class RecordTree:
    """Describes a folder of records: its layout, and which of its protocols to read."""

    root: Path  # a runs folder or a leaderboards folder
    layout: Layout  # the kind of folder
    references: References  # references of the catalogue's protocols, against which each record is checked
    only: str | None = None  # the one protocol to read; None reads all

    def protocols(self) -> list[str]:
        return protocols(self.root, only=self.only, layout=self.layout)

    def indexed_rows(self, protocol: str) -> frozenset[str]:
        """Return the ids of a protocol's rows with records that are lines of shards; none for a damaged index."""
        with suppress(InputError):  # reported by `candidates`
            if self.layout == "leaderboards":
                return StoredRecords(self.root / protocol).indexed_rows
        return frozenset()

    def candidates(self) -> tuple[list[RecordFile], list[Finding]]:
        return candidates(self.root, layout=self.layout, only=self.only)


def read_methods(tree: RecordTree) -> Iterator[RowRecords | Finding]:
    """Yield the records of a tree row by row, so that few are in memory, and a finding for each unusable file.

    A file is unusable if it cannot be read, is not where its content belongs, or deviates from the protocol. Runs
    with the seeds that settings are chosen with give neither rows nor findings.
    """
    files, findings = tree.candidates()
    yield from findings
    yield from read_files(files, tree)


def candidates(root: Path, *, layout: Layout, only: str | None = None) -> tuple[list[RecordFile], list[Finding]]:
    """List where the records of a tree should be, those of a method next to each other, and findings for the rest.

    In a leaderboards folder these are files, and lines of shards that its indices name.
    """
    names = protocols(root, only=only, layout=layout)
    folders = [root / name if layout == "runs" else root / name / RECORDS for name in names]
    findings = [_link_finding(path) for path in [*root.iterdir(), *folders] if path.is_symlink() and path.is_dir()]
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_symlink():
            files, left_out = _files(folder, layout)
            paths += files
            findings += left_out
    files = [RecordFile(path) for path in paths]
    if layout == "leaderboards":
        indexed, left_out = _indexed(root, names, {*paths})
        files = sorted([*files, *indexed], key=lambda file: file.path) if indexed else files
        findings += left_out
    return files, findings


def _indexed(root: Path, names: Sequence[str], files: Set[Path]) -> tuple[list[RecordFile], list[Finding]]:
    """Read the records that the indices of protocols place in shards; none may also be one of the `files`."""
    reader, record_lines = ShardReader(root), []
    findings: list[Finding] = []
    by_shard: dict[str, list[tuple[Path, LinePlace]]] = {}
    for name in names:
        folder = root / name
        try:
            places = {} if folder.is_symlink() else read_index(folder)
        except InputError as error:
            findings.append(finding(folder / INDEX, error))
            continue
        for (row, seed), place in places.items():
            path = record_path(folder, row, seed)
            if path in files:
                findings.append(Finding(str(path), f"stands in {INDEX} too; remove one of both"))
            else:
                by_shard.setdefault(place.shard, []).append((path, place))
    for shard, lines in by_shard.items():  # one after another, so that only one is in memory
        shard_records, left_out = _lines_of(shard, lines, reader)
        record_lines += shard_records
        findings += left_out
    return record_lines, findings


def _lines_of(
    shard: str, lines: Sequence[tuple[Path, LinePlace]], reader: ShardReader
) -> tuple[list[RecordFile], list[Finding]]:
    """Read lines of one shard, each given by the path of its record and its place.

    A lost or altered shard gives one finding for all its lines.
    """
    files = []
    problems: list[InputError] = []
    for path, place in lines:
        try:
            files.append(RecordFile(path, reader.line(place)))
        except InputError as error:
            problems.append(error)
    reader.forget(shard)
    if not problems:
        return files, []
    first = finding(reader.path(shard), problems[0])
    boards = ", ".join(sorted({path.parts[-4] for path, _ in lines}))
    reason = f"{first.reason}; {len(problems)} records of {boards} are lost with it"
    return files, [Finding(first.path, reason)]


def read_files(files: Iterable[RecordFile], tree: RecordTree) -> Iterator[RowRecords | Finding]:
    """Yield the records of these files row by row, and a finding for each unusable one, as `read_methods` does.

    Files of one method have to stand next to each other, as `candidates` lists them.
    """
    reader = RecordReader(tree.references)
    on_board = tree.layout == "leaderboards"
    depth = len(tree.root.parts)
    for folder, group in groupby(files, key=lambda file: file.path.parts[: -1 if on_board else -2]):
        rows: dict[str, list[RunRecord]] = {}
        for file in group:
            try:
                record = reader.comparable(file, file.path.parts[depth:], tree.layout)
                earlier_records = (earlier for records in rows.values() for earlier in records)
                first = next((earlier for earlier in earlier_records if source_of(earlier)), record)
                if on_board:  # each folder there has one source
                    require_same_source(record, first)
                row = folder[-1] if on_board else row_id_of(record, source_of(first))
            except ChoosesSettingsError:
                continue
            except InputError as error:
                yield finding(file.path, error)
                continue
            rows.setdefault(row, []).append(record)
        yield from (RowRecords(*row) for row in rows.items())


def add(sources: Sequence[Path], board_dir: Path, *, references: References) -> RecordsAdded:
    """Copy the records below `sources` into <board_dir>/<protocol>/records/<method_id>/<seed>.json.

    A board only grows: a record that is there already is left unchanged, and another one for the same protocol,
    method and seed is refused. Records of a user's own classes with another source than the method's first ones
    become a row of their own, <method_id>-<source>.
    """
    for source in sources:
        if not source.is_dir():
            raise InputError(f"{source}: no such folder; name a runs folder, or one inside it")
    remove_abandoned(board_dir)  # files of a killed process
    results = [
        add_runs(read_runs(source, references=references), board_dir, check=check_predictions) for source in sources
    ]
    return RecordsAdded(
        tuple(target for result in results for target in result.added),
        tuple(target for result in results for target in result.already_there),
        tuple(finding for result in results for finding in result.refused),
    )


def add_runs(
    runs: Runs,
    board_dir: Path,
    *,
    check: Callable[[RunRecord, Path], object] | None = None,
    lines: Mapping[Path, LinePlace] | None = None,
) -> RecordsAdded:
    """Add records that were read to a leaderboards folder, which never overwrites one.

    `runs`: records of a runs folder, or of a study. `board_dir`: the leaderboards folder; created if needed. `check`:
    called with each record and its folder before it is added; raises an `InputError` to refuse it. `lines`: maps paths
    in `runs` to places in shards of a study; these records are added to the board's index, all others are copied.
    """
    boards: dict[str, StoredRecords] = {}
    new_places: dict[str, dict[RowSeed, LinePlace]] = {}
    added: list[str] = []
    present: list[str] = []
    contradicted: list[str] = []
    refused = list(runs.findings)
    for record, path in runs.records:
        try:
            if check is not None:
                check(record, path.parent)
            board = boards.setdefault(record.protocol, StoredRecords(board_dir / record.protocol))
            row = board.row_of(record)
            place = None if lines is None else lines.get(path)
            if place is None:
                is_new = board.add(row, record)
            else:
                is_new = not board.holds(row, record)
                if is_new:
                    new_places.setdefault(record.protocol, {})[row, record.seed] = place
            (added if is_new else present).append(str(record_path(board.folder, row, record.seed)))
        except InputError as error:
            refused.append(finding(path, error))
            if isinstance(error, AnotherRecordError):
                contradicted.append(str(error.target))
    for protocol, places in new_places.items():
        boards[protocol].refer(places)
    return RecordsAdded(tuple(added), tuple(present), tuple(refused), tuple(contradicted))


@dataclass(frozen=True)
class Runs:
    """Holds comparable records of a runs folder, each with its file, and a finding for each other file."""

    records: tuple[tuple[RunRecord, Path], ...]
    findings: tuple[Finding, ...]


def read_runs(source: Path, *, references: References, trials: bool = False) -> Runs:
    """Read the comparable records below `source`: a runs folder or one inside it, down to that of one run.

    `trials`: whether to read also those of the seeds with which settings are chosen.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; name a runs folder, or one inside it")
    reader = RecordReader(references, trials=trials)
    # A source may be the folder of one run, so its parents are part of a record's path.
    full = source.resolve()
    paths, findings = _files(source, "runs")
    records: list[tuple[RunRecord, Path]] = []
    for path in paths:
        place = (full / path.relative_to(source)).parts[-RUN_DEPTH - 1 :]
        try:
            records.append((reader.comparable(RecordFile(path), place, "runs"), path))
        except ChoosesSettingsError:
            continue
        except InputError as error:
            findings.append(finding(path, error))
    return Runs(tuple(records), tuple(findings))


def _files(start: Path, layout: Layout) -> tuple[list[Path], list[Finding]]:
    """List the record files below a folder in order, and a finding for each folder or link that is not read."""
    paths: list[Path] = []
    findings: list[Finding] = []

    def add_unreadable(error: OSError) -> None:
        findings.append(Finding(str(error.filename), f"cannot be read: {error.strerror}"))

    if not start.exists():
        return paths, findings
    for where, folders, files in os.walk(start, onerror=add_unreadable):
        here = Path(where)
        if layout == "runs" and RECORD in files:
            folders.clear()  # the other folders in a run's folder belong to loggers
        depth = len(here.relative_to(start).parts)
        links = [name for name in folders if (here / name).is_symlink() and depth < RUN_DEPTH]
        findings += [_link_finding(here / name) for name in links]
        ignored = () if depth else _not_read(layout)
        # os.walk goes into the folders that remain in its list, in their order.
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in ignored)
        records = (name for name in sorted(files) if name == RECORD or layout != "runs")
        paths += [here / name for name in records if not name.startswith(".")]
    return paths, findings


def _not_read(layout: Layout) -> tuple[str, ...]:
    return (JUDGED,) if layout == "runs" else ()


def _link_finding(path: Path) -> Finding:
    return Finding(str(path), "a link to a folder, which is not followed")
