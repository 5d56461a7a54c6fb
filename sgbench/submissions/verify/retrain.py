"""Retrains a submission from the entries and numbers of its method."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.records.spec import Method
from sgbench.statistics.intervals import standard_deviation
from sgbench.submissions.verify.outcome import TierOutcome, mean, outcome, score_of
from sgbench.submissions.verify.recompose import recompose
from sgbench.submissions.verify.recount import LEAST_LOSS
from sgbench.training.runner import run_spec

ERRORS, SPREADS = 3.0, 2.0  # tolerance in standard errors, and in standard deviations of one seed
MIN_SEEDS = 2


def retrain(
    where: str,
    method: Method,
    claims: Mapping[int, float],
    seeds: Sequence[int],
    *,
    references: References,
) -> TierOutcome:
    """Train some seeds of a method again in temporary folders, and compare their mean with the claim.

    Args:
        where: name of the submission, for messages.
        method: the submitted method.
        claims: maps all finished seeds to their claimed scores.
        seeds: the seeds to retrain.
        references: references of the protocols.

    Raises:
        InputError: a training fails, or the method cannot be composed.
    """
    reference = references.of(method.protocol.name)
    measure, scores = reference.measure, []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="sgbench-verify-") as folder:
            record = run_spec(recompose(method, seed, runs_dir=Path(folder), references=references))
        if record.test is None:
            reason = "" if record.failure is None else f": {record.failure.message}"
            raise InputError(f"{where}: re-training seed {seed} failed{reason}")
        scores.append(score_of(record.test))
    claimed = list(claims.values())
    least = LEAST_LOSS * mean(claimed) if measure.is_loss else 1 / reference.test_samples
    tolerance = tolerance_of(claimed, len(scores), least=least)
    difference = mean(scores) - mean(claimed)
    unit = "" if measure.is_loss else " points"
    statement = (
        f"{len(scores)} re-trained against {len(claimed)} claimed seeds differ by "
        f"{measure.text(difference)}{unit}; {measure.text(tolerance)} are allowed; the re-trained ones claimed "
        f"{measure.text(mean([claims[seed] for seed in seeds]))}"
    )
    passed = abs(difference) <= tolerance
    return outcome("retrained", measure, passed, seeds, (claimed, scores), statement, tolerance=tolerance)


def tolerance_of(scores: Sequence[float], repeated: int, *, least: float) -> float:
    r"""Compute the largest difference between the mean of retrained seeds and the claimed mean.

    .. math:: \max\left(3 \, s \sqrt{1/n + 1/k}, \; 2 s, \; d\right)

    These are three standard errors of the difference of n claimed and k retrained seeds, or two standard deviations
    s of one seed, whichever is larger. With five claimed seeds and one retrained an honest claim is refused in 4 of
    100 cases.

    Args:
        scores: claimed scores, one for each of n seeds.
        repeated: k, count of retrained seeds.
        least: d, smallest tolerance: one test sample for accuracies, a hundredth of the loss for losses.

    >>> round(tolerance_of([0.90, 0.92], 1, least=0.001), 4)
    0.052
    """
    spread = standard_deviation(scores) if len(scores) >= MIN_SEEDS else 0.0
    error = spread * math.sqrt(1 / len(scores) + 1 / repeated)
    return max(ERRORS * error, SPREADS * spread, least)
