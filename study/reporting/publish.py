"""The scored runs of a study as records of boards, from its store."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.reading import Finding, RecordReader, finding
from sgbench.leaderboard.store.stored import LinePlace, StoredRecords
from sgbench.leaderboard.store.tree import RecordsAdded, Runs, add_runs
from sgbench.records.record import RunRecord
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.store import Store, StoreEntry, StorePlace
from study.reporting.analysis import STUDIES


def publish(
    loaded: Loaded, blocks: Sequence[str], store: Store, board_dir: Path, references: References
) -> tuple[int, RecordsAdded]:
    """Add the stored records of some blocks to boards, as `sgbench board add` adds those of a runs folder.

    Records of a store in `study/` beside the boards are named in their indices, so that none is stored twice; those
    of any other store are copied.

    Records that the store calls void leave the boards first; how many did is returned beside what became of the
    others. A study keeps no predictions, so that rows are compared by their scores alone. What a board cannot
    compare, such as a network of another depth than its protocol fixes, is refused.
    """
    for name in blocks:
        purpose = loaded.study.blocks[name].purpose
        if purpose != "report":
            raise InputError(f"block {name}: its seeds {_WHY[purpose]}; boards are made of blocks that report")
    runs, lines = _comparable(store.entries(blocks), store, board_dir, references)
    if not runs.records and not runs.findings:
        raise InputError(
            f"{store.folder}: holds no run of {', '.join(blocks)}; sgbench study status says what it holds"
        )
    return _remove_void(blocks, store, board_dir), add_runs(runs, board_dir, lines=lines)


def _comparable(
    entries: Iterable[StoreEntry], store: Store, board_dir: Path, references: References
) -> tuple[Runs, dict[Path, LinePlace]]:
    """Return the runs that boards may take, why others are refused, and where each is stored in a shard."""
    reader = RecordReader(references)
    beside = Path(os.path.normpath(board_dir / os.pardir)) / STUDIES / store.study
    records: list[tuple[RunRecord, Path]] = []
    findings: list[Finding] = []
    lines: dict[Path, LinePlace] = {}
    for entry in entries:
        shard, line, sha256 = entry.place or StorePlace("", 0, "")
        path = store.folder / f"{shard}:{line}"
        try:
            reader.require_comparable(entry.record, str(path))
        except InputError as error:
            findings.append(finding(path, error))
            continue
        records.append((entry.record, path))
        if beside.resolve() == store.folder.resolve():
            lines[path] = LinePlace(f"{STUDIES}/{store.study}/{shard}", line, sha256)
    return Runs(tuple(records), tuple(findings)), lines


def _remove_void(blocks: Sequence[str], store: Store, board_dir: Path) -> int:
    """Take off the boards the records of some blocks that the store calls void; return how many there were.

    A record of the same run that somebody else made stays.
    """
    removed = 0
    boards: dict[str, StoredRecords] = {}
    for entry in store.void_entries(blocks):
        record = entry.record
        board = boards.setdefault(record.protocol, StoredRecords(board_dir / record.protocol))
        row = board.row_of(record)
        if board.record(row, record.seed) == record:
            board.remove(row, record.seed)
            removed += 1
    return removed


_WHY = {"tuning": "chose settings", "map": "have no board", "second_look": "have no board"}
