"""Compute the files of a release from a leaderboards folder and a heading."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.export import Listings, encode, to_table
from sgbench.leaderboard.releases.archive import MANIFEST
from sgbench.leaderboard.releases.cards import cards
from sgbench.leaderboard.releases.exports import table_of_rows
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.index import read_index
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.tree import RecordTree, protocols, read_methods
from sgbench.records.files import read_bytes, to_json
from sgbench.records.release import MAX_FILE_BYTES, EarlierRelease, Release, ReleasedFile, ReleasedRow, RowChange
from sgbench.tables.values import as_csv

BOARDS = "leaderboards"
ROWS, RECORDS = "rows.csv", "records.csv"


@dataclass(frozen=True)
class ReleaseHeading:
    """Holds the name of a release, its commit and date, and the release before."""

    name: str
    commit: str
    created_utc: str  # time of the commit
    sgbench: str  # version of the package
    since: EarlierRelease | None = None  # the release before, if there was one


def release_files(root: Path, heading: ReleaseHeading) -> dict[str, bytes]:
    """Map the path of each file of a release, the manifest included, to its content."""
    references = References()
    tree = RecordTree(root, "leaderboards", references)
    boards = show(tree)
    findings = list(boards.findings)
    listings = Listings(root, references=references, findings=findings)
    groups = []
    for group in read_methods(tree):
        if isinstance(group, Finding):
            findings.append(group)
        else:
            groups.append(group.records)
    for found in findings:
        raise InputError(f"{found}; 'sgbench board check' names all")
    rows = tuple(row for board in boards.boards for row in _rows(board))
    changes = () if heading.since is None else tuple(row_changes(heading.since.rows, rows))
    files = dict(_stored(root))
    files[ROWS] = as_csv(table_of_rows(boards.boards))
    files[RECORDS] = encode(to_table(groups, listing_of=listings.of), "csv")
    files |= cards(heading.name, heading.commit, heading.created_utc, files, rows, changes)
    manifest = Release(
        schema_version=1,
        name=heading.name,
        commit=heading.commit,
        created_utc=heading.created_utc,
        sgbench=heading.sgbench,
        since=heading.since,
        changes=changes,
        rows=rows,
        files=tuple(
            ReleasedFile(path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in sorted(files.items())
        ),
    )
    return files | {MANIFEST: to_json(manifest)}


def row_changes(before: Sequence[ReleasedRow], after: Sequence[ReleasedRow]) -> Iterator[RowChange]:
    old = {(row.protocol, row.method_id): row for row in before}
    new = {(row.protocol, row.method_id): row for row in after}
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        row = now or was
        assert row is not None  # noqa: S101 - the key is of one of both
        if was is None:
            kind, text = "new", _rank_and_score(row)
        elif now is None or (now.part == "retired" and was.part != "retired"):
            kind, text = "withdrawn", f"was {_rank_and_score(was)}"
        elif (was.part, was.rank, was.score) != (now.part, now.rank, now.score):
            kind, text = "moved", f"{_rank_and_score(was)}; then {_rank_and_score(now)}"
        else:
            continue
        yield RowChange(kind=kind, protocol=row.protocol, method_id=row.method_id, method=row.method, said=text)


def _rank_and_score(row: ReleasedRow) -> str:
    rank = row.part if row.rank is None else f"rank {row.rank[0]} to {row.rank[1]}"
    return f"{rank}, {row.score:.6g}"


def _rows(board: Board) -> Iterator[ReleasedRow]:
    for part, row in board.parts():
        yield ReleasedRow(
            protocol=board.protocol.name,
            method_id=row.method_id,
            method=row.label,
            part=part,
            rank=None if row.rank is None else (row.rank.low, row.rank.high),
            score=float(f"{row.score.mean:.9g}"),
        )


def _stored(root: Path) -> Iterator[tuple[str, bytes]]:
    shards: set[str] = set()
    for name in protocols(root, layout="leaderboards"):
        shards |= {place.shard for place in read_index(root / name).values()}
        for where, folders, names in os.walk(root / name):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            for file in sorted(name for name in names if not name.startswith(".")):
                path = Path(where) / file
                yield f"{BOARDS}/{path.relative_to(root).as_posix()}", read_bytes(path, limit=MAX_FILE_BYTES)
    for shard in sorted(shards):
        yield shard, read_bytes(Path(os.path.normpath(root / os.pardir)) / shard, limit=MAX_FILE_BYTES)
