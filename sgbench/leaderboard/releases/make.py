"""Compute the files of a release from a leaderboards folder and a heading."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.composition.citations import bibliography, cite_entries, entries_of_method
from sgbench.energy.footprint import VERSION, neurobench_metrics
from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.brief import brief_latex
from sgbench.leaderboard.pages.checked import checked_text
from sgbench.leaderboard.pages.export import NUMBER, TEXT, Listings, encode, to_table
from sgbench.leaderboard.releases.cards import cards
from sgbench.leaderboard.rows import Board, Measured, MethodRow
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.stored import read_index
from sgbench.leaderboard.store.tree import RecordTree, protocols, read_methods
from sgbench.records.files import read_bytes, to_json
from sgbench.records.release import MAX_FILE_BYTES, EarlierRelease, Part, Release, ReleasedFile, ReleasedRow, RowChange
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, as_csv, as_json, numbers, texts, value

DESCRIBED = ("board", "id", "method", "part", "measure", "alike", "division", "checked")
COSTS = ("parameters", "spikes", "synaptic_operations", "training_s")


def _table_of_rows(boards: Iterable[Board]) -> Table:
    """Make one table of the rows of all boards; a target that a board lacks leaves a cell empty."""
    all_boards = list(boards)
    targets = sorted({target.name for board in all_boards for target in board.targets})
    scores = ("rank_low", "rank_high", "score", "low", "high", "seeds", "failed_seeds")
    columns = (*texts(*DESCRIBED), *numbers(*scores, *COSTS, *(f"{name}_nj" for name in targets)))
    rows = [_cells(board, part, row, targets) for board in all_boards for part, row in board.parts()]
    return Table("Rows of all boards", columns, tuple(rows))


def _cells(board: Board, part: Part, row: MethodRow, targets: Sequence[str]) -> tuple[Cell, ...]:
    """Make the cells of one row, in the order of the columns of `_table_of_rows`."""
    listing, rank, costs = row.listing, row.rank, row.costs
    described = (
        *(board.protocol.name, row.method_id, row.label, part, board.measure.kind),
        "" if rank is None else rank.groups,
        "" if listing is None else listing.division,
        "" if listing is None else checked_text(listing.provenance),
    )
    low, high = row.score.ends or (None, None)
    energies = (costs.energies[name].dynamic_nj if name in costs.energies else None for name in targets)
    values = (
        *((None, None) if rank is None else (rank.low, rank.high)),
        *(row.score.mean, low, high, len(row.scores), len(row.failed_seeds)),
        *(costs.parameters, costs.spikes.value, costs.synaptic_operations.value, costs.training_s),
        *(None if energy is None else energy.value for energy in energies),
    )
    return (*(Cell(text) for text in described), *map(_number, values))


def _number(value: float | None) -> Cell:
    return Cell(NONE) if value is None else Cell(f"{value:.6g}", float(value))


Methods = Mapping[str, Sequence[Measured]]
Export = Callable[[Sequence[Board], Methods], bytes]


def _parquet(boards: Sequence[Board], _: Methods) -> bytes:
    table = _table_of_rows(boards)
    titles = [column.title for column in table.columns]
    cells = {title: [value(row[index]) for row in table.rows] for index, title in enumerate(titles)}
    return encode(cells, "parquet", {title: TEXT if title in DESCRIBED else NUMBER for title in titles})


def _bibtex(boards: Sequence[Board], methods: Methods) -> bytes:
    """Collect the sources of all entries in the rows of boards, each once, as BibTeX."""
    found = {
        (entry.group, entry.name): entry
        for board in boards
        for method in methods[board.protocol.name]
        for entry in entries_of_method(method.method.choices)
    }
    return bibliography(cite_entries(found[key] for key in sorted(found))).encode()


def _neurobench(boards: Sequence[Board], _: Methods) -> bytes:
    tree = {board.protocol.name: {row.method_id: _metrics(row, board) for _, row in board.parts()} for board in boards}
    return (json.dumps({"neurobench": VERSION, "boards": tree}, indent=1, sort_keys=True) + "\n").encode()


def _metrics(row: MethodRow, board: Board) -> dict[str, object]:
    counts = row.costs.counts
    name = "loss" if board.measure.is_loss else "ClassificationAccuracy"
    costs = {} if counts is None else neurobench_metrics(counts, parameters=row.costs.parameters)
    return {name: row.score.mean, **costs}


EXPORTS: dict[str, Export] = {
    "csv": lambda boards, _: as_csv(_table_of_rows(boards)),
    "json": lambda boards, _: as_json(_table_of_rows(boards)),
    "parquet": _parquet,
    "latex": lambda boards, _: "\n".join(f"% {board.protocol.name}\n{brief_latex(board)}" for board in boards).encode(),
    "bibtex": _bibtex,
    "neurobench": _neurobench,
}
"""Maps each format to the function that writes the rows of boards in it."""


MANIFEST = "manifest.json"
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
    files[ROWS] = as_csv(_table_of_rows(boards.boards))
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
    """Yield what differs between two releases: rows that are new, withdrawn or moved."""
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
    """Yield the rows of a board as a release states them; scores are rounded to nine digits."""
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
    """Yield name and bytes of every stored file of the boards, then of the shards that their indices name."""
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
