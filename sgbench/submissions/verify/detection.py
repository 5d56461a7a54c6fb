"""How often an audit catches a doctored row, by simulation from what honest rows gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.store.audits import MIN_SOLVED, by_method, judge
from sgbench.records.audit import Audit, Retraining, Tolerance

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
        return list(_solved_curve(groups, tolerance, rng))
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


def _solved_curve(
    groups: Sequence[list[Retraining]], tolerance: Tolerance, rng: np.random.Generator
) -> Iterator[DetectionPoint]:
    """Yield how often a row is caught of which so many unsolved seeds are claimed as solved."""
    bar = tolerance.solved_from or 0.0
    unsolved = [[each for each in group if each.again < bar][:MIN_SOLVED] for group in groups]
    for count in range(MIN_SOLVED + 1):
        able = [place for place, seeds in enumerate(unsolved) if len(seeds) >= count]
        if able:
            passed = []
            for place in rng.choice(able, size=DRAWS):
                turned = unsolved[place][:count]
                claims = [
                    each.model_copy(update={"claimed": 1.0 if each in turned else each.again})
                    for each in groups[place]
                ]
                passed.append(judge(claims, tolerance, is_loss=False)[0])
            yield DetectionPoint(count, f"of {MIN_SOLVED} seeds", _share(passed))


def _picked(groups: Sequence[list[Retraining]], rng: np.random.Generator) -> list[list[Retraining]]:
    return [groups[place] for place in rng.integers(len(groups), size=DRAWS)]


def _share(passed: Sequence[bool]) -> float:
    """Return the share of draws that did not pass."""
    return 1 - sum(passed) / len(passed)
