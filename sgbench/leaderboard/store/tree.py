"""Folders of records: reading what strangers wrote, and adding to a board without ever overwriting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.answers import check_predictions
from sgbench.leaderboard.store.reading import ChoosesSettingsError, Finding, Layout, RecordReader, finding
from sgbench.leaderboard.store.sources import require_same_source, row_beside, row_on_board, source_of
from sgbench.paths import RECORD
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.unfinished import remove_abandoned

RECORDS = "records"
RUN_DEPTH = 3  # <protocol>/<method_id>/<seed>


class RowRecords(NamedTuple):
    """Holds the records behind one row of a board: of one method and, of classes of one's own, one source."""

    row_id: str  # the method's id, and a source behind it where another one came before
    records: list[RunRecord]


class AnotherRecordError(InputError):
    """Says that a board has another record of the same run.

    Args:
        target: where it lies.
    """

    def __init__(self, target: Path) -> None:
        super().__init__(f"{target} holds another record of this method and seed, which is never overwritten")
        self.target = target


@dataclass(frozen=True)
class RecordsAdded:
    """Holds what became of the records of `add`."""

    added: tuple[str, ...]
    already_there: tuple[str, ...]
    refused: tuple[Finding, ...]
    contradicted: tuple[str, ...] = ()
    """What is there of runs whose other records were refused."""


