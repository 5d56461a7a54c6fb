"""Summarises the outcome of a tier of verification, in the score of the board."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.leaderboard.score import Measure
from sgbench.records.content import Scores
from sgbench.records.method import with_new_parameters
from sgbench.records.spec import Method, RunSpec, choice_overrides
from sgbench.records.submission import Tier


@dataclass(frozen=True)
class TierOutcome:
    """Holds the outcome of a tier; scores are accuracies or else losses, means over the verified seeds."""

    tier: Tier
    passed: bool
    seeds: tuple[int, ...]
    claimed_accuracy: float | None
    verified_accuracy: float | None
    agreement: float | None  # share of equal predictions
    tolerance: float | None  # largest allowed difference of the means
    statement: str  # the result in a sentence
    claimed_loss: float | None = None
    verified_loss: float | None = None


def outcome(
    tier: Tier,
    measure: Measure,
    passed: bool,
    seeds: Sequence[int],
    scores: tuple[Sequence[float], Sequence[float]],
    statement: str,
    *,
    agreement: float | None = None,
    tolerance: float | None = None,
) -> TierOutcome:
    """Make an outcome with the means of claimed and verified scores.

    `tier`: tier of the verification. `measure`: the score that the board compares. `passed`: whether the claim holds.
    `seeds`: the verified seeds. `scores`: claimed and verified scores, whose means are taken. `statement`: the result
    in a sentence. `agreement`: share of equal predictions, if they were compared. `tolerance`: largest allowed
    difference of the means, if there is one; of accuracies at most 1.
    """
    claimed, verified = map(mean, scores)
    by_loss = measure.is_loss
    return TierOutcome(
        tier=tier,
        passed=passed,
        seeds=tuple(seeds),
        claimed_accuracy=None if by_loss else claimed,
        verified_accuracy=None if by_loss else verified,
        agreement=agreement,
        tolerance=tolerance if tolerance is None or by_loss else min(tolerance, 1.0),
        statement=statement,
        claimed_loss=claimed if by_loss else None,
        verified_loss=verified if by_loss else None,
    )


def mean(values: Sequence[float]) -> float:
    """Compute the mean of scores with an exact sum."""
    return math.fsum(values) / len(values)


def score_of(scores: Scores) -> float:
    return scores.loss if scores.accuracy is None else scores.accuracy


def recompose(method: Method, seed: int, *, runs_dir: Path, references: References) -> RunSpec:
    """Compose the run of a method from its entries and numbers.

    The entries alone are composed, which gives the classes; then the method's numbers, checked to be parameters of
    these entries, replace the defaults. The device is the CPU, so that all verifiers compute the same.
    """
    reference = references.of(method.protocol.name)
    first = next(method_deviations(method, seed, reference), None)
    if first is not None:
        raise InputError(f"{method.protocol.name}: {first}")
    overrides = [f"protocol={method.protocol.name}", f"seed={seed}", "trainer.device=cpu", "trainer.progress=false"]
    spec = compose(
        [*overrides, *choice_overrides(method.choices)],
        config_dirs=references.config_dirs,
        allow_targets=references.allow_targets,
    )
    paths = spec.paths.model_copy(update={"runs_dir": str(runs_dir)})
    complete = with_new_parameters(method, spec.method)
    return spec.model_copy(update={"method": complete, "paths": paths, "loggers": {}, "group": None})
