"""The scored runs of a study as records of boards, from its store."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.sources import row_on_board
from sgbench.leaderboard.store.tree import RECORDS, RecordsAdded, add_runs, read_runs, record_path
from sgbench.paths import RECORD
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.record import RunRecord
from sgbench.study.definition import Loaded
from sgbench.study.store import Store


def publish(
    loaded: Loaded, blocks: Sequence[str], store: Store, board_dir: Path, references: References
) -> tuple[int, RecordsAdded]:
    """Add the stored records of some blocks to boards, as `sgbench board add` adds those of a runs folder.

    Records that the store calls void leave the boards first; how many did is returned beside what became of the
    others. A study keeps no predictions, so that rows are compared by their scores alone. What a board cannot
    compare, such as a network of another depth than its protocol fixes, is refused.

    Args:
        loaded: the study.
        blocks: whose seeds are those that report.
        store: of the study.
        board_dir: the leaderboards folder.
        references: against which each record is checked.

    Raises:
        InputError: a block tunes or maps, so that its seeds are not those of a board, or nothing of it is stored.
    """
    for name in blocks:
        purpose = loaded.study.blocks[name].purpose
        if purpose != "report":
            raise InputError(
                f"block {name}: its seeds {_WHY[purpose]}; boards are made of blocks that report"
            )
    with tempfile.TemporaryDirectory() as folder:
        for entry in store.entries(blocks):
            protocol, method_id, seed = entry.key
            write_atomic(Path(folder) / protocol / method_id / str(seed) / RECORD, to_json(entry.record))
        runs = read_runs(Path(folder), references=references)
    if not runs.records and not runs.findings:
        raise InputError(
            f"{store.folder}: holds no run of {', '.join(blocks)}; sgbench study status says what it holds"
        )
    return _remove_void(blocks, store, board_dir), add_runs(runs, board_dir)


def _remove_void(blocks: Sequence[str], store: Store, board_dir: Path) -> int:
    """Take off the boards the records of some blocks that the store calls void; return how many there were.

    A record of the same run that somebody else made stays.

    Args:
        blocks: of the study.
        store: of the study, whose manifest gives the reason.
        board_dir: the leaderboards folder.
    """
    removed = 0
    for entry in store.void_entries(blocks):
        record = entry.record
        folder = board_dir / record.protocol
        path = record_path(folder, row_on_board(folder / RECORDS, record), record.seed)
        if path.is_file() and read_model(path, RunRecord) == record:
            path.unlink()
            removed += 1
    return removed


_WHY = {"tuning": "chose settings", "map": "have no board"}
