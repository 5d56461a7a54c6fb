"""Reads and stores the provenance of a method: its submission, its verifications and notices."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sgbench.errors import InputError
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.audits import read_audit, repeats_of, tolerance_in_use, verdicts
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.leaderboard.store.repeats import RepeatElsewhere, Repeats, elsewhere_of, handed_in_of
from sgbench.records.audit import Audit, Draw, FreshScore
from sgbench.records.files import parse_model, read_model, to_json, write_atomic
from sgbench.records.submission import TIERS, Notice, Submission, TuningLog, Verification

LOG_FILE = "tuning.json"


def log_of(submission: Submission, folder: Path) -> TuningLog | None:
    """Return the tuning log of a submission; None without a readable one."""
    note = next((file for file in submission.files if file.path == LOG_FILE), None)
    if note is None:
        return None
    with suppress(InputError):  # `board check` reports it
        data = Objects(folder).get(note.sha256, "json")
        return None if data is None else parse_model(data, TuningLog, LOG_FILE)
    return None


SUBMISSIONS, VERIFICATIONS, NOTICES = "submissions", "verifications", "notices"
MIN_TRIED = 2  # fewest settings of a tuning
Stored = TypeVar("Stored", Submission, Verification, Notice)


@dataclass(frozen=True)
class MethodProvenance:
    """Holds submission, verifications and notice of one method; empty if only its records are known."""

    submission: Submission | None = None
    verifications: tuple[Verification, ...] = ()  # in the order of the tiers
    notice: Notice | None = None  # why it was withdrawn or superseded
    tuning: TuningLog | None = None  # log of a submission whose settings were chosen among several
    passed_over: str | None = None  # why none of its seeds was retrained
    fresh: tuple[FreshScore, ...] = ()  # scores of its weights on samples drawn later
    repeats: Repeats | None = None  # its seeds that were trained again
    earlier: tuple[Verification, ...] = ()  # trainings of a seed known beforehand: they prove nothing if passed
    is_own: bool = False  # whether the maintainers handed it in themselves
    draw: Draw | None = None  # of its seeds that are trained again
    elsewhere: tuple[RepeatElsewhere, ...] = ()  # its seeds that others repeated

    @property
    def best(self) -> Verification | None:
        """Return the verification of the highest tier that was passed; None without one."""
        passed = [verification for verification in self.verifications if verification.passed]
        return passed[-1] if passed else None

    def is_claimed(self, finished: Collection[int]) -> bool:
        """Return whether a method gets no rank, since it failed a check, or is a submission that was not repeated.

        A submission is repeated once the weights of all seeds in `finished` were run again, and all seeds that a
        promised commit drew, or all finished ones, were trained again and agree with their claims. Weights may have
        been trained on the test set, which only training again shows.
        """
        if self.failed is not None:
            return True
        if self.submission is None or self.is_own:
            return False
        run_again = {seed for check in self.verifications if check.tier == "reinferred" for seed in check.seeds}
        return not run_again.issuperset(finished) or not (self.is_repeated(finished) or self.passed_over is not None)

    def is_repeated(self, finished: Collection[int]) -> bool:
        """Return whether all seeds that had to be were trained again, and agree with their claims."""
        return self.repeats is not None and self.repeats.outcome == "agrees" and self.repeats.cover(finished)

    @property
    def is_trained_again(self) -> bool:
        """Return whether a seed was retrained and agreed."""
        return self.repeats is not None and self.repeats.outcome == "agrees"

    @property
    def failed(self) -> Verification | None:
        """Return the verification of the lowest tier that was not passed; None without one."""
        checks = (*self.verifications, *self.earlier)
        return next((verification for verification in checks if not verification.passed), None)


@dataclass(frozen=True)
class Provenances:
    """Holds the provenance of each method of a protocol, and its audit."""

    by_method: Mapping[str, MethodProvenance]
    findings: tuple[Finding, ...]  # one for each unusable file
    audit: Audit | None = None

    def of(self, method_id: str) -> MethodProvenance:
        """Return the provenance of a method, empty if only its records are known."""
        return self.by_method.get(method_id, MethodProvenance())


def read_provenances(folder: Path) -> Provenances:
    """Read the submissions, notices, verifications and audit of a board, and join them by method.

    An audit overrides stored retrainings: what it says of a method counts, and the stored ones are kept as earlier.
    """
    findings: list[Finding] = []
    submissions = {submission.method_id: submission for submission in _read(folder, SUBMISSIONS, Submission, findings)}
    notices = {notice.method_id: notice for notice in _read(folder, NOTICES, Notice, findings)}
    checks: dict[str, list[Verification]] = {}
    earlier: dict[str, list[Verification]] = {}
    for verification in _read(folder, VERIFICATIONS, Verification, findings):
        kind = earlier if verification.tier == "retrained" else checks
        kind.setdefault(verification.method_id, []).append(verification)
    audit = read_audit(folder, findings)
    handed_in = handed_in_of(audit, submissions)
    repeats = {} if audit is None else repeats_of(audit, handed_in)
    for verification in () if audit is None else verdicts(audit, handed_in):
        checks.setdefault(verification.method_id, []).append(verification)
    passed_over = {} if audit is None else {note.method_id: note.reason for note in audit.passed_over}
    fresh = () if audit is None else audit.fresh
    tolerance = None if audit is None else tolerance_in_use(audit)
    elsewhere = {} if audit is None else elsewhere_of(audit, 0.0 if tolerance is None else tolerance.score)
    draws = {} if audit is None else {draw.method_id: draw for draw in audit.draws or ()}
    by_method = {
        name: MethodProvenance(
            submissions.get(name),
            tuple(sorted(checks.get(name, []), key=_tier_and_time)),
            notices.get(name),
            _tuning(submissions.get(name), folder),
            passed_over.get(name),
            tuple(score for score in fresh if score.method_id == name),
            repeats.get(name),
            tuple(sorted(earlier.get(name, []), key=_tier_and_time)),
            name in submissions and name not in handed_in,
            draws.get(name),
            elsewhere.get(name, ()),
        )
        for name in sorted({*submissions, *notices, *checks, *earlier, *repeats, *passed_over, *draws, *elsewhere})
    }
    return Provenances(by_method, tuple(findings), audit)


def _tuning(submission: Submission | None, folder: Path) -> TuningLog | None:
    return None if submission is None or submission.tuning_trials < MIN_TRIED else log_of(submission, folder)


def without_other_scores(provenances: Provenances, folder: Path, measure: Measure) -> Provenances:
    """Remove verifications that state no score of the board's kind, accuracy or loss; each becomes a finding."""
    findings, by_method = list(provenances.findings), {}
    for name, provenance in provenances.by_method.items():
        others = [
            check
            for check in (*provenance.verifications, *provenance.earlier)
            if (check.claimed_loss is not None) != measure.is_loss
        ]
        verifications, earlier = (
            tuple(check for check in checks if check not in others)
            for checks in (provenance.verifications, provenance.earlier)
        )
        by_method[name] = replace(provenance, verifications=verifications, earlier=earlier)
        findings += [
            Finding(str(place_of(folder, check)), f"states no {measure.kind}, which the board compares")
            for check in others
        ]
    return replace(provenances, by_method=by_method, findings=tuple(findings))


