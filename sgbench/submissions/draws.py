"""Which seeds of a hand-in are trained again: drawn by a commit that nobody could know when it was handed in."""

import hashlib
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.records.audit import Audit, Draw, Repetition
from sgbench.records.files import parse_model
from sgbench.statistics.sampling import drawn
from sgbench.submissions.head import status_words
from sgbench.training.provenance import FAILURES, ask

SHORT_S = 120.0
"""Time of a seed's training up to which all seeds are trained again, so that nothing has to be drawn."""
NUMBER_DIGITS = 12
GIT_S = 10.0


def is_short(fits_s: Iterable[float]) -> bool:
    """Return whether the median training of a board's seeds, of all its rows, is so short that all are repeated."""
    return statistics.median(fits_s) <= SHORT_S


def number_of(commit: str) -> int:
    return int(commit[:NUMBER_DIGITS], 16)


def seeds_drawn(protocol: str, method_id: str, seeds: Collection[int], commit: str) -> tuple[int, ...]:
    """Draw half of a method's seeds, rounded up and at least two where there are two, by a commit."""
    order = drawn([f"{protocol} {method_id} {seed}" for seed in seeds], number_of(commit))
    count = max(min(2, len(order)), (len(order) + 1) // 2)
    return tuple(sorted(int(name.rpartition(" ")[2]) for name in order[:count]))


def promised(audit: Audit, method_id: str) -> Audit:
    """Add the promise that the first commit to come draws a method's seeds."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return audit.model_copy(update={"draws": (*(audit.draws or ()), Draw(method_id=method_id, promised_utc=now))})


def kept(audit: Audit, folder: Path, method_id: str, seeds: Collection[int]) -> tuple[Audit, Draw]:
    """Return the audit, and the draw of a method's seeds in it, with the commit that draws them and these seeds.

    `seeds`: those that are drawn from. A draw that has its commit already stays as it is.
    """
    draw = next((draw for draw in audit.draws or () if draw.method_id == method_id), None)
    if draw is None:
        raise InputError(f"{folder}: no draw is promised for {method_id}; accept promises one")
    if draw.commit is not None:
        return audit, draw
    commit = commit_after(folder, draw)
    if commit is None:
        raise InputError(
            f"{folder}: {method_id}: its seeds are drawn by the first commit after the one that brings the promise "
            f"of {draw.promised_utc}; there is none yet: commit the board, and repeat this after the next commit"
        )
    drawn_seeds = seeds_drawn(audit.protocol, method_id, seeds, commit)
    done = draw.model_copy(update={"commit": commit, "seeds": drawn_seeds})
    draws = tuple(done if other == draw else other for other in audit.draws or ())
    return audit.model_copy(update={"draws": draws}), done


def commit_after(folder: Path, draw: Draw) -> str | None:
    """Return the first commit of the checked-out line after the one that brought a promise; None if none came yet."""
    try:
        log = "log", "--first-parent", "--reverse", "--format=%H"  # commits, the oldest first
        commits = ask(folder, *log, timeout_s=GIT_S).decode().split()
        audit_commits = ask(folder, *log, "--", AUDIT, timeout_s=GIT_S).decode().split()
        promise_commit = next((commit for commit in audit_commits if _holds(folder, commit, draw)), None)
    except FAILURES as error:
        raise InputError(f"{folder}: is in no git repository, whose commits draw the seeds") from error
    if promise_commit is None:
        return None
    later_commits = commits[commits.index(promise_commit) + 1 :]
    return later_commits[0] if later_commits else None


def _holds(folder: Path, commit: str, draw: Draw) -> bool:
    """Return whether the audit as of a commit has the promise of a draw."""
    try:
        data = ask(folder, "show", f"{commit}:./{AUDIT}", timeout_s=GIT_S)
        draws = parse_model(data, Audit, AUDIT).draws or ()
    except (*FAILURES, InputError):
        return False
    return any((each.method_id, each.promised_utc) == (draw.method_id, draw.promised_utc) for each in draws)


def draw_problems(audit: Audit, folder: Path, finished: Mapping[str, Sequence[int]]) -> Iterable[str]:
    """Yield a line for each draw of an audit whose commit or seeds are not those that the repository's history gives.

    `finished` maps methods to their finished seeds, from which is drawn.
    """
    for draw in audit.draws or ():
        if draw.commit is None:
            continue
        due_commit = commit_after(folder, draw)
        if due_commit != draw.commit:
            due_text = "a later commit" if due_commit is None else due_commit[:12]
            yield f"{draw.method_id}: drawn by {draw.commit[:12]}, not by {due_text}"
            continue
        seeds = finished.get(draw.method_id, ())
        if {*draw.seeds} != {*seeds_drawn(audit.protocol, draw.method_id, seeds, draw.commit)}:
            yield f"{draw.method_id}: not the seeds that {draw.commit[:12]} draws"


def number_for(name: str, day: str) -> int:
    """Return the number that draws for a person on a day (UTC): twelve hexadecimal digits of their SHA-256.

    >>> number_for("me", "2026-12-02") == number_for("me", "2026-12-03")
    False
    """
    return int(hashlib.sha256(f"{name} {day}".encode()).hexdigest()[:NUMBER_DIGITS], 16)


def seed_for(protocol: str, method_id: str, seeds: Collection[int], number: int) -> int:
    """Return the one of a row's finished seeds that a number draws."""
    names = drawn([f"{protocol} {method_id} {seed}" for seed in sorted(seeds)], number)
    return int(names[0].rpartition(" ")[2])


def with_repetition(
    audit: Audit,
    repetition: Repetition,
    *,
    claims: Mapping[int, float],
    processors: Mapping[int, str],
    whose: Collection[str],
) -> Audit:
    """Add the repetition of a seed by somebody else to a board's audit, unless the audit has it already.

    `claims`: maps the finished seeds of the row to the scores of their records. `processors`: maps them to the
    processors of their records. `whose`: names of those who handed the row in.
    """
    if repetition.session in (audit.elsewhere or ()):
        return audit
    problem = next(_problems(audit, repetition, claims, processors, whose), None)
    if problem is not None:
        raise InputError(problem)
    return audit.model_copy(update={"elsewhere": (*(audit.elsewhere or ()), repetition.session)})


def _problems(
    audit: Audit,
    repetition: Repetition,
    claims: Mapping[int, float],
    processors: Mapping[int, str],
    whose: Collection[str],
) -> Iterator[str]:
    """Yield why a repetition is refused: another claim, number or seed, or no independent person or processor."""
    session, (retraining,) = repetition.session, repetition.session.retrainings
    what = f"{repetition.protocol} {retraining.method_id} seed {retraining.seed}"
    if claims.get(retraining.seed) != retraining.claimed:
        yield (
            f"{what}: {retraining.claimed:.9g} is not what its record claims; repeat it with the boards of this commit"
        )
    elif session.draw != number_for(session.verifier, session.created_utc[:10]):
        yield f"{what}: {session.draw} is not the number of '{session.verifier}' on that day; sgbench audit --one draws"
    elif retraining.seed != seed_for(repetition.protocol, retraining.method_id, claims, session.draw):
        yield f"{what}: the number draws another seed of this row; sgbench audit --one draws"
    involved = {*whose, *(earlier.verifier for earlier in audit.sessions)}
    if _bare(session.verifier) in {_bare(name) for name in involved} or status_words(session.verifier):
        yield f"{what}: '{session.verifier}' is who made or checked the row; 'elsewhere' needs another name"
    if _bare(session.processor) == _bare(processors.get(retraining.seed, "")):
        yield f"{what}: its record is from {session.processor} too; 'elsewhere' needs another processor"


def _bare(name: str) -> str:
    """Return the letters and digits of a name in lower case, to compare names however they are written."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
