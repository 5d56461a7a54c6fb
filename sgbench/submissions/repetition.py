"""Says which seed of a row a name and a day draw, and takes what somebody repeated of it elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

from sgbench.errors import InputError
from sgbench.records.audit import Audit, Repetition
from sgbench.statistics.sampling import drawn
from sgbench.submissions.draws import NUMBER_DIGITS
from sgbench.submissions.head import status_words


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
    given: Repetition,
    *,
    claims: Mapping[int, float],
    processors: Mapping[int, str],
    whose: Collection[str],
) -> Audit:
    """Add a line that somebody else handed in to a board's audit; one that is there already changes nothing.

    `audit`: of the board. `given`: the line. `claims`: maps the finished seeds of the row to the scores of their
    records. `processors`: maps them to the processors of their records. `whose`: names of those who handed the row in.
    """
    if given.session in (audit.elsewhere or ()):
        return audit
    for problem in _problems(audit, given, claims, processors, whose):
        raise InputError(problem)
    return audit.model_copy(update={"elsewhere": (*(audit.elsewhere or ()), given.session)})


def _problems(
    audit: Audit, given: Repetition, claims: Mapping[int, float], processors: Mapping[int, str], whose: Collection[str]
) -> Iterator[str]:
    """Yield what speaks against taking a repetition: another claim, number or seed, or no independent person."""
    session, (retraining,) = given.session, given.session.retrainings
    what = f"{given.protocol} {retraining.method_id} seed {retraining.seed}"
    if claims.get(retraining.seed) != retraining.claimed:
        yield (
            f"{what}: {retraining.claimed:.9g} is not what its record claims; repeat it with the boards of this commit"
        )
    elif session.draw != number_for(session.verifier, session.created_utc[:10]):
        yield f"{what}: {session.draw} is not the number of '{session.verifier}' on that day; sgbench audit --one draws"
    elif retraining.seed != seed_for(given.protocol, retraining.method_id, claims, session.draw):
        yield f"{what}: the number draws another seed of this row; sgbench audit --one draws"
    own = {*whose, *(earlier.verifier for earlier in audit.sessions)}
    if _bare(session.verifier) in {_bare(name) for name in own} or status_words(session.verifier):
        yield f"{what}: '{session.verifier}' is who made or checked the row; 'elsewhere' needs another name"
    if _bare(session.processor) == _bare(processors.get(retraining.seed, "")):
        yield f"{what}: its record is from {session.processor} too; 'elsewhere' needs another processor"


def _bare(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
