"""Files of test predictions: read strictly, and scored again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError
from sgbench.paths import PREDICTIONS
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord

MAX_PREDICTION_BYTES = 64 * 1024 * 1024
MAX_CLASSES = 10_000
FIXED = ("index", "target", "prediction")
STEPPED = ("index", "step", "target", "prediction")
_STEP = re.compile(r"\d{1,9},\d{1,9},\d{1,5},\d{1,5}")
_LINE = re.compile(r"\d{1,9},\d{1,5},\d{1,5}(?:,-?\d{1,40}(?:\.\d{1,40})?(?:e[+-]?\d{1,3})?)*")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """One run on the test set: what was right and what was said, in the order of the split.

    Where each step has a class of its own, it is labelled steps that are counted here, sample after sample.
    """

    target: Ints  # [samples]
    prediction: Ints  # [samples]
    logits: NDArray[np.float64]  # [samples, classes], or [samples, 0] where none were kept

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether each sample is right [samples]."""
        return self.target == self.prediction

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(self.hits.mean())


def parse_predictions(data: bytes, name: str) -> Predictions:
    r"""Read a table of predictions: index, target, prediction, and a logit for each class.

    Every sample stands once, in order; numbers are plain decimal ones; a prediction has the largest logit. Where
    each step has a class of its own a line is a labelled step: index, step, target, prediction.

    Args:
        data: lines of comma-separated values.
        name: of the file, for messages.

    Raises:
        InputError: the first line that is not so, and why.

    >>> parse_predictions(b"index,target,prediction\n0,3,3\n1,4,3\n", "it").accuracy
    0.5
    """
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not a table of predictions: {error.reason}") from None
    stepped = lines[0] == ",".join(STEPPED)
    classes = 0 if stepped else _classes(lines[0], name)
    body = lines[1:-1]
    if lines[-1] or not body:
        raise InputError(f"{name}: not a table of predictions: lines that end in one newline are needed")
    if stepped:
        return _checked_steps(_table(body, _STEP, len(STEPPED), name), name)
    return _checked(_table(body, _LINE, len(FIXED) + classes, name), classes, name)


def _table(body: list[str], line_of: re.Pattern[str], columns: int, name: str) -> NDArray[np.float64]:
    for number, line in enumerate(body):
        if not line_of.fullmatch(line) or line.count(",") != columns - 1:
            raise InputError(
                f"{name}: not a table of predictions: line {number + 2} is not {columns} numbers"
            )
    return np.array([line.split(",") for line in body], dtype=np.float64)


def _checked_steps(table: NDArray[np.float64], name: str) -> Predictions:
    index, step, target, prediction = table.astype(np.int64).T
    later = (np.diff(index) > 0) | ((np.diff(index) == 0) & (np.diff(step) > 0))
    if not later.all():
        wrong = int(np.flatnonzero(~later)[0]) + 1
        raise InputError(
            f"{name}: step {step[wrong]} of sample {index[wrong]} is doubled or out of order; state each once"
        )
    return Predictions(target, prediction, table[:, :0])


def _classes(header: str, name: str) -> int:
    names = header.split(",")
    classes = len(names) - len(FIXED)
    if not 0 <= classes <= MAX_CLASSES or names != [*FIXED, *(f"logit_{k}" for k in range(classes))]:
        raise InputError(f"{name}: not a table of predictions: the first line names other columns")
    return classes


def _checked(table: NDArray[np.float64], classes: int, name: str) -> Predictions:
    index, target, prediction = table[:, : len(FIXED)].astype(np.int64).T
    logits = table[:, len(FIXED) :]
    wrong = np.flatnonzero(index != np.arange(len(index)))
    if len(wrong):
        raise InputError(f"{name}: sample {wrong[0]} is missing, doubled or out of order; state each once")
    if classes:
        if not np.isfinite(logits).all():
            raise InputError(f"{name}: a logit is beyond the range of a number")
        if max(target.max(), prediction.max()) >= classes:
            raise InputError(f"{name}: a class beyond 0..{classes - 1} is named")
        less = np.flatnonzero(logits[np.arange(len(index)), prediction] < logits.max(axis=1))
        if len(less):
            raise InputError(f"{name}: the prediction of sample {less[0]} is not its largest logit")
    return Predictions(target, prediction, logits)


def check_predictions(record: RunRecord, folder: Path) -> None:
    """Score the predictions beside a finished record again.

    Raises:
        InputError: the file is missing, is not the one that was recorded, or gives another accuracy.
    """
    if record.status != "finished" or record.test is None or record.test.accuracy is None:
        return
    path = folder / PREDICTIONS
    data = read_bytes(path, limit=MAX_PREDICTION_BYTES)
    if hashlib.sha256(data).hexdigest() != record.predictions_sha256:
        raise InputError(f"{path}: is not the file that the record was made with; repeat the run")
    found, test = parse_predictions(data, str(path)), record.test
    require_score(found, record.test.accuracy, test.labels or test.samples, str(path))


def require_score(found: Predictions, accuracy: float, samples: int, name: str) -> None:
    """Refuse predictions that do not give the accuracy that is claimed of them.

    Raises:
        InputError: with both numbers.
    """
    if len(found.target) != samples or abs(found.accuracy - accuracy) > 1e-9:  # noqa: PLR2004
        raise InputError(
            f"{name}: {int(found.hits.sum())} of {len(found.target)} are right, but the record claims an accuracy "
            f"of {accuracy:.6g} on {samples} answers"
        )
