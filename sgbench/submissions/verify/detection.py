"""How often an audit catches a doctored row, from what the rows of its board gave again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import MIN_SOLVED, by_method, judge
from sgbench.records.audit import Audit, Retraining

MULTIPLES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class DetectionPoint:
    """Holds how often rows doctored by one amount are caught."""

    amount: float  # times the tolerance, or seeds turned into solved ones
    unit: str
    caught: int
    drawn: int  # trained seeds, or rows where shares are compared

    @property
    def share(self) -> float:
        """Return the share of draws in which the row is caught."""
        return self.caught / self.drawn

    def __str__(self) -> str:
        return (
            f"doctored by {self.amount:g} {self.unit}: caught in {100 * self.share:.1f} % of draws "
            f"({self.caught} of {self.drawn})"
        )

    @property
    def tree(self) -> dict[str, float | str]:
        """Return the point as plain values."""
        return {
            "amount": self.amount,
            "unit": self.unit,
            "caught": self.share,
            "draws": self.drawn,
        }


def detection_curve(audit: Audit) -> list[DetectionPoint]:
    """Count how many of a board's trained seeds are caught once their claims are doctored, by more and more.

    A draw picks one of them, each alike often, so that the shares are exact. Doctoring moves the claim, beside the
    difference that the honest row has; where shares that solve the task are compared, it turns seeds of a row into
    solved ones. A seed counts once, and is judged on all engines on which it was trained.

    Args:
        audit: of a board, with a tolerance.

    Raises:
        InputError: there is no tolerance yet.
    """
    tolerance = audit.tolerance
    if tolerance is None:
        raise InputError(f"{audit.protocol}: no tolerance yet; train rows again with --by NAME first")
    groups = [[retraining for _, retraining in pairs] for pairs in by_method(audit).values()]
    if tolerance.solved_from is not None:
        return list(_solved_curve(groups, tolerance.solved_from, audit))
    flatters = -1 if audit.measure == "loss" else 1
    points = []
    for multiple in MULTIPLES:
        added = flatters * multiple * tolerance.score
        doctored = [
            [each.model_copy(update={"claimed": each.claimed + added}) for each in group if each.seed == seed]
            for group in groups
            for seed in dict.fromkeys(each.seed for each in group)
        ]
        points.append(DetectionPoint(multiple, "tolerances", _caught(doctored, audit), len(doctored)))
    return points


def _solved_curve(
    groups: Sequence[list[Retraining]], solved_from: float, audit: Audit
) -> Iterator[DetectionPoint]:
    """Yield how often a row is caught of which so many unsolved seeds are claimed as solved."""
    unsolved = [[each for each in group if each.again < solved_from][:MIN_SOLVED] for group in groups]
    for count in range(MIN_SOLVED + 1):
        doctored = [
            [
                each.model_copy(update={"claimed": 1.0 if each in seeds[:count] else each.again})
                for each in group
            ]
            for group, seeds in zip(groups, unsolved, strict=True)
            if len(seeds) >= count
        ]
        if doctored:
            unit = f"of {MIN_SOLVED} seeds"
            yield DetectionPoint(count, unit, _caught(doctored, audit), len(doctored))


def _caught(doctored: Sequence[Sequence[Retraining]], audit: Audit) -> int:
    """Count those that do not pass."""
    tolerance, is_loss = audit.tolerance, audit.measure == "loss"
    return sum(
        tolerance is not None and not judge(retrainings, tolerance, is_loss=is_loss)[0]
        for retrainings in doctored
    )
