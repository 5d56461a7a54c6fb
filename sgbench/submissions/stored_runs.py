"""Repeats what a board says of hand-ins: the commits that drew their seeds, and their weights run again."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.leaderboard.store.integrity import KINDS, place_of_file
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS, Provenances, place_of, read_provenances
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.predictions import claim_of
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.leaderboard.store.tree import protocols
from sgbench.records.files import read_bytes, read_model, write_folder
from sgbench.records.submission import FileNote, Submission, Tier, Verification
from sgbench.submissions.check import has_history
from sgbench.submissions.draws import draw_problems
from sgbench.submissions.folder import SUBMISSION
from sgbench.submissions.verify.tiers import Verifier

REPEATED: tuple[Tier, ...] = ("rescored", "reinferred")
FAR = 0.01
"""Share by which a score that is verified again may differ from the stored one, which another processor gave."""


def other_draws(root: Path) -> Iterator[Finding]:
    """Yield a finding for each draw of a board that the repository's commits do not give; none without a history."""
    if not has_history(root):
        return
    for name in protocols(root, layout="leaderboards"):
        folder = root / name
        audit, stored = read_provenances(folder).audit, StoredRecords(folder)
        if audit is None or not audit.draws:
            continue
        finished = {
            draw.method_id: [
                seed
                for seed in stored.seeds(draw.method_id)
                if (record := stored.record(draw.method_id, seed)) is not None and record.test is not None
            ]
            for draw in audit.draws
        }
        for problem in draw_problems(audit, folder, finished):
            yield Finding(str(folder / AUDIT), problem)


def not_repeated(root: Path, references: References) -> Iterator[Finding]:
    """Score stored predictions and run stored weights again, and yield a finding where a board says otherwise.

    It takes a few seconds for each hand-in, and needs the data sets.
    """
    for name in protocols(root, layout="leaderboards"):
        folder = root / name
        stored = StoredRecords(folder)
        for check, submission in _latest(read_provenances(folder)):
            files = place_of(folder, check).parent.glob(f"{check.tier}*.json")  # later ones of a tier are numbered
            path = next(file for file in files if read_model(file, Verification) == check)
            try:
                reason = _differs(stored, check, submission, references)
            except InputError as error:
                yield finding(path, error)
                continue
            if reason is not None:
                yield Finding(str(path), reason)


def _latest(provenances: Provenances) -> Iterator[tuple[Verification, Submission | None]]:
    """Yield the last verification of each method and tier, with its submission."""
    for provenance in provenances.by_method.values():
        of_tier = {check.tier: check for check in provenance.verifications}
        yield from ((of_tier[tier], provenance.submission) for tier in REPEATED if tier in of_tier)


def _differs(
    stored: StoredRecords, check: Verification, submission: Submission | None, references: References
) -> str | None:
    """Repeat one verification on the stored submission; return how its result differs, None if it does not."""
    records = {seed: stored.record(check.method_id, seed) for seed in check.seeds}
    with tempfile.TemporaryDirectory(prefix="sgbench-again-") as target:
        where = restore(stored.folder, check.method_id, Path(target))
        assert submission is not None  # noqa: S101 - it was restored
        finished = {seed: record for seed, record in records.items() if record and claim_of(record) is not None}
        again = Verifier(where, submission, finished, references).verify(check.tier, sorted(finished))
    value = again.verified_accuracy if again.verified_loss is None else again.verified_loss
    assert value is not None  # noqa: S101 - one is stated
    if again.passed == check.passed and abs(value - check.verified) <= FAR * max(1.0, abs(value)):
        return None
    stated, repeated = ("passed" if result.passed else "failed" for result in (check, again))
    return f"says {check.verified:.6g} and {stated}; repeated: {value:.6g}, {repeated}"


def restore(folder: Path, method: str, target: Path) -> Path:
    """Write an accepted submission of a board, unchanged, to <target>/<protocol>/<method>; return this path."""
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
    """Return the bytes of a file of an accepted submission, whose hash has to be that of submission.json."""
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
