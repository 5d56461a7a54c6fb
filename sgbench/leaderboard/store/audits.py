"""Judges the audit of a board: whether retrained seeds agree with their records, method by method."""

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.leaderboard.store.repeats import ROUNDING, Repeats, is_close, judge_claims, judge_scores, tolerance_for
from sgbench.records.audit import Audit, AuditSession, Retraining, Tolerance
from sgbench.records.files import read_model
from sgbench.records.submission import Verification
from sgbench.statistics.intervals import standard_deviation, t_quantile
from sgbench.statistics.solved import compare_shares

AUDIT = "audit.json"
REFUSED = 0.01
"""Share of boards on which some honest row is refused."""
LEAST_LOSS = 0.01
"""Relative difference of losses below which two losses agree."""
MIN_PAIRS = 5
"""Fewest retrained runs from which a spread is computed."""
MIN_SOLVED = 5
"""Fewest seeds of a method whose shares of solved seeds are compared."""


def read_audit(folder: Path, findings: list[Finding]) -> Audit | None:
    """Read the audit in a protocol's folder; None without one, or if it cannot be read, which adds a finding."""
    path = folder / AUDIT
    if not path.exists() and not path.is_symlink():
        return None
    try:
        audit = read_model(path, Audit)
        if audit.protocol != folder.name:
            raise InputError(f"{path}: misplaced: it speaks of {audit.protocol}")
    except InputError as error:
        findings.append(finding(path, error))
        return None
    return audit


def by_method(audit: Audit) -> dict[str, list[tuple[AuditSession, Retraining]]]:
    """Map the ids of methods to their retrainings, each behind its session, in the order of sessions."""
    groups: dict[str, list[tuple[AuditSession, Retraining]]] = {}
    for session in audit.sessions:
        for retraining in session.retrainings:
            groups.setdefault(retraining.method_id, []).append((session, retraining))
    return groups


def verdicts(audit: Audit, handed_in: Collection[str] = ()) -> Iterator[Verification]:
    """Yield a verification for each method with enough retrained seeds, if the board has a tolerance to judge it by.

    `handed_in` are ids of submissions by others. Their claims set no tolerance, and have to meet a tighter one.
    """
    for method_id, done in by_method(audit).items():
        outcome, statement, tolerance = _outcome(audit, method_id, handed_in)
        if outcome not in ("agrees", "differs"):
            continue
        retrainings = [retraining for _, retraining in done]
        first = {retraining.seed: retraining for retraining in reversed(retrainings)}
        claimed, again = (
            math.fsum(getattr(retraining, name) for retraining in first.values()) / len(first)
            for name in ("claimed", "again")
        )
        by_loss = audit.measure == "loss"
        session = done[-1][0]
        yield Verification(
            schema_version=1,
            protocol=audit.protocol,
            method_id=method_id,
            tier="retrained",
            passed=outcome == "agrees",
            verifier=session.verifier,
            seeds=tuple(sorted(first)),
            claimed_accuracy=None if by_loss else claimed,
            verified_accuracy=None if by_loss else again,
            agreement=None,
            tolerance=tolerance if by_loss or tolerance is None else min(tolerance, 1.0),
            statement=statement,
            commit=session.commit,
            versions=session.versions,
            created_utc=session.created_utc,
            claimed_loss=claimed if by_loss else None,
            verified_loss=again if by_loss else None,
        )


def _outcome(audit: Audit, method_id: str, handed_in: Collection[str]) -> tuple[str, str, float | None]:
    """Return the outcome of a method's repeats, a sentence on it, and the tolerance of a seed.

    The outcome is "agrees", "differs" or "loose", or "" while too little is known.
    """
    retrainings = [retraining for _, retraining in by_method(audit)[method_id]]
    is_loss = audit.measure == "loss"
    seeds = len({retraining.seed for retraining in retrainings})
    if method_id in handed_in or is_close(audit.repeatability, seeds):
        outcome, statement = judge_claims(retrainings, audit.repeatability, is_loss=is_loss)
        return outcome, statement, tolerance_for(audit.repeatability)
    if audit.tolerance is None:
        return "", "", None
    solved_from = audit.tolerance.solved_from
    if solved_from is not None and seeds < MIN_SOLVED:
        return "", "", None
    passed, statement = judge(retrainings, audit.tolerance, is_loss=is_loss)
    return ("agrees" if passed else "differs", statement, audit.tolerance.score if solved_from is None else None)


def tolerance_in_use(audit: Audit) -> Tolerance | None:
    """Return the tolerance of a seed of own rows: of repeats on another processor, else the stored one."""
    known = audit.repeatability
    if known is None or not is_close(known, 1):
        return audit.tolerance
    return Tolerance(
        score=tolerance_for(known), spread=known.spread, pairs=known.repeats, basis="remade", solved_from=None
    )


