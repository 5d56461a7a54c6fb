"""Whether the seeds of a row that were trained again bear out their claims, and how far they may lie apart."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.records.audit import Audit, AuditSession, Repeatability, Retraining
from sgbench.statistics.intervals import t_quantile

LEAST_REPEATS = 20
"""Fewest repeats on another processor from which a tolerance is taken."""
REFUSED_SEED = 0.001
"""Share of honest seeds that a tolerance refuses."""
LOOSE_POINTS, LOOSE_LOSS = 0.1, 0.1
"""Tolerance of a mean from which on no claim is ranked: accuracy, and share of the loss of guessing."""
ROUNDING = 1e-9
NOT_REPEATABLE = "not repeatable closely enough to rank"
Outcome = Literal["agrees", "differs", "loose"]


@dataclass(frozen=True)
class Repeats:
    """Holds which seeds of a row were trained again, by whom, within which tolerance, and what came of it."""

    seeds: tuple[int, ...]
    by: tuple[str, ...]
    processors: tuple[str, ...]
    drawn: tuple[int, ...] | None  # by a promised commit; None where all finished seeds are needed
    allowed: float | None  # difference of one seed; None where shares of solved seeds are compared
    allowed_mean: float | None  # difference of the mean of these seeds
    outcome: Outcome
    statement: str

    def cover(self, finished: Collection[int]) -> bool:
        """Return whether all seeds were trained again that had to be."""
        return set(self.seeds).issuperset(finished if self.drawn is None else self.drawn)


def tolerance_for(repeatability: Repeatability | None) -> float:
    r"""Compute how far a repeated seed may lie from its claim on a board.

    .. math:: T = \max\left(t_{n, 1 - 0.001} \, s, \; \max_i |d_i|, \; d\right)

    s is the root mean square of the differences d_i of n repeats on another processor, d the least difference that
    counts. With fewer than twenty repeats only d is allowed.

    >>> known = Repeatability(spread=0.01, largest=0.03, repeats=20, least=0.002, loose=0.1)
    >>> round(tolerance_for(known), 4), tolerance_for(known.model_copy(update={"repeats": 19}))
    (0.0385, 0.002)
    """
    if repeatability is None:
        return 0.0
    if repeatability.repeats < LEAST_REPEATS:
        return repeatability.least
    usual = t_quantile(1 - REFUSED_SEED, repeatability.repeats) * repeatability.spread
    return max(usual, repeatability.largest, repeatability.least)


def is_close(repeatability: Repeatability | None, seeds: int) -> bool:
    """Return whether a tolerance is known, and for the mean of so many seeds narrow enough to rank claims."""
    return (
        repeatability is not None
        and repeatability.repeats >= LEAST_REPEATS
        and tolerance_for(repeatability) / math.sqrt(seeds) <= repeatability.loose
    )


def judge_claims(
    retrainings: Sequence[Retraining], repeatability: Repeatability | None, *, is_loss: bool
) -> tuple[Outcome, str]:
    """Compare each seed of a row that was trained again with its claim, and the mean of these seeds with that claimed.

    Return the outcome and a sentence on it: `agrees` or `differs`; `loose` if the tolerance is not known, or so wide
    that agreement would say nothing.
    """
    apart = differences(retrainings)
    least = 0.0 if repeatability is None else repeatability.least
    allowed = tolerance_for(repeatability)
    agrees, statement = judge_scores(retrainings, allowed, least=least, is_loss=is_loss)
    if agrees and max(map(abs, apart.values())) <= least + ROUNDING:
        return "agrees", statement
    if not is_close(repeatability, len(apart)):
        repeats = 0 if repeatability is None else repeatability.repeats
        return "loose", f"{statement}; {repeats} repeats on another processor are known: {NOT_REPEATABLE}"
    return "agrees" if agrees else "differs", statement


def judge_scores(
    retrainings: Sequence[Retraining], allowed: float, *, least: float = 0.0, is_loss: bool
) -> tuple[bool, str]:
    """Return whether each seed lies within `allowed` of its claim, and the mean over n seeds within allowed / sqrt(n).

    The mean may lie `least` apart if that is more. The returned sentence is on the worst seed and on the mean.
    """
    apart = differences(retrainings)
    worst = max(apart, key=lambda seed: abs(apart[seed]))
    runs_of_worst = [retraining for retraining in retrainings if retraining.seed == worst]
    scores = [retraining.again for retraining in runs_of_worst]
    ends = dict.fromkeys(_text(end, is_loss=is_loss) for end in (min(scores), max(scores)))  # one if they are equal
    engines = len({retraining.engine for retraining in runs_of_worst})
    on_engines = f" on {engines} engines" if engines > 1 else ""
    statement = (
        f"seed {worst} gives {' to '.join(ends)}{on_engines} where its record "
        f"claims {_text(runs_of_worst[0].claimed, is_loss=is_loss)}; {_text(allowed, is_loss=is_loss)} "
        f"{'in loss' if is_loss else 'points'} apart are allowed"
    )
    allowed_mean = max(allowed / math.sqrt(len(apart)), least)
    mean = abs(math.fsum(apart.values())) / len(apart)
    if len(apart) > 1:
        statement += (
            f"; the means of {len(apart)} seeds lie {_text(mean, is_loss=is_loss)} apart, "
            f"{_text(allowed_mean, is_loss=is_loss)} are allowed"
        )
    return abs(apart[worst]) <= allowed + ROUNDING and mean <= allowed_mean + ROUNDING, statement


def _text(value: float, *, is_loss: bool) -> str:
    return f"{value:.4g}" if is_loss else f"{100 * value:.2f}"


def differences(retrainings: Iterable[Retraining]) -> dict[int, float]:
    """Map each seed to how far its claim lies above all its repeated scores, or below (negative); 0 between them."""
    groups: dict[int, list[Retraining]] = {}
    for retraining in retrainings:
        groups.setdefault(retraining.seed, []).append(retraining)
    return {seed: _apart(group) for seed, group in groups.items()}


def _apart(group: Sequence[Retraining]) -> float:
    scores = [retraining.again for retraining in group]
    low, high, claimed = min(scores), max(scores), group[0].claimed
    return claimed - high if claimed > high else min(claimed - low, 0.0)


def repeatability_of(
    repeats: Iterable[tuple[AuditSession, Retraining]],
    recorded_on: Mapping[tuple[str, int], str],
    *,
    least: float,
    loose: float,
) -> Repeatability:
    """Compute how far two honest runs of a seed lie apart, from the first repeat of each on another processor.

    `recorded_on`: maps the method and seed of records to their processors. `least`, `loose`: see `Repeatability`.
    """
    apart: dict[tuple[str, int], float] = {}
    for session, retraining in repeats:
        run = retraining.method_id, retraining.seed
        if recorded_on.get(run) not in (None, session.processor):
            apart.setdefault(run, retraining.again - retraining.claimed)
    squares = math.fsum(value**2 for value in apart.values())
    return Repeatability(
        spread=math.sqrt(squares / max(1, len(apart))),
        largest=max(map(abs, apart.values()), default=0.0),
        repeats=len(apart),
        least=least,
        loose=loose,
    )


@dataclass(frozen=True)
class RepeatElsewhere:
    """Says who repeated a seed of a row on which processor, how far it lies from its claim, and if that is allowed."""

    by: str
    processor: str
    seed: int
    apart: float  # what it gave less the claim
    agrees: bool


def elsewhere_of(audit: Audit, allowed: float) -> dict[str, tuple[RepeatElsewhere, ...]]:
    """Map methods to their seeds that others repeated; each agrees if it lies within `allowed` of its claim."""
    repeats: dict[str, tuple[RepeatElsewhere, ...]] = {}
    for session in audit.elsewhere or ():
        for retraining in session.retrainings:
            apart = retraining.again - retraining.claimed
            repeat = RepeatElsewhere(
                session.verifier, session.processor, retraining.seed, apart, agrees=abs(apart) <= allowed + ROUNDING
            )
            repeats[retraining.method_id] = (*repeats.get(retraining.method_id, ()), repeat)
    return repeats


def handed_in_of(audit: Audit | None, submitted: Iterable[str]) -> set[str]:
    """Return the submissions that strangers made: all but those that the maintainers name as their own."""
    return set(submitted) - set((audit.own if audit else None) or ())
