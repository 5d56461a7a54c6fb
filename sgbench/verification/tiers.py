"""Three tiers of trust: predictions scored again, weights run again, training repeated."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load

from sgbench.build import Parts, build
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.predictions import Predictions, parse_predictions
from sgbench.leaderboard.stats import standard_deviation
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import ExternalRecord, Submission
from sgbench.records.trust import Tier
from sgbench.runner import run_spec
from sgbench.submission.folder import FOLDERS
from sgbench.training import Training
from sgbench.verification.recompose import recompose

AGREEMENT = 0.999
"""Share of samples on which re-inference has to agree; other processors round otherwise."""
COUNTS = 0.01
"""How far the number of spikes may be off, relatively, for the same reason."""
ERRORS, SPREADS = 3.0, 2.0
MIN_SEEDS = 2
Result = RunRecord | ExternalRecord


@dataclass(frozen=True)
class Outcome:
    """What a tier found; accuracies are means over the seeds that were looked at."""

    tier: Tier
    passed: bool
    seeds: tuple[int, ...]
    claimed_accuracy: float
    verified_accuracy: float
    agreement: float | None
    tolerance: float | None
    statement: str


def claimed(record: Result) -> float | None:
    """The accuracy that a record claims, or None of a failed one."""
    if isinstance(record, ExternalRecord):
        return record.accuracy
    return None if record.test is None else record.test.accuracy


class Verifier:
    """Looks at the seeds of one checked submission.

    Args:
        root: the submission's folder.
        submission: what it says.
        records: its finished records, by seed.
        references: of the protocols.
    """

    def __init__(
        self,
        root: Path,
        submission: Submission,
        records: Mapping[int, Result],
        references: References,
    ) -> None:
        self.root = root
        self.submission = submission
        self.records = records
        self.references = references

    def verify(self, tier: Tier, seeds: Sequence[int]) -> Outcome:
        """Go through one tier.

        Raises:
            InputError: the tier is not open to this submission, or its parts do not fit the catalogue's network.
        """
        if not seeds:
            raise InputError(f"{self.root}: no finished seed to verify")
        if tier == "rescored":
            return self._rescored(seeds)
        if self.submission.method is None:
            raise InputError(
                f"{self.root}: code outside the catalogue can only be rescored; use --tier rescored"
            )
        return self._reinferred(seeds) if tier == "reinferred" else self._retrained(seeds)

    def _predictions(self, seed: int) -> Predictions:
        path = self.root / "predictions" / f"{seed}.csv"
        return parse_predictions(read_bytes(path, limit=FOLDERS["predictions"][1]), str(path))

    def _rescored(self, seeds: Sequence[int]) -> Outcome:
        """Predictions against the labels of the data set itself."""
        method = self.submission.method or self.references.of(self.submission.protocol).method
        found, foreign = [], 0
        for seed in seeds:
            data = self._parts(method, seed).data
            with data.last_step():
                labels = data.splits["test"].target.numpy()
            predictions = self._predictions(seed)
            if predictions.target.shape != labels.shape:
                raise InputError(
                    f"{self.root}: seed {seed} has {len(predictions.target)} samples, not {len(labels)}"
                )
            foreign += int((predictions.target != labels).sum())
            found.append(float((predictions.prediction == labels).mean()))
        expected = [claimed(self.records[seed]) or 0.0 for seed in seeds]
        differs = sum(abs(one - other) > 1e-9 for one, other in zip(found, expected, strict=True))  # noqa: PLR2004
        statement = (
            f"{len(seeds) - differs} of {len(seeds)} seeds score to the claimed accuracy; "
            f"{foreign} labels are not the data set's"
        )
        return _outcome("rescored", not differs and not foreign, seeds, expected, found, statement)

    def _reinferred(self, seeds: Sequence[int]) -> Outcome:
        """Weights in the catalogue's own network, run over the test set again."""
        agreements, found, spikes = [], [], []
        for seed in seeds:
            training = self._inferred(seed)
            prediction = torch.cat([part[2] for part in training.predictions]).argmax(1).numpy()
            spikes.append(_spike_ratio(training, self.records[seed]))
            agreements.append(float((prediction == self._predictions(seed).prediction).mean()))
            found.append(training.evaluation.scores().accuracy)
        expected = [claimed(self.records[seed]) or 0.0 for seed in seeds]
        least = min(agreements)
        off = max(abs(ratio - 1) for ratio in spikes)
        statement = (
            f"{100 * least:.2f} % of samples agree in the worst seed, {100 * AGREEMENT:g} % are needed; "
            f"spikes are {100 * off:.2f} % off at most, {100 * COUNTS:g} % are allowed"
        )
        mean = math.fsum(agreements) / len(agreements)
        passed = least >= AGREEMENT and off <= COUNTS
        return _outcome("reinferred", passed, seeds, expected, found, statement, agreement=mean)

    def _inferred(self, seed: int) -> Training:
        method = self.submission.method
        assert method is not None  # noqa: S101 - refused before
        parts = self._parts(method, seed)
        path = self.root / "weights" / f"{seed}.safetensors"
        try:
            weights = load(read_bytes(path, limit=FOLDERS["weights"][1]))
            parts.network.load_state_dict(weights)
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: does not fit the network of the method: {reason}") from error
        record = self.records[seed]
        best = record.best_epoch if isinstance(record, RunRecord) else None
        return _scored(parts, method, seed, best or 0)

    def _parts(self, method: Method, seed: int) -> Parts:
        spec = recompose(method, seed, runs_dir=self.root, references=self.references)
        parts = build(spec)
        parts.data.setup()
        return parts

    def _retrained(self, seeds: Sequence[int]) -> Outcome:
        """Training from the names and numbers, in a folder that is thrown away."""
        method = self.submission.method
        assert method is not None  # noqa: S101 - refused before
        found = []
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="sgbench-verify-") as folder:
                record = run_spec(recompose(method, seed, runs_dir=Path(folder), references=self.references))
            if record.test is None:
                reason = "" if record.failure is None else f": {record.failure.message}"
                raise InputError(f"{self.root}: re-training seed {seed} failed{reason}")
            found.append(record.test.accuracy)
        every = [value for value in map(claimed, self.records.values()) if value is not None]
        samples = self.references.of(self.submission.protocol).test_samples
        tolerance = tolerance_of(every, len(found), samples=samples)
        difference = math.fsum(found) / len(found) - math.fsum(every) / len(every)
        statement = (
            f"{len(found)} re-trained against {len(every)} claimed seeds differ by {100 * difference:.2f} points; "
            f"{100 * tolerance:.2f} are allowed"
        )
        passed = abs(difference) <= tolerance
        return _outcome("retrained", passed, seeds, every, found, statement, tolerance=tolerance)


