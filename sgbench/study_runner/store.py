"""The records of a study in compressed shards: appended, never changed, and listed with their hashes.

A shard is an xz file of JSON lines, one for each run. A manifest next to the shards lists them with their hashes. A
record of 12 kB takes a few hundred bytes in a shard, since the records of a block are similar.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

from filelock import FileLock, Timeout
from pydantic import Field, StringConstraints

from sgbench.errors import InputError, RunBusyError, StorageError
from sgbench.records.base import Natural, Positive, Strict, Text
from sgbench.records.files import ShardLine, parse_model, read_model, read_shard, shard_lines, to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.study_runner.definition import Name

MANIFEST = "manifest.json"
LOCK = ".lock"
LOCK_S = 60.0  # longest wait [s] for another process that adds to the store
PRESET = 9 | lzma.PRESET_EXTREME  # strength of the compression
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]


class Shard(Strict):
    """Describes one file of a study's store in the manifest."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+-[0-9]{3}\.jsonl\.xz$", max_length=80)]
    block: Name
    sha256: Sha256
    records: Positive
    bytes: Positive
    commits: tuple[Text, ...]  # commits of sgbench that made the records
    epoch: Natural = 0  # number of the commit in the order of those that made the store: 0 for the first


class Voided(Strict):
    """Lists stored runs that do not count, since the code that made them was found to be wrong; they run again."""

    shard: Text
    task: Name
    reason: Text
    runs: tuple[tuple[MethodId, Natural], ...] | None = Field(default=None, max_length=100_000)
    """Method and seed of each run; None: all runs of the task in the shard."""


class Manifest(Strict):
    """Lists the shards of a study's store with their hashes."""

    study: Name
    study_sha256: Sha256  # hash of the study's file when the last shard was written
    shards: tuple[Shard, ...] = Field(max_length=10_000)
    voided: tuple[Voided, ...] = Field(default=(), max_length=10_000)

    def holds(self, shard: str, entry: StoreEntry) -> bool:
        """Return whether a run of the shard named `shard` counts, since it is not voided."""
        run = (entry.record.method_id, entry.record.seed)
        return not any(
            (void.shard, void.task) == (shard, entry.task) and (void.runs is None or run in void.runs)
            for void in self.voided
        )


class StorePlace(NamedTuple):
    """Holds the shard and line of a run, with the hash of that line."""

    shard: str  # file name
    line: int  # from 1
    sha256: str


@dataclass(frozen=True)
class StoreEntry:
    """Holds one run in a store: its block, task, cell and record."""

    block: str
    task: str
    cell: Mapping[str, object]  # its settings in the block, by key
    record: RunRecord
    epoch: int = 0  # see `Shard.epoch`
    place: StorePlace | None = field(default=None, compare=False)  # None for a run that is not stored yet

    @property
    def key(self) -> tuple[str, str, int]:
        return self.record.protocol, self.record.method_id, self.record.seed


