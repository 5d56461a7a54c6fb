"""Parses tables of a run's predictions or outputs on the test set, and checks them against the claimed score."""

import hashlib
import math
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError, printable
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.paths import PREDICTIONS
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import ExternalRecord

MAX_PREDICTION_BYTES = 64 * 1024 * 1024
MAX_CLASSES = 10_000
MAX_LOGIT = 1e100  # so that sums of squares do not overflow
SHOWN_CHARS = 120  # of a first line in a message
FIXED = ("index", "target", "prediction")
STEPPED = ("index", "step", "target", "prediction")
_STEP = re.compile(r"\d{1,9},\d{1,9},\d{1,5},\d{1,5}")
NUMBER = r"-?\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?"
_LINE = re.compile(rf"\d{{1,9}},\d{{1,5}},\d{{1,5}}(?:,{NUMBER})*")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
INDICES = ("index", "step")
MAX_OUTPUTS = 1000
MAX_VALUE = 1e30  # so that means of squares stay within the range of records
_OUTPUT_LINE = re.compile(rf"\d{{1,9}},\d{{1,9}}(?:,{NUMBER})*")


@dataclass(frozen=True)
class Predictions:
    """Holds targets and predicted classes of one run on the test set, samples in the order of the split.

    If each time step has a class, "samples" below are the labelled steps of all samples in order.
    """

    target: Ints  # [samples]
    prediction: Ints  # [samples]
    logits: Floats  # [samples, classes], or [samples, 0] if none were stored
    steps: Ints | None = None  # [samples, 2] sample and time step of each, if each step has a class

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Return whether each sample is classified correctly [samples]."""
        return self.target == self.prediction

    @property
    def accuracy(self) -> float:
        return float(self.hits.mean())


def parse_predictions(data: bytes, name: str) -> Predictions:
    r"""Read a table of predictions: index, target, prediction, and a logit for each class.

    Every sample occurs once, in order; numbers are plain decimals; a prediction has the largest logit. If each time
    step has a class, a line is a labelled step: index, step, target, prediction.

    >>> parse_predictions(b"index,target,prediction\n0,3,3\n1,4,3\n", "it").accuracy
    0.5
    """
    header, body = lines_of(data, name)
    if header == ",".join(STEPPED):
        return _checked_steps(table_of(body, _STEP, len(STEPPED), name), name)
    classes = _count_logits(header, name)
    return _checked(table_of(body, _LINE, len(FIXED) + classes, name), classes, name)


def lines_of(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return the first line of a table and its other lines; `name` is the table's file, for messages."""
    if b"\r" in data:
        raise InputError(f"{name}: its lines end in CR LF; write them with one newline, as lineterminator='\\n'")
    try:
        first, *others = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not a table of predictions: {error.reason}") from None
    body = others[:-1]
    if not body or others[-1]:
        raise InputError(f"{name}: not a table of predictions: lines that end in one newline are needed")
    return first, body


def table_of(body: list[str], line_of: re.Pattern[str], columns: int, name: str) -> Floats:
    """Parse the lines of a table, each of which must match `line_of`, as an array of numbers [lines, columns]."""
    for number, line in enumerate(body):
        if not line_of.fullmatch(line) or line.count(",") != columns - 1:
            raise InputError(f"{name}: not a table of predictions: line {number + 2} is not {columns} numbers")
    return np.array([line.split(",") for line in body], dtype=np.float64)


def _checked_steps(table: Floats, name: str) -> Predictions:
    """Convert a table [labelled steps, 4]; raise an `InputError` unless steps are in order, each once."""
    index, step, target, prediction = table.astype(np.int64).T
    follows = (np.diff(index) > 0) | ((np.diff(index) == 0) & (np.diff(step) > 0))  # the line before, in order
    if not follows.all():
        wrong = int(np.flatnonzero(~follows)[0]) + 1
        raise InputError(
            f"{name}: step {step[wrong]} of sample {index[wrong]} is doubled or out of order; state each once"
        )
    return Predictions(target, prediction, table[:, :0], np.stack([index, step], axis=1))


def _count_logits(header: str, name: str) -> int:
    classes = header.count(",") + 1 - len(FIXED)
    wanted = ",".join([*FIXED, *(f"logit_{k}" for k in range(min(max(classes, 0), MAX_CLASSES)))])
    if header != wanted:
        raise wrong_columns_error(name, header, f"{','.join(FIXED)},logit_0,..., or {','.join(STEPPED)}")
    return classes


def wrong_columns_error(name: str, header: str, expected_header: str) -> InputError:
    """Return the error for the table `name`, whose first line is `header` in place of the expected columns."""
    found, needed = (  # textwrap cuts at spaces
        textwrap.shorten(columns.replace(",", ", "), SHOWN_CHARS, placeholder=" ...").replace(", ", ",")
        for columns in (header, expected_header)
    )
    return InputError(f"{name}: the first line names other columns; needed: {needed}; found: {printable(found)}")


