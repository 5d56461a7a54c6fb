"""Three tiers of trust: predictions scored again, weights run again, training repeated."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import Reference, References
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.answers import (
    ROUNDING,
    SAME_LOSS,
    Answers,
    claim_of,
    parse_answers,
    targets_apart,
)
from sgbench.records.content import Scores
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import ExternalRecord, Submission
from sgbench.records.trust import Tier
from sgbench.statistics.intervals import standard_deviation
from sgbench.submissions.folder import FOLDERS
from sgbench.submissions.verify.again import agreement, answered, rescored, wanted
from sgbench.submissions.verify.network import load_weights
from sgbench.submissions.verify.recompose import recompose
from sgbench.submissions.verify.recount import COUNTS, LEAST_LOSS, recounted
from sgbench.training.build import Parts, build
from sgbench.training.course import Training
from sgbench.training.runner import run_spec

AGREEMENT = 0.999
"""Share of samples on which re-inference has to agree; other processors round otherwise."""
ERRORS, SPREADS = 3.0, 2.0
MIN_SEEDS = 2
Result = RunRecord | ExternalRecord


@dataclass(frozen=True)
class Outcome:
    """What a tier found; accuracies, or losses in their place, are means over the seeds that were looked at."""

    tier: Tier
    passed: bool
    seeds: tuple[int, ...]
    claimed_accuracy: float | None
    verified_accuracy: float | None
    agreement: float | None
    tolerance: float | None
    statement: str
    claimed_loss: float | None = None
    verified_loss: float | None = None


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

    @property
    def _reference(self) -> Reference:
        return self.references.of(self.submission.protocol)

    @property
    def _measure(self) -> Measure:
        return self._reference.measure

    @property
    def _wanted(self) -> str:
        return "targets" if self._measure.is_loss else "labels"

    def _answers(self, seed: int) -> Answers:
        path = self.root / "predictions" / f"{seed}.csv"
        data = read_bytes(path, limit=FOLDERS["predictions"][1])
        return parse_answers(data, str(path), self._reference)

    def _claimed(self, seeds: Iterable[int]) -> list[float]:
        claims = [claim_of(self.records[seed]) for seed in seeds]
        return [claim.score for claim in claims if claim is not None]

    def _rescored(self, seeds: Sequence[int]) -> Outcome:
        """Answers against what the data set itself wants."""
        method = self.submission.method or self._reference.method
        found, foreign = [], 0
        for seed in seeds:
            truth = wanted(self._parts(method, seed).data, self._reference)
            given = self._answers(seed)
            foreign += targets_apart(given, truth, f"{self.root}/predictions/{seed}.csv")
            found.append(rescored(given, truth, self._reference))
        expected = self._claimed(seeds)
        near = SAME_LOSS if self._measure.is_loss else 0.0
        differs = sum(
            not math.isclose(one, other, rel_tol=near, abs_tol=ROUNDING)
            for one, other in zip(found, expected, strict=True)
        )
        statement = (
            f"{len(seeds) - differs} of {len(seeds)} seeds score to the claimed {self._measure.kind}; "
            f"{foreign} {self._wanted} are not the data set's"
        )
        return self._outcome("rescored", not differs and not foreign, seeds, expected, found, statement)

    def _reinferred(self, seeds: Sequence[int]) -> Outcome:
        """Weights in the catalogue's own network, run over the test set again."""
        agreements, found, spikes, foreign, lies = [], [], [], 0, []
        for seed in seeds:
            training, validation = self._inferred(seed)
            again = answered(training.predictions, self._reference)
            record = self.records[seed]
            if isinstance(record, RunRecord):
                counts, scores = training.counter.result(), training.evaluation.scores()
                spikes.append(_spike_ratio(counts, record))
                lies += [f"seed {seed}: {lie}" for lie in recounted(record, counts, scores, validation)]
            given, name = self._answers(seed), f"{self.root}/predictions/{seed}.csv"
            agreements.append(agreement(again, given, name))
            foreign += targets_apart(given, again, name)
            found.append(_score(training.evaluation.scores()))
        expected = self._claimed(seeds)
        least = min(agreements)
        off = max((abs(ratio - 1) for ratio in spikes), default=0.0)
        statement = (
            f"{100 * least:.2f} % of answers agree in the worst seed, {100 * AGREEMENT:g} % are needed; "
            f"spikes are {100 * off:.2f} % off at most, {100 * COUNTS:g} % are allowed"
        )
        # Outputs that agree may still lie nearer to what is wanted than the network's own.
        near = not self._measure.is_loss or all(
            math.isclose(one, other, rel_tol=LEAST_LOSS, abs_tol=ROUNDING)
            for one, other in zip(found, expected, strict=True)
        )
        statement += f"; {lies[0]}" if lies else "; all counts, activities and losses are the network's"
        if foreign:
            statement += f"; {foreign} {self._wanted} are not the data set's"
        if not near:
            statement += f"; a loss is more than {100 * LEAST_LOSS:g} % from its claim"
        mean = _mean(agreements)
        passed = least >= AGREEMENT and off <= COUNTS and near and not foreign and not lies
        return self._outcome("reinferred", passed, seeds, expected, found, statement, agreement=mean)

    def _inferred(self, seed: int) -> tuple[Training, Scores]:
        """A run over the test set, and before it the scores of the validation set."""
        method = self.submission.method
        assert method is not None  # noqa: S101 - refused before
        parts = self._parts(method, seed)
        path = self.root / "weights" / f"{seed}.safetensors"
        load_weights(parts.network, read_bytes(path, limit=FOLDERS["weights"][1]), str(path))
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
            found.append(_score(record.test))
        every, measure = self._claimed(self.records), self._measure
        mean = _mean(every)
        least = LEAST_LOSS * mean if measure.is_loss else 1 / self._reference.test_samples
        tolerance = tolerance_of(every, len(found), least=least)
        difference = _mean(found) - mean
        unit = "" if measure.is_loss else " points"
        statement = (
            f"{len(found)} re-trained against {len(every)} claimed seeds differ by "
            f"{measure.text(difference)}{unit}; {measure.text(tolerance)} are allowed; the re-trained ones claimed "
            f"{measure.text(_mean(self._claimed(seeds)))}"
        )
        passed = abs(difference) <= tolerance
        return self._outcome("retrained", passed, seeds, every, found, statement, tolerance=tolerance)

    def _outcome(
        self,
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
        claimed, verified = _mean(expected), _mean(found)
        by_loss = self._measure.is_loss
        return Outcome(
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


def _scored(parts: Parts, method: Method, seed: int, epoch: int) -> tuple[Training, Scores]:
    """A pass over the validation and the test set with the weights of this epoch, without any training."""
    training = Training(parts, method, seed, made_by={})
    training.best.epoch = epoch
    training.begin_scoring("validation", selected=True)
    for batch in parts.data.evaluation("validation"):
        training.score(batch)
    validation = training.evaluation.scores()
    training.begin_scoring("test", selected=True)
    with parts.data.last_step():
        for batch in parts.data.evaluation("test"):
            training.score(batch)
    return training, validation


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _score(scores: Scores) -> float:
    return scores.loss if scores.accuracy is None else scores.accuracy


def _spike_ratio(found: OpCounts, record: RunRecord) -> float:
    """Spikes counted again over spikes claimed; 1 where there is nothing to compare."""
    if record.counts is None:
        return 1.0
    again, claim = (
        sum(layer.spikes_sent.total or 0 for layer in counts.layers) for counts in (found, record.counts)
    )
    return again / claim if claim else 1.0 + again


def tolerance_of(scores: Sequence[float], repeated: int, *, least: float) -> float:
    r"""How far a re-trained mean may lie from a claimed one.

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
