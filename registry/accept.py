"""Accepts what was handed in: submissions into a board, where nothing that is there changes, and facts of data sets."""

import re
from pathlib import Path
from typing import Any

import yaml

from registry.audit import BoardAudit
from sgbench.composition.catalogue import Entry
from sgbench.composition.data_facts import UNREAD_FILES
from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.confirm import compare
from sgbench.datasets.event_files import EventFiles
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.method_provenance import place
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.outside import place_external
from sgbench.leaderboard.store.predictions import Judge, claim_of
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.records.files import read_bytes, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.submission import DataConfirmation
from sgbench.records.unfinished import remove_abandoned
from sgbench.submissions.check import Checked, check
from sgbench.submissions.folder import FOLDERS, TUNING, list_contents


def accept(root: Path, board: Path, *, references: References, judge: Judge, weights_at: str | None = None) -> Checked:
    """Check a submission and copy it into the leaderboards folder; one with an error is refused.

    If this is interrupted, the next call copies the files that are missing and removes unfinished ones.

    `board`: the leaderboards folder. `judge`: knows data sets and losses. `weights_at`: an address below which the
    folder lies; then the store keeps where weights are, not their bytes.
    """
    checked = check(root, references=references, judge=judge, board=board)
    errors = [problem for problem in checked.problems if problem.level == "error"]
    if checked.submission is None or errors:
        first = errors[0]
        raise InputError(f"{root}: {first.path}: {first.message}; see: sgbench submit check {root}")
    folder = board / checked.submission.protocol
    stored = StoredRecords(folder)
    _require_first_source(root, stored, checked)
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
    for record in checked.records:
        if isinstance(record, RunRecord):
            stored.add(record.method_id, record)
        else:
            place_external(folder, record)
    place(folder, checked.submission)
    if checked.submission.method is not None and any(claim_of(record) for record in checked.records):
        BoardAudit(folder, references=references, runs_dir=folder).promise(checked.submission.method_id)
    return checked


def _require_first_source(root: Path, stored: StoredRecords, checked: Checked) -> None:
    """Refuse a method that the board has already with other source code of the user's own classes."""
    for record in checked.records:
        if isinstance(record, RunRecord) and stored.row_of(record) != record.method_id:
            raise InputError(
                f"{root}: the board has method {record.method_id} with classes of another source; give one entry a "
                f"name of its own"
            )


def accept_data(confirmation: DataConfirmation, entry: Entry, data_set: object) -> None:
    """Write the sizes and the checksum that a holder of the originals confirmed into a data set's entry.

    Raises `InputError` if the entry has a checksum, was read here, states other sizes, or is another data set.
    """
    stated = entry.meta.get("sizes") or {}
    other: list[Split] = [split for split, size in confirmation.sizes.items() if stated.get(split) not in (None, size)]
    if entry.meta.get("sha256") is not None:
        raise InputError(f"data set {entry.name}: has a checksum already; nothing is accepted over it")
    if UNREAD_FILES not in entry.meta or not isinstance(data_set, EventFiles):
        raise InputError(f"data set {entry.name}: is not one of originals that were never read; see sgbench data list")
    if other:
        raise InputError(
            f"data set {entry.name}: {confirmation.sizes[other[0]]} samples of {other[0]}, its file says "
            f"{stated[other[0]]}; ask {confirmation.contact}"
        )
    compare(confirmation, data_set)
    write_atomic(entry.path, _rewritten(entry.path, confirmation).encode())


def _rewritten(path: Path, confirmation: DataConfirmation) -> str:
    """Return the text of an entry with what was confirmed; nothing else that it says differs."""
    text = path.read_text()
    found: dict[str, int] = {str(split): size for split, size in confirmation.sizes.items()}
    sizes = ", ".join(f"{split}: {found[split]}" for split in SPLITS)
    expected: dict[str, Any] = yaml.safe_load(text)
    expected["meta"] |= {"sizes": found, "sha256": confirmation.sha256}
    del expected["meta"][UNREAD_FILES]
    for key, old, new in (
        ("sizes", ".*$", f"  sizes: {{{sizes}}}"),
        ("sha256", "null$", f"  sha256: {confirmation.sha256}"),
        (UNREAD_FILES, r".*\n", ""),
    ):
        text, count = re.subn(f"(?m)^  {key}: {old}", new, text)
        if count != 1:
            raise InputError(f"{path}: {count} lines of {key} to replace, one is needed; write it by hand")
    if yaml.safe_load(text) != expected:
        raise InputError(f"{path}: its meta is not in lines of their own; write sizes and sha256 by hand")
    return text