class Store:
    """Reads and writes the folder of compressed shards that holds a study's records; it need not exist yet."""

    def __init__(self, folder: Path, study: str) -> None:
        self.folder = folder
        self.study = study

    def manifest(self) -> Manifest | None:
        """Read the manifest of the store; None for an empty store."""
        path = self.folder / MANIFEST
        if not path.exists():
            return None
        manifest = read_model(path, Manifest)
        if manifest.study != self.study:
            raise InputError(f"{path}: is of study {manifest.study}, not of {self.study}; name another --store")
        return manifest

    def entries(self, blocks: Iterable[str] = ()) -> Iterator[StoreEntry]:
        """Yield every stored run that counts, in the order of the manifest; `blocks` limits them to blocks, if any."""
        seen: set[tuple[str, str, int]] = set()
        for shard, entry, counts in self._read_all(blocks):
            if not counts:
                continue
            if entry.key in seen:
                name = f"method {entry.record.method_id} with seed {entry.record.seed}"
                raise InputError(
                    f"{self.folder / shard.name}: {name} is stored twice; take it from the repository again"
                )
            seen.add(entry.key)
            yield entry

    def void_entries(self, blocks: Iterable[str] = ()) -> Iterator[StoreEntry]:
        """Yield every stored run that is voided; see `entries`."""
        return (entry for _, entry, counts in self._read_all(blocks) if not counts)

    def _read_all(self, blocks: Iterable[str]) -> Iterator[tuple[Shard, StoreEntry, bool]]:
        """Yield shard and run for these blocks, or for all without any, and whether the manifest holds it."""
        wanted = set(blocks)
        manifest = self.manifest()
        if manifest is None:
            return
        for shard in manifest.shards:
            if wanted and shard.block not in wanted:
                continue
            for entry in self._read(shard):
                yield shard, entry, manifest.holds(shard.name, entry)

    def record(self, method_id: str, seed: int) -> StoreEntry:
        for entry in self.entries():
            if entry.record.method_id == method_id and entry.record.seed == seed:
                return entry
        raise InputError(f"{self.folder}: no record of method {method_id} with seed {seed}")

    def append(self, block: str, entries: Sequence[StoreEntry], *, study_sha256: str, epoch: int = 0) -> Shard | None:
        """Write a block's runs that are not stored yet to a new shard, and return it; None if all are stored.

        The shard is written before the manifest names it, so a crash between the two leaves a file that the next
        call replaces. The hash of the study's file and the epoch are written into it.
        """
        lock = FileLock(self.folder / LOCK, timeout=LOCK_S)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise RunBusyError(f"{self.folder}: another process is adding to it; try again") from None
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"{self.folder} cannot be written: {reason}; name another --store") from error
        try:  # locked, since a concurrent write would lose the other process's manifest
            return self._append(block, entries, study_sha256, epoch)
        finally:
            lock.release()

    def _append(self, block: str, entries: Sequence[StoreEntry], study_sha256: str, epoch: int) -> Shard | None:
        """Write the entries that are not stored yet to a new shard; the caller holds the lock. See `append`."""
        manifest = self.manifest()
        shards = () if manifest is None else manifest.shards
        stored = {entry.key for entry in self.entries()}
        new = [entry for entry in entries if entry.key not in stored]
        if not new:
            return None
        number = sum(shard.block == block for shard in shards)
        name = f"{block}-{number:03d}.jsonl.xz"
        data = lzma.compress(_json_lines(block, new), preset=PRESET)
        write_atomic(self.folder / name, data)
        shard = Shard(
            name=name,
            block=block,
            sha256=hashlib.sha256(data).hexdigest(),
            records=len(new),
            bytes=len(data),
            commits=tuple(sorted({entry.record.provenance.commit or "none" for entry in new})),
            epoch=epoch,
        )
        voided = () if manifest is None else manifest.voided
        updated = Manifest(study=self.study, study_sha256=study_sha256, shards=(*shards, shard), voided=voided)
        write_atomic(self.folder / MANIFEST, to_json(updated))
        return shard

    def _read(self, shard: Shard) -> Iterator[StoreEntry]:
        """Yield the runs of a shard; raise an InputError if it is not the file that the manifest describes."""
        path = self.folder / shard.name
        data = read_shard(path)
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            raise InputError(f"{path}: is not the file that {MANIFEST} names; take it from the repository again")
        lines = shard_lines(path, data)
        if len(lines) != shard.records:
            raise InputError(f"{path}: holds {len(lines)} records, {MANIFEST} says {shard.records}")
        for number, line in enumerate(lines, start=1):
            place = StorePlace(shard.name, number, hashlib.sha256(line).hexdigest())
            yield _parse_entry(line, f"{path}:{number}", shard, place)


def _json_lines(block: str, entries: Sequence[StoreEntry]) -> bytes:
    """Write runs as lines of JSON, in an order that does not depend on when they ended."""
    ordered = sorted(entries, key=lambda entry: (entry.task, entry.record.method_id, entry.record.seed))
    lines = []
    for entry in ordered:
        record = entry.record.model_dump(mode="json")
        tree = {"block": block, "task": entry.task, "cell": dict(entry.cell), "record": record}
        lines.append(json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False))
    return "".join(f"{line}\n" for line in lines).encode()


def _parse_entry(line: bytes, where: str, shard: Shard, place: StorePlace) -> StoreEntry:
    """Read a line of a shard; InputError if its block or commit is not the shard's."""
    run = parse_model(line, ShardLine, where)
    if run.block != shard.block:
        raise InputError(f"{where}: is not a run of block {shard.block}")
    commit = run.record.provenance.commit or "none"
    if commit not in shard.commits:
        raise InputError(f"{where}: was made by commit {commit[:12]}, which {MANIFEST} does not name")
    return StoreEntry(shard.block, run.task, run.cell, run.record, shard.epoch, place)
