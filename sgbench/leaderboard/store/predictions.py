"""Parses tables of test predictions: a class for each sample or labelled step."""

import re
import textwrap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError, printable

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
        """Compute the share of samples that are classified correctly."""
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
    later = (np.diff(index) > 0) | ((np.diff(index) == 0) & (np.diff(step) > 0))
    if not later.all():
        wrong = int(np.flatnonzero(~later)[0]) + 1
        raise InputError(
            f"{name}: step {step[wrong]} of sample {index[wrong]} is doubled or out of order; state each once"
        )
    return Predictions(target, prediction, table[:, :0], np.stack([index, step], axis=1))


def _count_logits(header: str, name: str) -> int:
    classes = header.count(",") + 1 - len(FIXED)
    wanted = ",".join([*FIXED, *(f"logit_{k}" for k in range(min(max(classes, 0), MAX_CLASSES)))])
    if header != wanted:
        raise other_columns(name, header, f"{','.join(FIXED)},logit_0,..., or {','.join(STEPPED)}")
    return classes


def other_columns(name: str, header: str, wanted: str) -> InputError:
    shown = textwrap.shorten(header.replace(",", ", "), SHOWN_CHARS, placeholder=" ...").replace(", ", ",")
    wanted = textwrap.shorten(wanted.replace(",", ", "), SHOWN_CHARS, placeholder=" ...").replace(", ", ",")
    return InputError(f"{name}: the first line names other columns; needed: {wanted}; found: {printable(shown)}")


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
