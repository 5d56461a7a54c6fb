"""Boards on disk: built from a tree of records, and checked against it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sgbench.energy.price import load_targets
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import Reference, References
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.dossier import Dossiers, read_dossiers
from sgbench.leaderboard.measuring import is_large, measure_all
from sgbench.leaderboard.objects import Objects
from sgbench.leaderboard.outside import read_outsiders
from sgbench.leaderboard.painter import Begin, painter
from sgbench.leaderboard.png import stale, stamped
from sgbench.leaderboard.reading import Finding, Layout
from sgbench.leaderboard.rows import Board, Measured, Standing, board_of
from sgbench.leaderboard.store import protocols
from sgbench.leaderboard.table import to_markdown
from sgbench.leaderboard.values import to_csv
from sgbench.records.energy import EnergyTarget
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
    findings: list[Finding] = []
    price_lists = _price_lists(references)
    targets = tuple(each for each in price_lists if each.on_boards)
    measured = measure_all(
        root, layout=layout, references=references, targets=targets, findings=findings, protocol=protocol
    )
    boards = tuple(
        _board(root, measured[name], references.of(name), price_lists, layout=layout, findings=findings)
        for name in sorted(measured)
    )
    return Boards(boards, tuple(sorted(findings, key=lambda each: each.path)))


def _price_lists(references: References) -> tuple[EnergyTarget, ...]:
    targets = load_targets(references.config_dirs, everything=True)
    return tuple(targets[name] for name in sorted(targets))


def _board(
    root: Path,
    measured: list[Measured],
    reference: Reference,
    price_lists: tuple[EnergyTarget, ...],
    *,
    layout: Layout,
    findings: list[Finding],
) -> Board:
    protocol, classes = reference.protocol, reference.classes
    targets = [each for each in price_lists if each.on_boards]
    if layout == "runs":
        return board_of(
            measured,
            protocol=protocol,
            targets=targets,
            classes=classes,
            guess_loss=reference.guess_loss,
            price_lists=price_lists,
        )
    folder = root / protocol.name
    dossiers = read_dossiers(folder)
    findings += dossiers.findings
    standings = {
        each.method_id: Standing(division_of(each.method, reference), dossiers.of(each.method_id))
        for each in measured
    }
    outsiders = read_outsiders(folder, dossiers, measure=reference.measure, findings=findings)
    findings += _without_records(folder, dossiers, {*standings, *(each.method_id for each in outsiders)})
    return board_of(
        measured,
        protocol=protocol,
        targets=targets,
        classes=classes,
        guess_loss=reference.guess_loss,
        standings=standings,
        outsiders=outsiders,
        price_lists=price_lists,
    )


def _without_records(folder: Path, dossiers: Dossiers, known: set[str]) -> Iterable[Finding]:
    for name in dossiers.by_method:
        if name not in known:
            yield Finding(str(folder), f"speaks of method {name}, of which there is no record")


def build(
    root: Path, *, layout: Layout, references: References, protocol: str | None = None
) -> tuple[list[Built], tuple[Finding, ...]]:
    """Write table.md, table.csv and board.png into <root>/<protocol>/; returns these and what was left out.

    Raises:
        InputError: there is no such folder, or no record in it.
        StorageError: a file cannot be written.
    """
    with painter(apart=is_large(root, layout=layout)) as begin:
        found = show(root, layout=layout, references=references, protocol=protocol)
        if not found.boards and not found.findings:
            raise InputError(
                f"{root}: no record found; make one with 'sgbench run', or name a folder with --root"
            )
        return [_write(board, root, layout, begin) for board in found.boards], found.findings


def _write(board: Board, root: Path, layout: Layout, begin: Begin) -> Built:
    folder = root / board.protocol.name
    picture = begin(board)
    values = to_csv(board)
    contents = {
        TABLE: to_markdown(board, layout=layout).encode(),
        VALUES: values.encode(),
        PICTURE: stamped(picture(), table_csv=values),
    }
    for name, data in contents.items():
        write_atomic(folder / name, data)
    return Built(
        protocol=board.protocol.name,
        methods=len(board.rows) + len(board.baselines) + len(board.retired),
        records=sum(len(row.scores) for row in (*board.rows, *board.baselines, *board.retired)),
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
        findings += Objects(root / name).check()
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
