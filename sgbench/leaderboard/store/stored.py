"""Reads and writes the index of a board, which names the records that are lines of a study's shards."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.leaderboard.store.sources import row_id_of, source_of
from sgbench.records.files import (
    ShardLine,
    parse_model,
    read_bytes,
    read_model,
    read_shard,
    shard_lines,
    to_json,
    write_atomic,
)
from sgbench.records.record import RunRecord

INDEX = "index.csv"
"""Name of the index in the folder of a protocol; a board whose records are all files has none."""
HEADER = "row,seed,shard,line,sha256"
ENTRY = re.compile(
    r"([0-9a-f]{12}(?:-[0-9a-f]{8})?),(0|[1-9][0-9]{0,9}),"
    r"(study/[A-Za-z][A-Za-z0-9_]{0,39}/[A-Za-z0-9_]{1,60}-[0-9]{3}\.jsonl\.xz),([1-9][0-9]{0,6}),([0-9a-f]{64})"
)
MAX_BYTES = 64 * 1024**2
REMEDY = "restore it from the repository's history"
RowSeed = tuple[str, int]
"""Id of a row of a board, and a seed."""


class LinePlace(NamedTuple):
    """Holds the address of a record in a shard."""

    shard: str
    """Path from the folder that contains leaderboards and studies, e.g. study/surrogates/A3b-000.jsonl.xz."""
    line: int
    """Number of the line, from 1 on."""
    sha256: str
    """SHA-256 of the line without its end."""


class ShardReader:
    """Reads lines of the shards beside a leaderboards folder; a shard is kept in memory until `forget`."""

    def __init__(self, leaderboards: Path) -> None:
        self._base = Path(os.path.normpath(leaderboards / os.pardir))
        self._lines: dict[str, list[bytes]] = {}

    def path(self, shard: str) -> Path:
        return self._base / shard

    def lines(self, shard: str) -> list[bytes]:
        if shard not in self._lines:
            path = self.path(shard)
            self._lines[shard] = shard_lines(path, read_shard(path))
        return self._lines[shard]

    def forget(self, shard: str) -> None:
        self._lines.pop(shard, None)

    def line(self, place: LinePlace) -> bytes:
        """Return the line at a place, whose hash has to be that of the index."""
        lines = self.lines(place.shard)
        line = lines[place.line - 1] if place.line <= len(lines) else b""
        if hashlib.sha256(line).hexdigest() != place.sha256:
            raise InputError(f"{self.path(place.shard)}: line {place.line} is not what {INDEX} names; {REMEDY}")
        return line


def read_index(folder: Path) -> dict[RowSeed, LinePlace]:
    """Map each row and seed to the place of its record in a shard; InputError if the index is damaged."""
    path = folder / INDEX
    if not path.exists() and not path.is_symlink():
        return {}
    try:
        head, *lines = read_bytes(path, limit=MAX_BYTES).decode("ascii").splitlines()
    except ValueError as error:
        raise InputError(f"{path}: is no index of records; {REMEDY}") from error
    if head != HEADER:
        raise InputError(f"{path}: its first line is not {HEADER}; {REMEDY}")
    places: dict[RowSeed, LinePlace] = {}
    for number, line in enumerate(lines, start=2):
        match = ENTRY.fullmatch(line)
        if match is None:
            raise InputError(f"{path}:{number}: is not row, seed, shard, line and SHA-256; {REMEDY}")
        row, seed, shard, line_number, sha256 = match.groups()
        if (row, int(seed)) in places:
            raise InputError(f"{path}:{number}: row {row} seed {seed} stands twice; {REMEDY}")
        places[row, int(seed)] = LinePlace(shard, int(line_number), sha256)
    return places


def write_index(folder: Path, places: Mapping[RowSeed, LinePlace]) -> None:
    """Write the index of a board, sorted by row and seed; remove it if there are no places."""
    path = folder / INDEX
    if not places:
        path.unlink(missing_ok=True)
        return
    lines = [f"{row},{seed},{','.join(map(str, places[row, seed]))}" for row, seed in sorted(places)]
    write_atomic(path, "".join(f"{line}\n" for line in (HEADER, *lines)).encode())


RECORDS = "records"


class AnotherRecordError(InputError):
    """States that a board has another record of the same row and seed."""

    def __init__(self, target: Path) -> None:
        super().__init__(f"{target} holds another record of this method and seed, which is never overwritten")
        self.target = target


def record_path(folder: Path, row_id: str, seed: int) -> Path:
    return folder / RECORDS / row_id / f"{seed}.json"


class StoredRecords:
    """Opens and adds the records of one board."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards = ShardReader(folder.parent)

    @cached_property
    def _index(self) -> dict[RowSeed, LinePlace]:
        return read_index(self.folder)

    @property
    def indexed_rows(self) -> frozenset[str]:
        """Return the ids of rows with records that are lines of shards."""
        return frozenset(row for row, _ in self._index)

    def rows(self) -> list[str]:
        files = {path.parent.name for path in (self.folder / RECORDS).glob("*/*.json")}
        return sorted(files | self.indexed_rows)

    def seeds(self, row_id: str) -> list[int]:
        names = {path.stem for path in (self.folder / RECORDS / row_id).glob("*.json")}
        files = {int(name) for name in names if name.isdecimal()}
        return sorted(files | {seed for row, seed in self._index if row == row_id})

    def record(self, row_id: str, seed: int) -> RunRecord | None:
        """Read a record; None if the board has none."""
        path = record_path(self.folder, row_id, seed)
        if path.is_symlink() or path.exists():
            return read_model(path, RunRecord)
        place = self._index.get((row_id, seed))
        if place is None:
            return None
        line = self._shards.line(place)
        return parse_model(line, ShardLine, f"{self._shards.path(place.shard)}:{place.line}").record

    def row_of(self, record: RunRecord) -> str:
        """Return the id of the board's row that a record belongs to.

        It is the id of the record's method. If that row holds records whose source, a hash of the user's own
        classes (see `source_of`), is another, it is the method's id followed by the record's source.
        """
        if source_of(record) is None:
            return record.method_id
        return row_id_of(record, next(self._sources(record.method_id), None))

    def _sources(self, row_id: str) -> Iterator[str]:
        """Yield the sources that the records of a row state, by seed."""
        for seed in self.seeds(row_id):
            stored = self.record(row_id, seed)
            source = None if stored is None else source_of(stored)
            if source is not None:
                yield source

    def holds(self, row_id: str, record: RunRecord) -> bool:
        """Return whether the board has this record; another one of its row and seed raises `AnotherRecordError`."""
        # Compared as records, since a file of an older version may lack a group with a neutral value.
        stored = self.record(row_id, record.seed)
        if stored is not None and stored != record:
            raise AnotherRecordError(record_path(self.folder, row_id, record.seed))
        return stored is not None

    def add(self, row_id: str, record: RunRecord) -> bool:
        """Write a new record as a file; return False if it is there already."""
        if self.holds(row_id, record):
            return False
        write_atomic(record_path(self.folder, row_id, record.seed), to_json(record))
        return True

    def refer(self, places: Mapping[RowSeed, LinePlace]) -> None:
        """Add records that are lines of shards to the index, which is written only if there are any."""
        if places:
            self._index.update(places)
            write_index(self.folder, self._index)

    def remove(self, row_id: str, seed: int) -> None:
        record_path(self.folder, row_id, seed).unlink(missing_ok=True)
        if self._index.pop((row_id, seed), None) is not None:
            write_index(self.folder, self._index)
