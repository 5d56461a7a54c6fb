"""Checks that a board holds every file of its accepted submissions, and no hidden files."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.store.method_provenance import Provenances
from sgbench.leaderboard.store.objects import OBJECTS, Kind
from sgbench.leaderboard.store.outside import EXTERNAL
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.stored import RECORDS, StoredRecords
from sgbench.records.files import read_bytes, to_json
from sgbench.records.submission import FileNote, Submission
from sgbench.records.unfinished import ENDING, abandoned

KINDS: dict[str, Kind] = {"predictions": "csv", "weights": "safetensors", "tuning.json": "json"}
REMEDY = "restore it from the repository's history, or accept the submission anew (python -m registry accept)"


def lost_files(folder: Path, provenances: Provenances) -> Iterator[Finding]:
    """Yield a finding for each file of an accepted submission that the store lacks, or whose record was changed.

    Large files count as stored if only their address is; their content is checked by `Objects.check`.
    """
    records = StoredRecords(folder)
    submissions = (provenance.submission for provenance in provenances.by_method.values())
    for submission in (submission for submission in submissions if submission is not None):
        for note in submission.files:
            path = place_of_file(folder, submission, note)
            is_record = note.path.startswith("records/")
            reason = _changed(path, note, records) if is_record else _missing(path)
            if reason is not None:
                file = f"{note.path} of submission {submission.method_id}"
                yield Finding(str(path), f"{file} {reason}; {REMEDY}")


def hidden_files(folder: Path) -> Iterator[Finding]:
    abandoned_paths = {*abandoned(folder)}
    for where, folders, files in os.walk(folder):
        hidden = sorted(name for name in [*folders, *files] if name.startswith("."))
        folders[:] = sorted(set(folders) - set(hidden))
        for path in (Path(where) / name for name in hidden):
            if path in abandoned_paths:
                yield Finding(str(path), "was left by a command that was killed; remove it")
            elif path.suffix != ENDING:
                yield Finding(str(path), "is hidden and no part of a board; remove it")


def place_of_file(folder: Path, submission: Submission, note: FileNote) -> Path:
    kind, _, name = note.path.partition("/")
    if kind == "records":
        parent = EXTERNAL if submission.division == "external" else RECORDS
        return folder / parent / submission.method_id / name
    return folder / OBJECTS / f"{note.sha256}.{KINDS[kind]}"


def _changed(path: Path, note: FileNote, records: StoredRecords) -> str | None:
    try:
        data = _record_bytes(path, records)
        if data is None:
            return "is not in the store"
    except InputError as error:
        return f"cannot be read: {str(error).removeprefix(f'{path}: ')}"
    same = hashlib.sha256(data).hexdigest() == note.sha256
    return None if same else "is not what was handed in"


def _record_bytes(path: Path, records: StoredRecords) -> bytes | None:
    if path.is_symlink() or path.exists() or path.parent.parent.name != RECORDS:
        return read_bytes(path) if path.is_file() else None
    record = records.record(path.parent.name, int(path.stem))
    return None if record is None else to_json(record)


def _missing(path: Path) -> str | None:
    reference = path.with_name(f"{path.name}.ref")
    return None if path.exists() or reference.exists() else "is not in the store"
