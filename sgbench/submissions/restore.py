"""A folder as it was handed in, put together from a board's store, so that anybody can check it again."""

import hashlib
from pathlib import Path

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.store.kept import KINDS, place_of_file
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS
from sgbench.leaderboard.store.objects import Objects
from sgbench.records.files import read_bytes, read_model, write_folder
from sgbench.records.submission import FileNote, Submission
from sgbench.submissions.folder import SUBMISSION


def restore(folder: Path, method: str, target: Path) -> Path:
    known = sorted(path.stem for path in (folder / SUBMISSIONS).glob("*.json"))
    if method not in known:
        raise InputError(f"{folder}: no submission '{method}'; {suggest(method, known)}")
    head = folder / SUBMISSIONS / f"{method}.json"
    submission = read_model(head, Submission)
    out = target / submission.protocol / method
    files = {note.path: _stored(folder, submission, note) for note in submission.files}
    write_folder(out, {**files, SUBMISSION: read_bytes(head)})
    return out


def _stored(folder: Path, submission: Submission, note: FileNote) -> bytes:
    kind = note.path.partition("/")[0]
    if kind == "records":
        data = read_bytes(place_of_file(folder, submission, note))
        if hashlib.sha256(data).hexdigest() != note.sha256:
            raise InputError(f"{folder}: {note.path} is not stored as it was handed in")
        return data
    content = Objects(folder).get(note.sha256, KINDS[kind])
    if content is None:
        raise InputError(f"{folder}: {note.path} ({note.sha256[:12]}) is not in the store; see its reference there")
    return content