def _tier_and_time(check: Verification) -> tuple[int, str]:
    return TIERS.index(check.tier), check.created_utc


def place_of(folder: Path, stored: Submission | Verification | Notice) -> Path:
    if isinstance(stored, Verification):
        return folder / VERIFICATIONS / stored.method_id / f"{stored.tier}.json"
    return folder / (SUBMISSIONS if isinstance(stored, Submission) else NOTICES) / f"{stored.method_id}.json"


def place(folder: Path, stored: Submission | Verification | Notice) -> Path:
    """Write a submission, verification or notice once, and return its path.

    A further verification of a tier gets a numbered file; what is stored already is not written again.
    """
    path = place_of(folder, stored)
    number = 1
    while path.is_symlink() or path.exists():
        if read_model(path, type(stored)) == stored:
            return path
        if not isinstance(stored, Verification):
            raise InputError(f"{path} is there already and is never overwritten; a board only grows")
        number += 1
        path = path.with_name(f"{stored.tier}-{number}.json")
    write_atomic(path, to_json(stored))
    return path


def _belongs(path: Path, folder: Path, stored: Stored) -> bool:
    """Return whether a file is where its content belongs; a further verification of a tier has a numbered name."""
    place = place_of(folder, stored)
    is_numbered = isinstance(stored, Verification) and re.fullmatch(rf"{stored.tier}-[0-9]{{1,6}}", path.stem)
    return path == place or (bool(is_numbered) and path == place.with_stem(path.stem))


def _read(folder: Path, name: str, model: type[Stored], findings: list[Finding]) -> Iterator[Stored]:
    """Yield the content of each file below a protocol's subfolder; unusable files are added to `findings`."""
    start = folder / name
    if start.is_symlink():
        findings.append(Finding(str(start), "a link to a folder, which is not followed"))
        return
    for path in sorted(start.rglob("*")) if start.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            continue
        if path.name.startswith("."):
            continue
        try:
            stored = read_model(path, model)
            if stored.protocol != folder.name or not _belongs(path, folder, stored):
                raise InputError(f"{path}: misplaced: it speaks of {stored.protocol} {stored.method_id}")
            yield stored
        except InputError as error:
            findings.append(finding(path, error))