def repeats_of(audit: Audit, handed_in: Collection[str]) -> dict[str, Repeats]:
    """Map methods to their repeated seeds and what these say; a method whose outcome is unknown is left out."""
    drawn = {draw.method_id: draw.seeds for draw in audit.draws or () if draw.commit is not None}
    repeats = {}
    for method_id, done in by_method(audit).items():
        outcome, statement, allowed = _outcome(audit, method_id, handed_in)
        if not outcome:
            continue
        seeds = tuple(sorted({retraining.seed for _, retraining in done}))
        repeats[method_id] = Repeats(
            seeds=seeds,
            by=tuple(dict.fromkeys(session.verifier for session, _ in done)),
            processors=tuple(dict.fromkeys(session.processor for session, _ in done)),
            drawn=drawn.get(method_id),
            allowed=allowed,
            allowed_mean=None if allowed is None else allowed / math.sqrt(len(seeds)),
            outcome=outcome,  # pyright: ignore[reportArgumentType] - not ""
            statement=statement,
        )
    return repeats


def judge(retrainings: Sequence[Retraining], tolerance: Tolerance, *, is_loss: bool) -> tuple[bool, str]:
    """Decide whether the retrained seeds of one method agree with their records.

    Return whether they agree, and a line with the reason.

    `retrainings`: the retrained runs of one method. `tolerance`: how far scores may differ on its board; or, with
    `solved_from`, when a seed solves the task. `is_loss`: whether scores are losses.
    """
    if tolerance.solved_from is not None:
        return _judge_solved(retrainings, tolerance.solved_from)
    return judge_scores(retrainings, tolerance.score, is_loss=is_loss)


def _judge_solved(retrainings: Sequence[Retraining], solved_from: float) -> tuple[bool, str]:
    """Compare how many seeds solve the task in the records and after retraining; return agreement and statement."""
    first = {retraining.seed: retraining for retraining in reversed(retrainings)}
    claimed, again = (
        sum(getattr(retraining, name) >= solved_from for retraining in first.values()) for name in ("claimed", "again")
    )
    p = _p_differs(claimed, again, len(first))
    statement = (
        f"of {len(first)} seeds {again} solve the task again, and {claimed} in their records; p {p:.2g} by "
        f"Boschloo's exact test, {REFUSED:g} is needed"
    )
    return p >= REFUSED, statement


@functools.cache
def _p_differs(claimed: int, again: int, seeds: int) -> float:
    return compare_shares(claimed, seeds, again, seeds).p


def tolerance_of(
    differences: Sequence[float], seeds: Sequence[Sequence[float]], *, least: float, solved_from: float, widest: float
) -> Tolerance:
    r"""Compute the largest difference between a retrained seed and its claim, from retrained runs of a board.

    .. math:: T = \max\left(t_{n-1, 1 - 0.01 / m} \, s, \; d\right), \quad
        s = \sqrt{\frac{1}{n - 1} \sum_{i=2}^{n} d_{(i)}^2}

    d_(i) is the i-th largest of n differences. The largest is left out of s, so that no row sets its tolerance. The
    quantile is Bonferroni's over the m = n + 1 rows: an honest row is refused in one of a hundred boards. With
    fewer than five differences s is sqrt(2) times the pooled standard deviation of a method's seeds, since two runs
    of a seed differ no more than two seeds do. If T is above `widest`, rounding decides the outcome of seeds, and
    the shares of seeds that solve the task are compared instead.
    """
    if len(differences) >= MIN_PAIRS:
        without_largest = sorted(map(abs, differences))[:-1]
        spread = math.sqrt(math.fsum(value**2 for value in without_largest) / len(without_largest))
        pairs, basis = len(differences), "remade"
    else:
        spread, pairs = _between_seeds(seeds)
        basis = "seeds"
    degrees = max(1, pairs - 1)
    score = max(t_quantile(1 - REFUSED / max(1, len(seeds)), degrees) * spread, least)
    by_shares = score > widest
    return Tolerance(
        score=score, spread=spread, pairs=pairs, basis=basis, solved_from=solved_from if by_shares else None
    )


def _between_seeds(seeds: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the spread of a difference between two seeds, pooled over methods, and its degrees of freedom plus 1."""
    comparable = [scores for scores in seeds if len(scores) > 1]  # of methods with a spread between seeds
    if not comparable:
        raise InputError("an audit needs a method with two seeds or more; add their records first")
    degrees = sum(len(scores) - 1 for scores in comparable)
    pooled = math.fsum((len(scores) - 1) * standard_deviation(scores) ** 2 for scores in comparable) / degrees
    return math.sqrt(2 * pooled), degrees + 1


def claim_problems(audit: Audit, scores: Mapping[str, Mapping[int, float]], path: Path) -> Iterator[Finding]:
    """Yield a finding on the audit's file `path` for each claim in it that differs from the record.

    `scores` maps the ids of methods to their scores by seed.
    """
    for method_id, done in by_method(audit).items():
        for _, retraining in done:
            recorded = scores.get(method_id, {}).get(retraining.seed)
            if recorded is None or not math.isclose(recorded, retraining.claimed, rel_tol=ROUNDING, abs_tol=ROUNDING):
                recorded_text = "no record" if recorded is None else f"{recorded:.9g}"
                yield Finding(
                    str(path),
                    f"states {retraining.claimed:.9g} as the claim of {method_id} seed {retraining.seed}, of which "
                    f"there is {recorded_text}",
                )