def _scored(parts: Parts, method: Method, seed: int, epoch: int) -> Training:
    """A pass over the test set with the weights of this epoch, without any training."""
    training = Training(parts, method, seed, made_by={})
    training.best.epoch = epoch
    training.begin_scoring("test", selected=True)
    with parts.data.last_step():
        for batch in parts.data.evaluation("test"):
            training.score(batch)
    return training


def _spike_ratio(training: Training, record: Result) -> float:
    """Spikes counted again over spikes claimed; 1 where there is nothing to compare."""
    if not isinstance(record, RunRecord) or record.counts is None:
        return 1.0
    again, claim = (
        sum(layer.spikes_sent.total or 0 for layer in counts.layers)
        for counts in (training.counter.result(), record.counts)
    )
    return again / claim if claim else 1.0 + again


def tolerance_of(accuracies: Sequence[float], repeated: int, *, samples: int) -> float:
    r"""How far a re-trained mean may lie from a claimed one.

    .. math:: \max\left(3 \, s \sqrt{1/n + 1/k}, \; 2 s, \; 1/N\right)

    Three standard errors of the difference of n claimed and k re-trained seeds, or two standard deviations of one
    seed, but no less than one of N test samples, since no difference is smaller. With five claimed seeds and one
    re-trained an honest claim is refused in 4 of 100 cases.

    Args:
        accuracies: claimed, one for each seed.
        repeated: k.
        samples: N, in the test set.

    >>> round(tolerance_of([0.90, 0.92], 1, samples=1000), 4)
    0.052
    """
    spread = standard_deviation(accuracies) if len(accuracies) >= MIN_SEEDS else 0.0
    error = spread * math.sqrt(1 / len(accuracies) + 1 / repeated)
    return max(ERRORS * error, SPREADS * spread, 1 / samples)


def _outcome(
    tier: Tier,
    passed: bool,
    seeds: Sequence[int],
    expected: Sequence[float],
    found: Sequence[float],
    statement: str,
    *,
    agreement: float | None = None,
    tolerance: float | None = None,
) -> Outcome:
    return Outcome(
        tier=tier,
        passed=passed,
        seeds=tuple(seeds),
        claimed_accuracy=math.fsum(expected) / len(expected),
        verified_accuracy=math.fsum(found) / len(found),
        agreement=agreement,
        tolerance=None if tolerance is None else min(tolerance, 1.0),
        statement=statement,
    )
