"""Boards on disk: built from a tree of records, and checked against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.picture import stale, to_png
from sgbench.leaderboard.rows import Board, make_board
from sgbench.leaderboard.store import Finding, Layout, protocols, read_shelf
from sgbench.leaderboard.table import to_csv, to_markdown
from sgbench.records.files import read_bytes, write_atomic

TABLE, VALUES, PICTURE = "table.md", "table.csv", "board.png"
REBUILD = "rebuild with: sgbench board build --from leaderboards"


@dataclass(frozen=True)
class Boards:
    """The boards that a tree of records gives, and the files that were left out."""

    boards: tuple[Board, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Built:
    """What was written for one protocol."""

    protocol: str
    methods: int
    records: int
    files: tuple[str, ...]


def show(root: Path, *, layout: Layout, references: References, protocol: str | None = None) -> Boards:
    """Make the boards of a tree in memory.

    Args:
        root: a runs folder or a leaderboards folder.
        layout: which of the two.
        references: what the catalogue says of protocols.
        protocol: make the board of this one alone.

    Raises:
        InputError: there is no such folder, or an energy target's file is not usable.
    """
    shelf = read_shelf(root, layout=layout, references=references, only=protocol)
    targets = load_targets(references.config_dirs)
    names = sorted({record.protocol for record in shelf.records})
    boards = []
    for name in names:
        found = references.of(name)
        boards.append(
            make_board(shelf.of(name), protocol=found.protocol, targets=targets, classes=found.classes)
        )
    return Boards(tuple(boards), shelf.findings)


def build(
    root: Path, *, layout: Layout, references: References, protocol: str | None = None
) -> tuple[list[Built], tuple[Finding, ...]]:
    """Write table.md, table.csv and board.png into <root>/<protocol>/; returns these and what was left out.

    Raises:
        InputError: there is no such folder, or no record in it.
        StorageError: a file cannot be written.
    """
    found = show(root, layout=layout, references=references, protocol=protocol)
    if not found.boards and not found.findings:
        raise InputError(
            f"{root}: no record found; make one with 'sgbench run', or name a folder with --root"
        )
    return [_write(board, root, layout) for board in found.boards], found.findings


def _write(board: Board, root: Path, layout: Layout) -> Built:
    folder = root / board.protocol.name
    values = to_csv(board)
    contents = {
        TABLE: to_markdown(board, layout=layout).encode(),
        VALUES: values.encode(),
        PICTURE: to_png(board, table_csv=values),
    }
    for name, data in contents.items():
        write_atomic(folder / name, data)
    return Built(
        protocol=board.protocol.name,
        methods=len(board.rows),
        records=sum(len(row.accuracies) for row in board.rows),
        files=tuple(str(folder / name) for name in contents),
    )


def check(root: Path, *, references: References) -> tuple[list[str], tuple[Finding, ...]]:
    """Rebuild every board of a leaderboards folder in memory; returns the protocols seen and what is wrong.

    A table that differs in one byte from what its records give is a finding; a picture is compared through the
    digest of the table that it carries, since its bytes depend on the drawing library's version.

    Raises:
        InputError: there is no such folder.
    """
    found = show(root, layout="leaderboards", references=references)
    findings = list(found.findings)
    for board in found.boards:
        findings += _stale_files(board, root)
    names = [board.protocol.name for board in found.boards]
    for name in protocols(root):
        if name not in names:
            findings += [
                Finding(str(root / name / file), "has no valid record behind it")
                for file in (TABLE, VALUES, PICTURE)
                if (root / name / file).exists()
            ]
    return names, tuple(findings)


def _stale_files(board: Board, root: Path) -> Iterable[Finding]:
    folder = root / board.protocol.name
    values = to_csv(board)
    texts = {TABLE: to_markdown(board, layout="leaderboards"), VALUES: values}
    for name, text in texts.items():
        reason = _difference(folder / name, text.encode())
        if reason is not None:
            yield Finding(str(folder / name), f"{reason}; {REBUILD}")
    reason = stale(folder / PICTURE, table_csv=values)
    if reason is not None:
        yield Finding(str(folder / PICTURE), f"{reason}; {REBUILD}")


def _difference(path: Path, expected: bytes) -> str | None:
    try:
        return None if read_bytes(path) == expected else "is not what the records give"
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
