"""How often an audit catches a doctored row, from what the rows of its board gave again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import MIN_SOLVED, by_method, judge, tolerance_in_use
from sgbench.records.audit import Audit, Retraining, Tolerance

MULTIPLES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class DetectionPoint:
    """Holds how often rows doctored by one amount are caught."""

    amount: float  # times the tolerance, or seeds turned into solved ones
    unit: str
    caught: int
    drawn: int  # trained seeds, or rows where shares are compared
    movable: int  # of them, whose claim can be moved by all of it; the others reach a perfect score before
    caught_movable: int  # of these

    @property
    def share(self) -> float:
        return self.caught / self.drawn

    def __str__(self) -> str:
        told = (
            f"doctored by {self.amount:g} {self.unit}: caught in {100 * self.share:.1f} % of draws "
            f"({self.caught} of {self.drawn})"
        )
        if self.movable == self.drawn:
            return told
        return (
            f"{told}; {self.movable} can be doctored so far, of which {self.caught_movable} are caught, and the "
            "others to a perfect score"
        )

    @property
    def tree(self) -> dict[str, float | str]:
        """Return the point as plain values."""
        return {
            "amount": self.amount,
            "unit": self.unit,
            "caught": self.share,
            "draws": self.drawn,
            "movable": self.movable,
            "caught_movable": self.caught_movable,
        }


def detection_curve(audit: Audit) -> list[DetectionPoint]:
    """Count how many of a board's trained seeds are caught once their claims are doctored, by more and more.

    A draw picks one of them, each alike often, so that the shares are exact. Doctoring moves the claim, beside the
    difference that the honest row has, and no further than to a perfect score; where shares that solve the task are
    compared, it turns seeds of a row into solved ones. A seed counts once, and is judged on all engines on which it
    was trained.
    """
    tolerance = _tolerance_of(audit)
    if tolerance.solved_from is not None:
        return list(_solved_curve(audit, tolerance.solved_from))
    seeds = _seeds(audit)
    return [
        _point(multiple, "tolerances", [_moved(each, multiple * tolerance.score, audit) for each in seeds], audit)
        for multiple in MULTIPLES
    ]


def perfect_claims(audit: Audit) -> tuple[int, int]:
    """Count the draws in which a claim of a perfect score passes, and those in which the record claims it."""
    tolerance = _tolerance_of(audit)
    perfect = 0.0 if audit.measure == "loss" else 1.0
    if tolerance.solved_from is None:
        groups = _seeds(audit)
        honest = sum(group[0].claimed == perfect for group in groups)
    else:
        groups = _rows(audit)
        honest = sum(all(each.claimed >= tolerance.solved_from for each in group) for group in groups)
    doctored = [[each.model_copy(update={"claimed": perfect}) for each in group] for group in groups]
    return len(groups) - _caught(doctored, audit), honest


def _tolerance_of(audit: Audit) -> Tolerance:
    tolerance = tolerance_in_use(audit)
    if tolerance is None:
        raise InputError(f"{audit.protocol}: no tolerance yet; train rows again with --by NAME first")
    return tolerance


def _rows(audit: Audit) -> list[list[Retraining]]:
    return [[retraining for _, retraining in pairs] for pairs in by_method(audit).values()]


def _seeds(audit: Audit) -> list[list[Retraining]]:
    return [
        [each for each in row if each.seed == seed]
        for row in _rows(audit)
        for seed in dict.fromkeys(each.seed for each in row)
    ]


def _moved(seed: Sequence[Retraining], by: float, audit: Audit) -> tuple[list[Retraining], bool]:
    claimed = seed[0].claimed
    wanted = claimed - by if audit.measure == "loss" else claimed + by
    given = max(wanted, 0.0) if audit.measure == "loss" else min(wanted, 1.0)
    return [each.model_copy(update={"claimed": given}) for each in seed], given == wanted


def _solved_curve(audit: Audit, solved_from: float) -> Iterator[DetectionPoint]:
    """Yield how often rows are caught in which 0, 1, 2 and so on unsolved seeds are doctored to be solved."""
    rows = _rows(audit)
    unsolved = [list(dict.fromkeys(each.seed for each in row if each.claimed < solved_from)) for row in rows]
    for count in range(MIN_SOLVED + 1):
        doctored = [
            (
                [each.model_copy(update={"claimed": 1.0}) if each.seed in seeds[:count] else each for each in row],
                len(seeds) >= count,
            )
            for row, seeds in zip(rows, unsolved, strict=True)
        ]
        yield _point(count, f"of {MIN_SOLVED} seeds", doctored, audit)


def _point(amount: float, unit: str, doctored: Sequence[tuple[list[Retraining], bool]], audit: Audit) -> DetectionPoint:
    movable = [retrainings for retrainings, is_whole in doctored if is_whole]
    caught = _caught([retrainings for retrainings, _ in doctored], audit)
    return DetectionPoint(amount, unit, caught, len(doctored), len(movable), _caught(movable, audit))


def _caught(doctored: Sequence[Sequence[Retraining]], audit: Audit) -> int:
    tolerance, is_loss = tolerance_in_use(audit), audit.measure == "loss"
    return sum(
        tolerance is not None and not judge(retrainings, tolerance, is_loss=is_loss)[0] for retrainings in doctored
    )
