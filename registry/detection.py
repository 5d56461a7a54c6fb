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
        text = (
            f"doctored by {self.amount:g} {self.unit}: caught in {100 * self.share:.1f} % of draws "
            f"({self.caught} of {self.drawn})"
        )
        if self.movable == self.drawn:
            return text
        return (
            f"{text}; {self.movable} can be doctored so far, of which {self.caught_movable} are caught, and the "
            "others to a perfect score"
        )

    @property
    def tree(self) -> dict[str, float | str]:
        return {
            "amount": self.amount,
            "unit": self.unit,
            "caught": self.share,
            "draws": self.drawn,
            "movable": self.movable,
            "caught_movable": self.caught_movable,
        }


def detection_curve(audit: Audit) -> list[DetectionPoint]:
    """Count how many of a board's retrained seeds an audit would catch if their claims were doctored, amount by amount.

    Each seed counts once, since a draw picks each equally often, and is judged on all engines on which it was trained.
    Doctoring makes its claim better by the amount, at most perfect. If shares of solved seeds are compared, it turns
    seeds of a row into solved ones instead, and rows count.
    """
    tolerance = _tolerance_of(audit)
    if tolerance.solved_from is not None:
        return list(_solved_curve(audit, tolerance.solved_from))
    seeds = _seeds(audit)
    return [
        _point(multiple, "tolerances", [_doctored(runs, multiple * tolerance.score, audit) for runs in seeds], audit)
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
        honest = sum(all(run.claimed >= tolerance.solved_from for run in group) for group in groups)
    doctored = [[run.model_copy(update={"claimed": perfect}) for run in group] for group in groups]
    return len(groups) - _caught(doctored, audit), honest


def _tolerance_of(audit: Audit) -> Tolerance:
    tolerance = tolerance_in_use(audit)
    if tolerance is None:
        raise InputError(f"{audit.protocol}: no tolerance yet; train rows again with --by NAME first")
    return tolerance


def _rows(audit: Audit) -> list[list[Retraining]]:
    return [[retraining for _, retraining in pairs] for pairs in by_method(audit).values()]


def _seeds(audit: Audit) -> list[list[Retraining]]:
    """List the retrainings of each seed of each row: one for each engine."""
    runs = [run for row in _rows(audit) for run in row]
    seeds = dict.fromkeys((run.method_id, run.seed) for run in runs)
    return [[run for run in runs if (run.method_id, run.seed) == seed] for seed in seeds]


def _doctored(runs: Sequence[Retraining], amount: float, audit: Audit) -> tuple[list[Retraining], bool]:
    """Make the claim of a seed's runs better by an amount; return them, and whether the score could be that good."""
    claimed = runs[0].claimed
    unlimited = claimed - amount if audit.measure == "loss" else claimed + amount
    better = max(unlimited, 0.0) if audit.measure == "loss" else min(unlimited, 1.0)
    return [run.model_copy(update={"claimed": better}) for run in runs], better == unlimited


def _solved_curve(audit: Audit, solved_from: float) -> Iterator[DetectionPoint]:
    """Yield how many rows are caught if 0, 1, ... of their unsolved seeds claim to solve the task."""
    for count in range(MIN_SOLVED + 1):
        doctored = []
        for row in _rows(audit):
            unsolved = list(dict.fromkeys(run.seed for run in row if run.claimed < solved_from))
            turned = unsolved[:count]
            runs = [run.model_copy(update={"claimed": 1.0}) if run.seed in turned else run for run in row]
            doctored.append((runs, len(unsolved) >= count))
        yield _point(count, f"of {MIN_SOLVED} seeds", doctored, audit)


def _point(amount: float, unit: str, doctored: Sequence[tuple[list[Retraining], bool]], audit: Audit) -> DetectionPoint:
    """Count the caught ones of doctored runs, each given with whether its claim was moved by the whole amount."""
    movable = [retrainings for retrainings, is_whole in doctored if is_whole]
    caught = _caught([retrainings for retrainings, _ in doctored], audit)
    return DetectionPoint(amount, unit, caught, len(doctored), len(movable), _caught(movable, audit))


def _caught(doctored: Sequence[Sequence[Retraining]], audit: Audit) -> int:
    tolerance, is_loss = _tolerance_of(audit), audit.measure == "loss"
    agreements = (judge(retrainings, tolerance, is_loss=is_loss)[0] for retrainings in doctored)
    return sum(not agrees for agrees in agreements)
