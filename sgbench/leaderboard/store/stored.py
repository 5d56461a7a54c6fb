"""Opens and adds the records of one board, whether each is a file or a line of a study's shard."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.store.index import LinePlace, RowSeed, ShardReader, read_index, write_index
from sgbench.leaderboard.store.sources import row_beside, source_of
from sgbench.records.files import ShardLine, parse_model, read_model, to_json, write_atomic
from sgbench.records.record import RunRecord

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
        return row_beside(record, next(self._sources(record.method_id), None))

    def _sources(self, row_id: str) -> Iterator[str]:
        for seed in self.seeds(row_id):
            stored = self.record(row_id, seed)
            source = None if stored is None else source_of(stored)
            if source is not None:
                yield source

    def holds(self, row_id: str, record: RunRecord) -> bool:
        """Return whether the board has this record already."""
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
        if places:
            self._index.update(places)
            write_index(self.folder, self._index)

    def remove(self, row_id: str, seed: int) -> None:
        record_path(self.folder, row_id, seed).unlink(missing_ok=True)
        if self._index.pop((row_id, seed), None) is not None:
            write_index(self.folder, self._index)