def _checked(table: Floats, classes: int, name: str) -> Predictions:
    """Convert a table [samples, 3 + classes]; raise an `InputError` unless samples are in order and logits fit."""
    index, target, prediction = table[:, : len(FIXED)].astype(np.int64).T
    logits = table[:, len(FIXED) :]
    wrong = np.flatnonzero(index != np.arange(len(index)))
    if len(wrong):
        raise InputError(f"{name}: sample {wrong[0]} is missing, doubled or out of order; state each once")
    if classes:
        if not (np.abs(logits) <= MAX_LOGIT).all():
            raise InputError(f"{name}: a logit is beyond {MAX_LOGIT:g}")
        if max(target.max(), prediction.max()) >= classes:
            raise InputError(f"{name}: a class beyond 0..{classes - 1} is named")
        smaller = np.flatnonzero(logits[np.arange(len(index)), prediction] < logits.max(axis=1))
        if len(smaller):
            raise InputError(f"{name}: the prediction of sample {smaller[0]} is not its largest logit")
    return Predictions(target, prediction, logits)


@dataclass(frozen=True)
class Outputs:
    """Holds targets and outputs of one run on the test set, samples in the order of the split."""

    target: Floats  # [samples, steps, outputs]
    output: Floats  # [samples, steps, outputs]


def parse_outputs(data: bytes, name: str) -> Outputs:
    r"""Read a table of outputs: index, step, a target and an output for each neuron of the readout.

    Every sample occurs once, in order, with equal steps; numbers are plain decimals.

    >>> parse_outputs(b"index,step,target_0,output_0\n0,0,1,0.5\n0,1,0,0.25\n", "it").output.tolist()
    [[[0.5], [0.25]]]
    """
    header, body = lines_of(data, name)
    count = _count_outputs(header, name)
    table = table_of(body, _OUTPUT_LINE, len(INDICES) + 2 * count, name)
    steps = _steps(table[:, : len(INDICES)], name)
    values = table[:, len(INDICES) :]
    if not (np.abs(values) <= MAX_VALUE).all():
        raise InputError(f"{name}: a value is beyond {MAX_VALUE:g}")
    pairs = values.reshape(-1, steps, 2, count)  # [samples, steps, target and output, outputs]
    return Outputs(target=pairs[:, :, 0], output=pairs[:, :, 1])


def _count_outputs(header: str, name: str) -> int:
    """Return the number of outputs that a header names; InputError if it has other columns."""
    count, remainder = divmod(header.count(",") + 1 - len(INDICES), 2)  # a target and an output for each neuron
    if remainder or not 1 <= count <= MAX_OUTPUTS:  # checked before names are made for all of them
        raise wrong_columns_error(name, header, "index,step,target_0,...,output_0,...")
    kinds = [f"{kind}_{number}" for kind in ("target", "output") for number in range(count)]
    if header.split(",") != [*INDICES, *kinds]:
        raise wrong_columns_error(name, header, ",".join([*INDICES, *kinds]))
    return count


def _steps(indices: Floats, name: str) -> int:
    """Return the count of steps of each sample; `indices` [lines, 2] are sample and step of each line."""
    steps = int((indices[:, 0] == indices[0, 0]).sum())
    line = np.arange(len(indices))
    wrong = np.flatnonzero((indices[:, 0] != line // steps) | (indices[:, 1] != line % steps))
    if len(wrong) or len(indices) % steps:
        row = int(wrong[0]) if len(wrong) else len(indices) - 1
        raise InputError(
            f"{name}: line {row + 2} is out of order; state each step of each sample once, {steps} a sample"
        )
    return steps


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
    """Return the test scores that a record claims; None for a failed run."""
    if isinstance(record, ExternalRecord):
        failed = record.status == "failed"
        return None if failed else ScoreClaim(record.accuracy, record.loss, record.samples, record.labels)
    test = record.test
    if test is None:
        return None
    loss = test.loss if test.accuracy is None else None
    return ScoreClaim(test.accuracy, loss, test.samples, test.labels)


def parse_prediction_table(data: bytes, name: str, reference: ProtocolReference) -> PredictionTable:
    """Read a table of predictions, or of outputs for a protocol without classes; its form has to be the protocol's."""
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
    """Read real-valued outputs, one for each sample and step of the test."""
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


def targets_apart(claimed: PredictionTable, truth: PredictionTable, name: str) -> int:
    """Count the targets in a table that differ from the true ones; `name` is the table's file, for messages."""
    if claimed.target.shape != truth.target.shape:
        raise InputError(f"{name}: has {_extent(claimed)}, the test split {_extent(truth)}")
    if not same_steps(claimed, truth):
        raise InputError(f"{name}: answers for other steps than those that the data set labels")
    tolerance = SAME_TARGET * float(truth.target.std()) if isinstance(truth, Outputs) else 0.0
    return int((np.abs(claimed.target - truth.target) > tolerance).sum())


def _extent(predictions: PredictionTable) -> str:
    if isinstance(predictions, Outputs):
        samples, steps, outputs = predictions.target.shape
        return f"{samples} samples of {steps} steps and {outputs} outputs"
    return f"{len(predictions.target)} {'samples' if predictions.steps is None else 'labelled steps'}"


def same_steps(a: PredictionTable, b: PredictionTable) -> bool:
    """Return whether two tables are of the same labelled steps, or neither has labelled steps."""
    steps_a, steps_b = (table.steps if isinstance(table, Predictions) else None for table in (a, b))
    if steps_a is None or steps_b is None:
        return steps_a is steps_b
    return np.array_equal(steps_a, steps_b)


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
