"""Parses a run's predictions or outputs on the test set, and checks them against the claimed score."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.store.outputs import Outputs, parse_outputs
from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, Ints, Predictions, parse_predictions
from sgbench.paths import PREDICTIONS
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import ExternalRecord

PredictionTable = Predictions | Outputs
ROUNDING = 1e-9
"""Tolerance of an accuracy."""
TOO_LONG = 2
"""A table with so many times the lines that the protocol needs is refused before it is parsed."""
SAME_LOSS = 1e-5
"""Relative tolerance of a loss: outputs are stored with nine digits, and were summed in single precision."""
SAME_TARGET = 1e-6
"""Tolerance of targets relative to their standard deviation: outside code may have them in double precision."""


class Judge(Protocol):
    """Computes what needs torch, from data sets, losses and networks; callers of this module pass one in."""

    def loss_of(self, outputs: Outputs, reference: ProtocolReference) -> float:
        """Compute the loss of a protocol on stored outputs."""
        ...

    def wanted(self, reference: ProtocolReference, seed: int) -> PredictionTable | None:
        """Return a table with a seed's test targets and arbitrary predictions; None without its data."""
        ...

    def impossible(self, method: Method) -> str | None:
        """Return why a method's network cannot be built from its entries and numbers; None if it can."""
        ...

    def misfit(self, record: RunRecord, weights: bytes, name: str) -> str | None:
        """Return where a finished record disagrees with its network; None if it agrees."""
        ...


@dataclass(frozen=True)
class ScoreClaim:
    """Holds the test scores that a record claims."""

    accuracy: float | None
    loss: float | None  # of a task without classes
    samples: int
    labels: int | None  # count of labelled steps, if each step has a class

    @property
    def score(self) -> float:
        value = self.loss if self.accuracy is None else self.accuracy
        assert value is not None  # noqa: S101 - the schema of both records has one
        return value


def claim_of(record: RunRecord | ExternalRecord) -> ScoreClaim | None:
    if isinstance(record, ExternalRecord):
        failed = record.status == "failed"
        return None if failed else ScoreClaim(record.accuracy, record.loss, record.samples, record.labels)
    test = record.test
    if test is None:
        return None
    loss = test.loss if test.accuracy is None else None
    return ScoreClaim(test.accuracy, loss, test.samples, test.labels)


def parse_prediction_table(data: bytes, name: str, reference: ProtocolReference) -> PredictionTable:
    _require_lines(data, name, reference)
    if reference.classes is None:
        return _complete_outputs(data, name, reference)
    predictions = parse_predictions(data, name)
    if (predictions.steps is not None) != reference.labels_steps:
        wanted = "labelled step" if reference.labels_steps else "sample"
        raise InputError(f"{name}: {reference.protocol.name} needs one answer for each {wanted}")
    if reference.labels_steps:
        largest = int(max(predictions.target.max(), predictions.prediction.max()))
        if largest >= reference.classes:
            raise InputError(f"{name}: class {largest} is beyond 0..{reference.classes - 1}")
        _require_steps(predictions.steps, name, reference)
    elif predictions.logits.shape[1] != reference.classes:
        raise InputError(f"{name}: {reference.classes} logits a sample are needed, one for each class")
    return predictions


def _require_lines(data: bytes, name: str, reference: ProtocolReference) -> None:
    by_step = reference.classes is None or reference.labels_steps
    most = reference.test_samples * (reference.protocol.steps if by_step else 1)
    count = data.count(b"\n") - 1
    if count > TOO_LONG * most:  # for a nearly correct table the parser names the wrong line
        raise InputError(f"{name}: has {count} lines of answers; state each once, at most {most}")


def _complete_outputs(data: bytes, name: str, reference: ProtocolReference) -> Outputs:
    outputs, wanted = parse_outputs(data, name), (reference.test_samples, reference.protocol.steps)
    if outputs.output.shape[:2] != wanted:
        samples, steps = wanted
        raise InputError(f"{name}: has {_extent(outputs)}; state all {samples} of {steps}")
    if reference.facts.target == "spikes" and not np.isin(outputs.output, (0, 1)).all():
        raise InputError(f"{name}: an output is neither 0 nor 1; hand in spikes")
    return outputs


