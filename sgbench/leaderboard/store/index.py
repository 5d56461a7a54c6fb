"""Reads and writes the index of a board, which names the records that are lines of a study's shards."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.records.files import read_bytes, read_shard, shard_lines, write_atomic

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
        lines = self.lines(place.shard)
        line = lines[place.line - 1] if place.line <= len(lines) else b""
        if hashlib.sha256(line).hexdigest() != place.sha256:
            raise InputError(f"{self.path(place.shard)}: line {place.line} is not what {INDEX} names; {REMEDY}")
        return line


def read_index(folder: Path) -> dict[RowSeed, LinePlace]:
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
