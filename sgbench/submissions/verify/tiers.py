"""Runs the three tiers of verification: rescores predictions, reruns weights, or retrains."""

import math
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sgbench.errors import InputError, NonFiniteError
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.predictions import (
    ROUNDING,
    SAME_LOSS,
    PredictionTable,
    claim_of,
    parse_prediction_table,
    targets_apart,
)
from sgbench.leaderboard.store.repeats import judge_claims, tolerance_for
from sgbench.records.audit import Repeatability, Retraining
from sgbench.records.content import Scores
from sgbench.records.counts import OpCounts
from sgbench.records.files import read_bytes
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import ExternalRecord, Submission, Tier
from sgbench.submissions.folder import FOLDERS
from sgbench.submissions.verify.network import COUNT_TOLERANCE, LEAST_LOSS, count_differences, load_weights
from sgbench.submissions.verify.verdict import (
    TierOutcome,
    agreement,
    mean,
    outcome,
    predicted_table,
    recompose,
    score_again,
    score_of,
    target_table,
)
from sgbench.training.build import Parts, build
from sgbench.training.epoch_loop import Training
from sgbench.training.runner import run_spec

AGREEMENT = 0.999
"""Smallest share of samples on which rerun weights agree, since rounding depends on the processor."""
Result = RunRecord | ExternalRecord


class Verifier:
    """Verifies seeds of one submission, which was checked before.

    `root`: folder of the submission. `submission`: content of submission.json. `records`: maps finished seeds to their
    records. `references`: references of the protocols. `repeatability`: how far honest runs of a seed lie apart on the
    board; None if that is not known.
    """

    def __init__(
        self,
        root: Path,
        submission: Submission,
        records: Mapping[int, Result],
        references: References,
        repeatability: Repeatability | None = None,
    ) -> None:
        self.root = root
        self.submission = submission
        self.records = records
        self.references = references
        self.repeatability = repeatability

    def verify(self, tier: Tier, seeds: Sequence[int]) -> TierOutcome:
        """Run one tier of verification on these seeds."""
        if not seeds:
            raise InputError(f"{self.root}: no finished seed to verify")
        if tier == "rescored":
            return self._rescored(seeds)
        if self.submission.method is None:
            raise InputError(f"{self.root}: code outside the catalogue can only be rescored; use --tier rescored")
        return self._reinferred(seeds) if tier == "reinferred" else self._retrained(seeds)

    @property
    def _reference(self) -> ProtocolReference:
        return self.references.of(self.submission.protocol)

    @property
    def _measure(self) -> Measure:
        return self._reference.measure

    @property
    def _targets_text(self) -> str:
        return "targets" if self._measure.is_loss else "labels"

    def _predictions(self, seed: int) -> PredictionTable:
        path = self.root / "predictions" / f"{seed}.csv"
        data = read_bytes(path, limit=FOLDERS["predictions"].max_bytes)
        return parse_prediction_table(data, str(path), self._reference)

    def _claimed(self, seeds: Iterable[int]) -> list[float]:
        claims = [claim_of(self.records[seed]) for seed in seeds]
        return [claim.score for claim in claims if claim is not None]

    def _rescored(self, seeds: Sequence[int]) -> TierOutcome:
        """Score the submitted predictions again, with the targets of the data set."""
        method = self.submission.method or self._reference.method
        scores, foreign = [], 0  # foreign: targets that are not the data set's
        for seed in seeds:
            truth = target_table(self._parts(method, seed).data, self._reference)
            submitted = self._predictions(seed)
            foreign += targets_apart(submitted, truth, f"{self.root}/predictions/{seed}.csv")
            scores.append(score_again(submitted, truth, self._reference))
        expected = self._claimed(seeds)
        tolerance = SAME_LOSS if self._measure.is_loss else 0.0
        differs = sum(
            not math.isclose(score, claim, rel_tol=tolerance, abs_tol=ROUNDING)
            for score, claim in zip(scores, expected, strict=True)
        )
        statement = (
            f"{len(seeds) - differs} of {len(seeds)} seeds score to the claimed {self._measure.kind}; "
            f"{foreign} {self._targets_text} are not the data set's"
        )
        return outcome("rescored", self._measure, not differs and not foreign, seeds, (expected, scores), statement)

    def _reinferred(self, seeds: Sequence[int]) -> TierOutcome:
        """Run the stored weights in the catalogue's network over the test set, and compare with the claims."""
        agreements, test_scores, spike_ratios, foreign, differences = [], [], [], 0, []
        for seed in seeds:
            try:
                training, validation = self._inference(seed)
            except NonFiniteError as error:
                agreements.append(0.0)
                test_scores.append(self._failed_score)
                differences.append(f"seed {seed}: {error}")
                continue
            predicted = predicted_table(training.predictions, self._reference)
            record = self.records[seed]
            if isinstance(record, RunRecord):
                counts, scores = training.counter.result(), training.evaluation.scores()
                spike_ratios.append(_spike_ratio(counts, record))
                lines = count_differences(record, counts, scores, validation)
                differences += [f"seed {seed}: {line}" for line in lines]
            submitted, name = self._predictions(seed), f"{self.root}/predictions/{seed}.csv"
            agreements.append(agreement(predicted, submitted, name))
            foreign += targets_apart(submitted, predicted, name)
            test_scores.append(score_of(training.evaluation.scores()))
        expected = self._claimed(seeds)
        least = min(agreements)
        off = max((abs(ratio - 1) for ratio in spike_ratios), default=0.0)
        statement = (
            f"{100 * least:.2f} % of answers agree in the worst seed, {100 * AGREEMENT:g} % are needed; "
            f"spikes are {100 * off:.2f} % off at most, {100 * COUNT_TOLERANCE:g} % are allowed"
        )
        # Outputs that agree may still be closer to the targets than the network's own.
        is_near = not self._measure.is_loss or all(
            math.isclose(score, claim, rel_tol=LEAST_LOSS, abs_tol=ROUNDING)
            for score, claim in zip(test_scores, expected, strict=True)
        )
        statement += f"; {differences[0]}" if differences else "; all counts, activities and losses are the network's"
        if foreign:
            statement += f"; {foreign} {self._targets_text} are not the data set's"
        if not is_near:
            statement += f"; a loss is more than {100 * LEAST_LOSS:g} % from its claim"
        agreed = mean(agreements)
        passed = least >= AGREEMENT and off <= COUNT_TOLERANCE and is_near and not foreign and not differences
        return outcome("reinferred", self._measure, passed, seeds, (expected, test_scores), statement, agreement=agreed)

    @property
    def _failed_score(self) -> float:
        """Return the score of a network whose inference fails: that of guessing, or the largest loss."""
        guess = self._measure.guess
        return guess if math.isfinite(guess) else sys.float_info.max

    def _inference(self, seed: int) -> tuple[Training, Scores]:
        """Build the network, load the submitted weights of a seed, and run its test."""
        method = self.submission.method
        assert method is not None  # noqa: S101 - refused before
        parts = self._parts(method, seed)
        path = self.root / "weights" / f"{seed}.safetensors"
        load_weights(parts.network, read_bytes(path, limit=FOLDERS["weights"].max_bytes), str(path))
        record = self.records[seed]
        best = record.best_epoch if isinstance(record, RunRecord) else None
        return _scored(parts, method, seed, best or 0)

    def _parts(self, method: Method, seed: int) -> Parts:
        spec = recompose(method, seed, runs_dir=self.root, references=self.references)
        parts = build(spec)
        parts.data.setup()
        return parts

    def _retrained(self, seeds: Sequence[int]) -> TierOutcome:
        method = self.submission.method
        assert method is not None  # noqa: S101 - refused before
        claims = dict(zip(seeds, self._claimed(seeds), strict=True))
        return retrain(str(self.root), method, claims, references=self.references, repeatability=self.repeatability)


