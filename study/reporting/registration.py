"""Checks that a study was registered before its runs, by commits of its registration, file and records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.study_runner.cells import Settled, StudyPoint, points
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.scores import canonical, settle
from sgbench.study_runner.store import Manifest, StoreEntry
from sgbench.training import provenance

TIMEOUT_S = 60
SHORT = 12
"""Characters of a commit that are printed."""


@dataclass(frozen=True)
class Version:
    """Describes one committed version of a file."""

    commit: str
    day: str
    subject: str
    sha256: str


@dataclass(frozen=True)
class Registration:
    """Holds a study's registration as the repository records it."""

    registered: tuple[Version, ...]  # versions of the registration, the first one first
    files: tuple[Version, ...]  # versions of the study's file, the first one first

    @property
    def commit(self) -> str:
        return self.registered[0].commit


class Checkout:
    """Reads from a git checkout which versions of a file were committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def around(folder: Path, document: str) -> Checkout | None:
        """Return the checkout that holds a folder, if it holds the registration too; else None."""
        root = checkout_root(folder)
        return Checkout(root) if root is not None and (root / document).is_file() else None

    def versions(self, path: str) -> tuple[Version, ...]:
        """Return the first commit of each content that a file ever had, oldest first."""
        words = ("log", "--reverse", "--topo-order", "--full-history", "--format=%H %cs %s", "--", path)
        versions: dict[str, Version] = {}
        for line in _git(self.folder, *words).decode().splitlines():
            commit, day, subject = line.split(" ", 2)
            try:
                data = _git(self.folder, "show", f"{commit}:{path}")
            except InputError:
                continue  # a commit that took the file away
            digest = hashlib.sha256(data).hexdigest()
            versions.setdefault(digest, Version(commit, day, subject, digest))
        if not versions:
            raise InputError(f"{self.folder / path}: was never committed; commit it before the study runs")
        return tuple(versions.values())

    def descends(self, commit: str, ancestor: str) -> bool:
        """Return whether one commit comes after another, or is it; false where git does not know it."""
        try:
            _git(self.folder, "merge-base", "--is-ancestor", ancestor, commit)
        except InputError:
            return False
        return True


def checkout_root(folder: Path) -> Path | None:
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    except InputError:
        return None


def _git(folder: Path, *words: str) -> bytes:
    try:
        return provenance.ask(folder, *words, timeout_s=TIMEOUT_S)
    except provenance.FAILURES as error:
        raise InputError(f"{folder}: git {words[0]} failed; run inside a full clone of the repository") from error


def find_registration(loaded: Loaded, checkout: Checkout) -> Registration:
    """Read from the repository when a study was registered, and every version of its file."""
    try:
        path = str(loaded.path.resolve().relative_to(checkout.folder.resolve()))
    except ValueError:
        path = f"conf/study/{loaded.name}.yaml"
    return Registration(checkout.versions(loaded.study.registration), checkout.versions(path))


def require_registered(
    registration: Registration, checkout: Checkout, manifest: Manifest, entries: Iterable[StoreEntry]
) -> None:
    """Refuse records made by code that does not descend from the registration, or that was not committed."""
    if manifest.study_sha256 not in {version.sha256 for version in registration.files}:
        raise InputError(
            f"the store's manifest names study file {manifest.study_sha256[:SHORT]}, which is no committed version "
            "of it; commit the file that the study ran with"
        )
    known: dict[str | None, bool] = {None: False}
    for entry in entries:
        provenance = entry.record.provenance
        where = f"block {entry.block}, method {entry.record.method_id}, seed {entry.record.seed}"
        if provenance.commit not in known:
            known[provenance.commit] = checkout.descends(str(provenance.commit), registration.commit)
        if not known[provenance.commit]:
            raise InputError(
                f"{where}: its commit {(provenance.commit or 'none')[:SHORT]} does not descend from the "
                f"registration's, {registration.commit[:SHORT]}; make the record anew from a later commit"
            )
        if provenance.clean is not True:
            raise InputError(
                f"{where}: was made by commit {(provenance.commit or 'none')[:SHORT]} with uncommitted changes; "
                "make the record anew from a commit"
            )


class Departure(NamedTuple):
    """Holds one thing that was done otherwise than registered."""

    kind: str  # what was done
    of: str = ""  # in which case, such as a block or a commit

    def __str__(self) -> str:
        return f"{self.kind}: {self.of}." if self.of else f"{self.kind}."


CHANGED = "The study's file was changed"


def listed(departures: Iterable[Departure]) -> str:
    """Write departures from the registration as a Markdown list, those of a kind in one line.

    >>> print(listed([Departure("Void", "a"), Departure("No block"), Departure("Void", "b")]))
    - Void: a; b.
    - No block.
    """
    cases_by_kind: dict[str, list[str]] = {}
    for departure in departures:
        cases_by_kind.setdefault(departure.kind, []).extend([departure.of] if departure.of else [])
    return "\n".join(f"- {Departure(kind, '; '.join(cases))}" for kind, cases in cases_by_kind.items())


def deviations(
    loaded: Loaded,
    settled: Settled,
    manifest: Manifest,
    entries: Sequence[StoreEntry],
    registration: Registration | None,
) -> list[Departure]:
    """List how a study departs from its registration: later commits, changed files, void and unplanned runs.

    `registration`: the versions of its file in git; None if git does not know it.
    """
    departures: list[Departure] = []
    for epoch in sorted({shard.epoch for shard in manifest.shards} - {0}):
        shards = [shard for shard in manifest.shards if shard.epoch == epoch]
        commits = sorted({commit[:SHORT] for shard in shards for commit in shard.commits})
        names = ", ".join(dict.fromkeys(shard.block for shard in shards))
        departures.append(
            Departure("The study went on with another commit", f"epoch {epoch} {', '.join(commits)} (blocks {names})")
        )
    if manifest.study_sha256 != loaded.sha256:
        departures.append(Departure("The study's file has changed since the last runs were stored"))
    if registration is not None:
        departures += [
            Departure(CHANGED, f"{version.day}, commit {version.commit[:SHORT]}: {version.subject}")
            for version in registration.files[1:]
        ]
    departures += [
        Departure(
            f"Void and made anew, since {void.reason}",
            f"{'all' if void.runs is None else len(void.runs)} of {void.task} in {void.shard.partition('.')[0]}",
        )
        for void in manifest.voided
    ]
    departures += [
        Departure(f"Block {name} is withdrawn", block.withdrawn)
        for name, block in loaded.study.blocks.items()
        if block.withdrawn is not None
    ]
    departures += [
        Departure(f"What block {name} settled is not what its stored records give")
        for name in _blocks_settled_otherwise(loaded, settled, entries)
    ]
    departures += [
        Departure(f"{count} records of {what}") for what, count in _unplanned_records(loaded, settled, entries).items()
    ]
    return departures


def _blocks_settled_otherwise(loaded: Loaded, settled: Settled, entries: Iterable[StoreEntry]) -> list[str]:
    """List the blocks whose settled cells differ from those that their stored records choose."""
    by_block: dict[str, list[StoreEntry]] = {}
    for entry in entries:
        by_block.setdefault(entry.block, []).append(entry)
    names = []
    for name, cells in settled.items():
        block = loaded.study.blocks.get(name)
        if block is None or block.settles is None or name not in by_block:
            continue
        if settle(by_block[name], block.settles) != cells:
            names.append(name)
    return names


def _unplanned_records(loaded: Loaded, settled: Settled, entries: Iterable[StoreEntry]) -> dict[str, int]:
    """Count records of cells or seeds that are not in the plan, by block and task as text."""
    planned: dict[str, set[tuple[str, int, str]]] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        if entry.block not in planned:
            planned[entry.block] = {
                (point.task, point.seed, _cell_key(point.cell))
                for point in _planned_points(loaded, entry.block, settled)
            }
        if (entry.task, entry.record.seed, _cell_key(entry.cell)) not in planned[entry.block]:
            what = f"block {entry.block}, task {entry.task}, are of cells or seeds that the plan does not have"
            counts[what] = counts.get(what, 0) + 1
    return counts


def _planned_points(loaded: Loaded, block: str, settled: Settled) -> list[StudyPoint]:
    try:
        return points(loaded.study, block, settled) if block in loaded.study.blocks else []
    except InputError:
        return []  # what the block starts from is not settled, so nothing of it was planned


def _cell_key(cell: Mapping[str, object]) -> str:
    return ";".join(f"{key}={canonical(value)}" for key, value in sorted(cell.items()))
