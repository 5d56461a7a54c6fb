"""Checks a stored board: no file is missing or hidden, and no verification claims what its files do not give."""

import hashlib
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.store.method_provenance import MethodProvenance, Provenances, place_of
from sgbench.leaderboard.store.objects import OBJECTS, Kind, Objects
from sgbench.leaderboard.store.outside import EXTERNAL
from sgbench.leaderboard.store.predictions import ROUNDING, Predictions, parse_prediction_table
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.stored import RECORDS, StoredRecords
from sgbench.records.files import read_bytes, to_json
from sgbench.records.submission import FileNote, Submission, Verification
from sgbench.records.unfinished import ENDING, abandoned

FOLDERS = {"rescored": ("predictions", "csv"), "reinferred": ("weights", "safetensors")}
"""Maps tiers to the folder and suffix of the files that they are repeated from."""


def forged_verifications(
    folder: Path, provenances: Provenances, scores: Mapping[str, Mapping[int, float]], reference: ProtocolReference
) -> Iterator[Finding]:
    """Yield a finding for each verification in a protocol's folder that cannot be of the files stored there.

    `scores` maps ids of methods to the scores of their finished seeds. A verification has to claim the mean of its
    seeds' records; a rescored one has to find what the stored predictions score; a reinferred one needs stored
    weights, and its score may lie no further from the claim than answers differ.
    """
    objects = Objects(folder)
    for method_id, provenance in provenances.by_method.items():
        for check in provenance.verifications:
            if check.tier not in FOLDERS:  # computed from the audit, whose claims are held against the records
                continue
            reason = _disagreement(check, provenance, scores.get(method_id, {}), reference, objects)
            if reason is not None:
                yield Finding(str(place_of(folder, check)), f"{reason}; verify the row again, or remove this file")


def _disagreement(
    check: Verification,
    provenance: MethodProvenance,
    scores: Mapping[int, float],
    reference: ProtocolReference,
    objects: Objects,
) -> str | None:
    """Explain why a verification cannot be of the stored files, or return None; `scores` are of finished seeds."""
    unknown = sorted({*check.seeds} - scores.keys())
    if unknown:
        return f"speaks of seeds {', '.join(map(str, unknown))}, of which no finished record is there"
    claimed = math.fsum(scores[seed] for seed in check.seeds) / len(check.seeds)
    if not math.isclose(claimed, check.claimed, rel_tol=ROUNDING, abs_tol=ROUNDING):
        return f"states {check.claimed:.9g} as the claim, and the records of its seeds give {claimed:.9g}"
    if provenance.submission is None:
        return "is of a method that nobody handed in, so that there is nothing to repeat"
    kind, suffix = FOLDERS[check.tier]
    handed_in = {note.path: note.sha256 for note in provenance.submission.files}
    hashes = {seed: handed_in.get(f"{kind}/{seed}.{suffix}", "") for seed in check.seeds}
    missing = [str(seed) for seed, sha256 in hashes.items() if not sha256]
    if missing:
        return f"is of seeds {', '.join(missing)}, of which no {kind} were handed in"
    return _reinferred(check) if check.tier == "reinferred" else _rescored(check, hashes.values(), reference, objects)


def _reinferred(check: Verification) -> str | None:
    """Explain why a repeated inference cannot have this result: its accuracy differs by more than its answers do."""
    if check.agreement is None:
        return "does not say how many answers agree"
    apart = abs(check.verified - check.claimed)
    if check.claimed_loss is None and check.passed and apart > 1 - check.agreement + ROUNDING:
        return f"scores {apart:.6g} off its claim, where {check.agreement:.6g} of all answers agree"
    return None


def _rescored(
    check: Verification, hashes: Collection[str], reference: ProtocolReference, objects: Objects
) -> str | None:
    """Explain that the stored predictions, given by their hashes, have another score; None if not, or some are lost."""
    accuracies = [value for sha256 in hashes if (value := _accuracy(sha256, reference, objects)) is not None]
    if len(accuracies) < len(hashes):
        return None
    again = math.fsum(accuracies) / len(accuracies)
    if not math.isclose(again, check.verified, rel_tol=ROUNDING, abs_tol=ROUNDING):
        return f"finds {check.verified:.9g}, and the stored predictions score {again:.9g}"
    return None


def _accuracy(sha256: str, reference: ProtocolReference, objects: Objects) -> float | None:
    """Return the accuracy of stored predictions; None if they are not here, are unreadable or are no classes."""
    try:
        data = objects.get(sha256, "csv")
        table = None if data is None else parse_prediction_table(data, sha256, reference)
    except InputError:  # told by the check of the objects
        return None
    return table.accuracy if isinstance(table, Predictions) else None


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
    """Yield a finding for each hidden file or folder of a board, but not for files that are being written."""
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
    """Say why a stored file is not what was handed in; None if it is."""
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
