"""Explain in sentences how two methods of a board differ, from their records and stored predictions."""

from dataclasses import replace

from sgbench.errors import InputError
from sgbench.leaderboard.board import show
from sgbench.leaderboard.contents import protocols_of
from sgbench.leaderboard.pages.explain import Explanation, Hits, explain, find_row, why_no_samples
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, parse_predictions
from sgbench.leaderboard.store.sources import method_of_row
from sgbench.leaderboard.store.stored import StoredRecords, record_path
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.paths import PREDICTIONS, RECORD
from sgbench.records.files import read_bytes


def explain_two(a: str, b: str, *, tree: RecordTree) -> Explanation:
    """Explain which of two methods is better, how sure that is, and at what cost.

    `a`: id, beginning of an id, label or surrogate of one method. `b`: id, beginning of an id, label or surrogate of
    the other method. `tree`: the records; where several of its boards have both methods, it must be limited to one.
    """
    protocol = tree.only or _protocol_of(a, b, tree)
    boards = show(replace(tree, only=protocol))
    if not boards.boards:
        raise InputError(f"{tree.root / protocol}: no valid record")
    (board,) = boards.boards
    protocol = board.protocol.name  # the whole name, also if its beginning was given
    rows = find_row(board, a), find_row(board, b)
    no_samples = why_no_samples(tree.references.of(protocol))
    with_predictions = () if no_samples or tree.layout == "registry" else rows
    hits = {row.method_id: stored for row in with_predictions if (stored := _hits(tree, protocol, row))}
    return explain(board, *rows, hits=hits, no_samples=no_samples)


def _protocol_of(a: str, b: str, tree: RecordTree) -> str:
    names = protocols_of(tree)
    if len(names) == 1:
        return names[0]
    if tree.layout != "leaderboards":  # whose records take half a minute to read
        boards = show(tree).boards
        names = [board.protocol.name for board in boards if _has(board, a) and _has(board, b)]
        if not names:
            raise InputError(f"no board of {tree.root} has both '{a}' and '{b}'; sgbench board show names methods")
    if len(names) > 1:
        raise InputError(f"name a board with --protocol (in Python protocol=...): one of {', '.join(names)}")
    return names[0]


def _has(board: Board, name: str) -> bool:
    try:
        find_row(board, name)
    except InputError:
        return False
    return True


def _hits(tree: RecordTree, protocol: str, row: MethodRow) -> Hits:
    """Map each finished seed with stored predictions to whether each test sample is right [samples]."""
    folder = tree.root / protocol
    objects, stored = Objects(folder), StoredRecords(folder)
    hits = {}
    for seed in sorted(row.finished):
        if tree.layout == "leaderboards":
            path = record_path(folder, row.method_id, seed)
            record = stored.record(row.method_id, seed)
            sha256 = None if record is None else record.predictions_sha256
            data = None if sha256 is None else objects.get(sha256, "csv")
        else:
            path = folder / method_of_row(row.method_id) / str(seed) / RECORD
            table = path.with_name(PREDICTIONS)
            data = read_bytes(table, limit=MAX_PREDICTION_BYTES) if table.is_file() else None
        if data is not None:
            hits[seed] = parse_predictions(data, str(path)).hits
    return hits
