"""A checked submission becomes part of a board; nothing that is there changes."""

from pathlib import Path

from registry.audit import BoardAudit
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.method_provenance import place
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.outside import place_external
from sgbench.leaderboard.store.prediction_tables import Judge, claim_of
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.unfinished import remove_abandoned
from sgbench.submissions.check import Checked, check
from sgbench.submissions.folder import FOLDERS, TUNING, list_contents


def accept(root: Path, board: Path, *, references: References, judge: Judge, weights_at: str | None = None) -> Checked:
    """Check a submission and copy it; one with an error is left where it is.

    Killed meanwhile, it has copied a part; the next call copies the rest and removes what was left unfinished.

    `board`: the leaderboards folder. `judge`: knows data sets and losses. `weights_at`: an address below which the
    folder lies; then the store keeps where weights are, not their bytes.
    """
    checked = check(root, references=references, judge=judge, board=board)
    errors = [problem for problem in checked.problems if problem.level == "error"]
    if checked.submission is None or errors:
        first = errors[0]
        raise InputError(f"{root}: {first.path}: {first.message}; see: sgbench submit check {root}")
    folder = board / checked.submission.protocol
    _require_first_source(root, folder, checked)
    remove_abandoned(folder)
    contents, _ = list_contents(root)
    objects = Objects(folder)
    for path, file in contents.files.items():
        kind = path.partition("/")[0]
        if kind == "predictions":
            objects.put(read_bytes(file, limit=FOLDERS[kind][1]), "csv")
        elif kind == "weights":
            data = read_bytes(file, limit=FOLDERS[kind][1])
            if weights_at is None:
                objects.put(data, "safetensors")
            else:
                objects.refer(data, "safetensors", f"{weights_at.rstrip('/')}/{path}")
        elif path == TUNING:
            objects.put(read_bytes(file), "json")
    stored = StoredRecords(folder)
    for record in checked.records:
        if isinstance(record, RunRecord):
            stored.add(record.method_id, record)
        else:
            place_external(folder, record)
    place(folder, checked.submission)
    if checked.submission.method is not None and any(claim_of(record) for record in checked.records):
        BoardAudit(folder, references=references, runs_dir=folder).promise(checked.submission.method_id)
    return checked


def _require_first_source(root: Path, folder: Path, checked: Checked) -> None:
    stored = StoredRecords(folder)
    for record in checked.records:
        if isinstance(record, RunRecord) and stored.row_of(record) != record.method_id:
            raise InputError(
                f"{root}: the board has method {record.method_id} with classes of another source; give one entry a "
                f"name of its own"
            )