def _scored(parts: Parts, method: Method, seed: int, epoch: int) -> tuple[Training, Scores]:
    """Evaluate a network whose weights are those of an epoch on validation and test split.

    Return the training, which holds the test scores, and the validation scores.
    """
    training = Training(parts, method, seed, made_by={})
    training.best.epoch = epoch  # noise and slope schedule are those of this epoch
    training.begin_scoring("validation", selected=True)
    for batch in parts.data.evaluation("validation"):
        training.score(batch)
    validation = training.evaluation.scores()
    score_test(training, parts)
    return training, validation


def score_test(training: Training, parts: Parts) -> None:
    """Evaluate the current weights of the network on the test split."""
    training.begin_scoring("test", selected=True)
    with parts.data.last_step():
        for batch in parts.data.evaluation("test"):
            training.score(batch)


def _spike_ratio(recounted: OpCounts, record: RunRecord) -> float:
    """Return the counted spikes as a multiple of the recorded ones; without recorded ones 1 plus the counted ones."""
    if record.counts is None:
        return 1.0
    again, claim = (
        sum(layer.spikes_sent.total or 0 for layer in counts.layers) for counts in (recounted, record.counts)
    )
    return again / claim if claim else 1.0 + again


def retrain(
    where: str,
    method: Method,
    claims: Mapping[int, float],
    *,
    references: References,
    repeatability: Repeatability | None = None,
) -> TierOutcome:
    """Train seeds of a method again in temporary folders, and compare each with its claimed score.

    `where`: name of the submission, for messages. `claims`: maps seeds to their claimed scores. `repeatability`: how
    far honest runs of a seed lie apart on the protocol's board; None if that is not known.
    """
    measure = references.of(method.protocol.name).measure
    retrainings: list[Retraining] = []
    for seed, claimed in claims.items():
        with tempfile.TemporaryDirectory(prefix="sgbench-verify-") as folder:
            record = run_spec(recompose(method, seed, runs_dir=Path(folder), references=references))
        if record.test is None:
            reason = "" if record.failure is None else f": {record.failure.message}"
            raise InputError(f"{where}: re-training seed {seed} failed{reason}")
        engine, again = record.provenance.engine, score_of(record.test)
        retrainings.append(
            Retraining(method_id=method_id(method), seed=seed, claimed=claimed, again=again, engine=engine)
        )
    judged, statement = judge_claims(retrainings, repeatability, is_loss=measure.is_loss)
    passed, allowed = judged == "agrees", tolerance_for(repeatability)
    scores = list(claims.values()), [retraining.again for retraining in retrainings]
    return outcome("retrained", measure, passed, list(claims), scores, statement, tolerance=allowed)
