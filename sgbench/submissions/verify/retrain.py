"""Training repeated from names and numbers: of a submission, or of a board's own rows."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.answers import claim_of
from sgbench.leaderboard.store.dossier import read_dossiers
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.tree import RecordTree, read_methods
from sgbench.records.spec import Method
from sgbench.statistics.intervals import standard_deviation
from sgbench.submissions.verify.outcome import TierOutcome, mean, outcome, score_of
from sgbench.submissions.verify.recompose import recompose
from sgbench.submissions.verify.recount import LEAST_LOSS
from sgbench.training.runner import run_spec

ERRORS, SPREADS = 3.0, 2.0
MIN_SEEDS = 2


def retrained(
    where: str,
    method: Method,
    claims: Mapping[int, float],
    seeds: Sequence[int],
    *,
    references: References,
) -> TierOutcome:
    """Train some seeds of a method again, in temporary folders, and compare their mean with the claim.

    Args:
        where: what is verified, for messages.
        method: of the claim.
        claims: its scores by seed, of all seeds that finished.
        seeds: which of them are trained.
        references: of the protocols.

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
    every = list(claims.values())
    least = LEAST_LOSS * mean(every) if measure.is_loss else 1 / reference.test_samples
    tolerance = tolerance_of(every, len(scores), least=least)
    difference = mean(scores) - mean(every)
    unit = "" if measure.is_loss else " points"
    statement = (
        f"{len(scores)} re-trained against {len(every)} claimed seeds differ by "
        f"{measure.text(difference)}{unit}; {measure.text(tolerance)} are allowed; the re-trained ones claimed "
        f"{measure.text(mean([claims[seed] for seed in seeds]))}"
    )
    passed = abs(difference) <= tolerance
    return outcome("retrained", measure, passed, seeds, (every, scores), statement, tolerance=tolerance)


@dataclass(frozen=True)
class UnsubmittedRow:
    """Holds a method on a board that nobody handed in: its records and nothing else."""

    method_id: str
    method: Method
    claims: dict[int, float]  # scores by seed, of those that finished


def own_rows(folder: Path, *, references: References) -> Iterator[UnsubmittedRow]:
    """Yield a protocol's rows that came without a submission and that nobody has trained again yet.

    Args:
        folder: of the protocol, in a leaderboards folder.
        references: of the protocols.

    Raises:
        InputError: there is no such folder.
    """
    dossiers = read_dossiers(folder)
    for group in read_methods(RecordTree(folder.parent, "leaderboards", references, only=folder.name)):
        if isinstance(group, Finding) or group.row_id != group.records[0].method_id:
            continue  # left out; or a further source of one's own classes: what is verified is said of a method
        claims = {record.seed: claim.score for record in group.records if (claim := claim_of(record))}
        row = UnsubmittedRow(group.row_id, group.records[0].method, claims)
        dossier = dossiers.of(row.method_id)
        done = any(verification.tier == "retrained" for verification in dossier.verifications)
        if dossier.submission is None and dossier.notice is None and row.claims and not done:
            yield row


def tolerance_of(scores: Sequence[float], repeated: int, *, least: float) -> float:
    r"""Compute how far a re-trained mean may lie from a claimed one.

    .. math:: \max\left(3 \, s \sqrt{1/n + 1/k}, \; 2 s, \; d\right)

    Three standard errors of the difference of n claimed and k re-trained seeds, or two standard deviations of one
    seed, but no less than d: of accuracies one test sample, since no difference is smaller; of losses a hundredth.
    With five claimed seeds and one re-trained an honest claim is refused in 4 of 100 cases.

    Args:
        scores: claimed, one for each seed.
        repeated: k.
        least: d.

    >>> round(tolerance_of([0.90, 0.92], 1, least=0.001), 4)
    0.052
    """
    spread = standard_deviation(scores) if len(scores) >= MIN_SEEDS else 0.0
    error = spread * math.sqrt(1 / len(scores) + 1 / repeated)
    return max(ERRORS * error, SPREADS * spread, least)