def _require_steps(steps_of: Ints | None, name: str, reference: ProtocolReference) -> None:
    samples, steps = reference.test_samples, reference.protocol.steps
    if steps_of is not None and (steps_of >= (samples, steps)).any():
        raise InputError(f"{name}: names a step beyond the test split, {samples} samples of {steps} steps")


def targets_apart(given: PredictionTable, truth: PredictionTable, name: str) -> int:
    """Count the targets in the table `given` that differ from those in `truth`; `name` is its file, for messages."""
    if given.target.shape != truth.target.shape:
        raise InputError(f"{name}: has {_extent(given)}, the test split {_extent(truth)}")
    if not same_steps(given, truth):
        raise InputError(f"{name}: answers for other steps than those that the data set labels")
    near = SAME_TARGET * float(truth.target.std()) if isinstance(truth, Outputs) else 0.0
    return int((np.abs(given.target - truth.target) > near).sum())


def _extent(predictions: PredictionTable) -> str:
    if isinstance(predictions, Outputs):
        samples, steps, outputs = predictions.target.shape
        return f"{samples} samples of {steps} steps and {outputs} outputs"
    return f"{len(predictions.target)} {'samples' if predictions.steps is None else 'labelled steps'}"


def same_steps(one: PredictionTable, other: PredictionTable) -> bool:
    """Return whether two tables are of the same labelled steps, or neither has labelled steps."""
    first, second = (table.steps if isinstance(table, Predictions) else None for table in (one, other))
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)


def require_claim(predictions: PredictionTable, claim: ScoreClaim, name: str, *, loss: float | None = None) -> None:
    """Raise an `InputError` that names both scores unless predictions or outputs give the claimed score."""
    if isinstance(predictions, Predictions):
        _require_accuracy(predictions, claim, name)
        return
    if len(predictions.output) != claim.samples:
        raise InputError(f"{name}: has {len(predictions.output)} samples, but the record claims {claim.samples}")
    assert loss is not None  # noqa: S101 - computed wherever there are outputs
    if not math.isclose(loss, _stated(claim.loss, "loss", name), rel_tol=SAME_LOSS):
        raise InputError(f"{name}: gives a loss of {loss:.6g}, but the record claims {claim.loss:.6g}")


def _stated(value: float | None, score: str, name: str) -> float:
    if value is None:
        raise InputError(f"{name}: its record claims no {score}, which is what the protocol compares")
    return value


def _require_accuracy(predictions: Predictions, claim: ScoreClaim, name: str) -> None:
    """Raise an `InputError` unless predictions give the claimed accuracy on the claimed count of answers."""
    if (claim.labels is None) != (predictions.steps is None):
        fact = "no step has a class of its own" if claim.labels else "each step has a class of its own"
        raise InputError(f"{name}: its record states {claim.labels or 'no'} labels, but {fact}; make it again")
    count, accuracy = claim.labels or claim.samples, _stated(claim.accuracy, "accuracy", name)
    if len(predictions.target) != count or abs(predictions.accuracy - accuracy) > ROUNDING:
        raise InputError(
            f"{name}: {int(predictions.hits.sum())} of {len(predictions.target)} are right, but the record "
            f"claims an accuracy of {accuracy:.6g} on {count} answers"
        )


def check_predictions(record: RunRecord, folder: Path) -> None:
    """Check the predictions in a run's folder: their hash, their form, and the accuracy that they give.

    Outputs of a task without classes are not scored; a failed run has nothing to check.
    """
    claim = claim_of(record)
    if claim is None:
        return
    path = folder / PREDICTIONS
    data = read_bytes(path, limit=MAX_PREDICTION_BYTES)
    if hashlib.sha256(data).hexdigest() != record.predictions_sha256:
        raise InputError(f"{path}: is not the file that the record was made with; repeat the run")
    if claim.accuracy is None:
        parse_outputs(data, str(path))
    else:
        _require_accuracy(parse_predictions(data, str(path)), claim, str(path))
