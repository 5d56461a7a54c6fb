"""How often an audit catches a doctored row, by simulation from what honest rows gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import MIN_SOLVED, by_method, judge
from sgbench.records.audit import Audit, Retraining

DRAWS = 2000
MULTIPLES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class DetectionPoint:
    """Holds how often rows doctored by one amount are caught."""

    amount: float  # times the tolerance, or seeds turned into solved ones
    unit: str
    caught: float  # share of simulated draws

    def __str__(self) -> str:
        return (
            f"doctored by {self.amount:g} {self.unit}: caught in {100 * self.caught:.1f} % of {DRAWS} draws"
        )

    @property
    def tree(self) -> dict[str, float | str]:
        """Return the point as plain values."""
        return {"amount": self.amount, "unit": self.unit, "caught": self.caught}


def detection_curve(audit: Audit, *, seed: int = 0) -> list[DetectionPoint]:
    """Simulate rows whose trained seeds were doctored, by more and more.

    An honest row is one of the board, with a difference of the board between a claim and what its seed gives again,
    both drawn with replacement; doctoring moves the claim. Where shares that solve the task are compared, doctoring
    turns seeds into solved ones.

    Args:
        audit: of a board, with a tolerance.
        seed: of the simulation.

    Raises:
        InputError: there is no tolerance yet.
    """
    tolerance = audit.tolerance
    if tolerance is None:
        raise InputError(f"{audit.protocol}: no tolerance yet; train rows again with --by NAME first")
    rng = np.random.default_rng(seed)
    groups = [[retraining for _, retraining in pairs] for pairs in by_method(audit).values()]
    is_loss = audit.measure == "loss"
    if tolerance.solved_from is not None:
        groups = [group for group in groups if len(group) >= MIN_SOLVED]
        return [
            DetectionPoint(
                count,
                f"of {MIN_SOLVED} seeds",
                _share(
                    [
                        judge(
                            _solved_too_often(group, count, tolerance.solved_from), tolerance, is_loss=is_loss
                        )[0]
                        for group in _picked(groups, rng)
                    ]
                ),
            )
            for count in range(MIN_SOLVED + 1)
        ]
    differences = [retraining.claimed - retraining.again for group in groups for retraining in group]
    flatters = -1 if is_loss else 1
    points = []
    for multiple in MULTIPLES:
        passed = []
        for group in _picked(groups, rng):
            claimed = group[0].again + float(rng.choice(differences)) + flatters * multiple * tolerance.score
            passed.append(
                judge([group[0].model_copy(update={"claimed": claimed})], tolerance, is_loss=is_loss)[0]
            )
        points.append(DetectionPoint(multiple, "tolerances", _share(passed)))
    return points


def _picked(groups: Sequence[list[Retraining]], rng: np.random.Generator) -> list[list[Retraining]]:
    return [groups[place] for place in rng.integers(len(groups), size=DRAWS)]


def _share(passed: Sequence[bool]) -> float:
    """Return the share of draws that did not pass."""
    return 1 - sum(passed) / len(passed)


def _solved_too_often(group: Sequence[Retraining], count: int, solved_from: float) -> list[Retraining]:
    """Turn claims of seeds that do not solve the task again into solved ones."""
    unsolved = [retraining for retraining in group if retraining.again < solved_from][:count]
    return [each.model_copy(update={"claimed": 1.0 if each in unsolved else each.again}) for each in group]