def protocols(root: Path, *, only: str | None = None, layout: Layout = "runs") -> list[str]:
    """List the protocols that have a folder below `root`.

    Args:
        root: a runs folder or a leaderboards folder.
        only: this one alone.
        layout: which of the two; they are filled in different ways.

    Raises:
        InputError: there is no such folder.
    """
    if not root.is_dir():
        way = (
            "name one with --root, or fill it with 'sgbench run'"
            if layout == "runs"
            else "start in the checkout, or name one with --root, or fill it with 'sgbench board add'"
        )
        raise InputError(f"{root}: no such folder; {way}")
    names = sorted(
        child.name for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    if only is None:
        return names
    if only not in names:
        raise InputError(f"{root} has no protocol '{only}'; {suggest(only, names)}")
    return [only]


@dataclass(frozen=True)
class RecordTree:
    """Names a folder of records, how it is laid out, and what of it is read.

    Args:
        root: a runs folder or a leaderboards folder.
        layout: which of the two.
        references: what the catalogue says of protocols, against which each record is checked.
        only: the one protocol that is read, or None for all.
    """

    root: Path
    layout: Layout
    references: References
    only: str | None = None

    def protocols(self) -> list[str]:
        """List the protocols that are read.

        Raises:
            InputError: `root` is no folder, or has none for the protocol asked for.
        """
        return protocols(self.root, only=self.only, layout=self.layout)

    def candidates(self) -> tuple[list[Path], list[Finding]]:
        """List the files that have to be records; see the function of this name."""
        return candidates(self.root, layout=self.layout, only=self.only)


def read_methods(tree: RecordTree) -> Iterator[RowRecords | Finding]:
    """Read the records of one row after the other, so that ten thousand are never in memory together.

    Nothing in the tree is trusted. In place of a file that cannot be read, does not lie where its content says, or
    deviates from the protocol a finding comes; the others still count. Runs that settings were chosen with are
    neither rows nor findings.

    Raises:
        InputError: the root is no folder, or has none for the protocol asked for.
    """
    paths, findings = tree.candidates()
    yield from findings
    yield from read_paths(paths, tree)


def candidates(root: Path, *, layout: Layout, only: str | None = None) -> tuple[list[Path], list[Finding]]:
    """List the files of a tree that have to be records, those of one method side by side, and what was left out.

    Raises:
        InputError: `root` is no folder, or has none for the protocol asked for.
    """
    names = protocols(root, only=only, layout=layout)
    starts = [root / name if layout == "runs" else root / name / RECORDS for name in names]
    findings = [_link(path) for path in [*root.iterdir(), *starts] if path.is_symlink() and path.is_dir()]
    paths: list[Path] = []
    for start in starts:
        if not start.is_symlink():
            files, left_out = _files(start, layout)
            paths += files
            findings += left_out
    return paths, findings


def read_paths(paths: Iterable[Path], tree: RecordTree) -> Iterator[RowRecords | Finding]:
    """Read the records in these files, one row after the other; see `read_methods`."""
    reader = RecordReader(tree.references)
    on_board = tree.layout == "leaderboards"
    depth = len(tree.root.parts)
    for folder, files in groupby(paths, key=lambda path: path.parts[: -1 if on_board else -2]):
        rows: dict[str, list[RunRecord]] = {}
        for path in files:
            try:
                record = reader.comparable(path, path.parts[depth:], tree.layout)
                first = next((record for of in rows.values() for record in of if source_of(record)), record)
                if on_board:  # whose folders have one source each
                    require_same_source(record, first)
                row = folder[-1] if on_board else row_beside(record, source_of(first))
            except ChoosesSettingsError:
                continue
            except InputError as error:
                yield finding(path, error)
                continue
            rows.setdefault(row, []).append(record)
        yield from (RowRecords(*row) for row in rows.items())


def add(sources: Sequence[Path], board_dir: Path, *, references: References) -> RecordsAdded:
    """Copy the records below `sources` into <board_dir>/<protocol>/records/<method_id>/<seed>.json.

    A board only grows: a record that is there already is left alone, and another one for the same protocol,
    method and seed is refused. Of classes of one's own, those of another source than the first ones of a method
    become a row of their own, <method_id>-<source>.

    Args:
        sources: runs folders, or any folder inside one.
        board_dir: the leaderboards folder; made if needed.
        references: against which each record is checked.

    Raises:
        InputError: a source is no folder.
        StorageError: the board cannot be written.
    """
    for source in sources:
        if not source.is_dir():
            raise InputError(f"{source}: no such folder; name a runs folder, or one inside it")
    remove_abandoned(board_dir)  # by one that was killed
    done = [
        add_runs(read_runs(source, references=references), board_dir, check=check_predictions)
        for source in sources
    ]
    return RecordsAdded(
        tuple(target for one in done for target in one.added),
        tuple(target for one in done for target in one.already_there),
        tuple(finding for one in done for finding in one.refused),
    )


def add_runs(
    runs: Runs, board_dir: Path, *, check: Callable[[RunRecord, Path], object] | None = None
) -> RecordsAdded:
    """Copy records that were read into a leaderboards folder; see `add`.

    Args:
        runs: of a runs folder.
        board_dir: the leaderboards folder; made if needed.
        check: asked of each record and its folder before it is copied; None: nothing lies beside them.

    Raises:
        StorageError: the board cannot be written.
    """
    added: list[str] = []
    present: list[str] = []
    contradicted: list[str] = []
    refused = list(runs.findings)
    for record, path in runs.records:
        try:
            if check is not None:
                check(record, path.parent)
            folder = board_dir / record.protocol
            target = record_path(folder, row_on_board(folder / RECORDS, record), record.seed)
            (added if place_record(target, record) else present).append(str(target))
        except InputError as error:
            refused.append(finding(path, error))
            if isinstance(error, AnotherRecordError):
                contradicted.append(str(error.target))
    return RecordsAdded(tuple(added), tuple(present), tuple(refused), tuple(contradicted))


def record_path(folder: Path, row_id: str, seed: int) -> Path:
    """Return where a record of a row belongs in the folder of its protocol."""
    return folder / RECORDS / row_id / f"{seed}.json"


@dataclass(frozen=True)
class Runs:
    """Holds comparable records of a runs folder with their files, and everything that was left out."""

    records: tuple[tuple[RunRecord, Path], ...]
    findings: tuple[Finding, ...]


def read_runs(source: Path, *, references: References, trials: bool = False) -> Runs:
    """Read the records of a runs folder, or of any folder inside one.

    Args:
        source: the folder.
        references: against which each record is checked.
        trials: whether runs of seeds that settings are chosen with are wanted too.

    Raises:
        InputError: there is no such folder.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; name a runs folder, or one inside it")
    reader = RecordReader(references, trials=trials)
    # A source may be the folder of one run, so its own parents count for the place of a record.
    full = source.resolve()
    paths, findings = _files(source, "runs")
    records: list[tuple[RunRecord, Path]] = []
    for path in paths:
        place = (full / path.relative_to(source)).parts[-RUN_DEPTH - 1 :]
        try:
            records.append((reader.comparable(path, place, "runs"), path))
        except ChoosesSettingsError:
            continue
        except InputError as error:
            findings.append(finding(path, error))
    return Runs(tuple(records), tuple(findings))


def place_record(target: Path, record: RunRecord) -> bool:
    """Write a new record; False if the same one is there already.

    Raises:
        AnotherRecordError: another one is there, which is never overwritten.
        StorageError: the folder cannot be written.
    """
    if target.is_symlink() or target.exists():
        # As records, because one that an older version wrote may lack a group added since.
        if read_model(target, RunRecord) != record:
            raise AnotherRecordError(target)
        return False
    write_atomic(target, to_json(record))
    return True


def _files(start: Path, layout: Layout) -> tuple[list[Path], list[Finding]]:
    """List the paths of candidate files in sorted order; links to folders are named, not followed."""
    paths: list[Path] = []
    findings: list[Finding] = []

    def complain(error: OSError) -> None:
        findings.append(Finding(str(error.filename), f"cannot be read: {error.strerror}"))

    if not start.exists():
        return paths, findings
    for where, folders, files in os.walk(start, onerror=complain):
        here = Path(where)
        if layout == "runs" and RECORD in files:
            folders.clear()  # the rest of a run's folder belongs to loggers
        depth = len(here.relative_to(start).parts)
        links = [name for name in folders if (here / name).is_symlink() and depth < RUN_DEPTH]
        findings += [_link(here / name) for name in links]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        wanted = (name for name in sorted(files) if name == RECORD or layout != "runs")
        paths += [here / name for name in wanted if not name.startswith(".")]
    return paths, findings


def _link(path: Path) -> Finding:
    return Finding(str(path), "a link to a folder, which is not followed")
