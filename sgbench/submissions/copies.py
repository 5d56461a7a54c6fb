"""Finds copied results, whose predictions are nearly equal, and results whose inputs wrongly differ."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS
from sgbench.leaderboard.store.objects import Objects
from sgbench.leaderboard.store.outside import EXTERNAL
from sgbench.leaderboard.store.predictions import (
    Floats,
    Outputs,
    Predictions,
    PredictionTable,
    parse_prediction_table,
    targets_apart,
)
from sgbench.leaderboard.store.stored import StoredRecords
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.records.submission import ExternalRecord, Submission
from sgbench.submissions.folder import SUBMISSION, Problem

SAME_ANSWERS = 0.995
SAME_ERRORS = 0.9
MIN_ERRORS = 5
SAME_LOGITS = SAME_OUTPUTS = 0.9995
"""Smallest shares of equal predictions and errors, and smallest correlations, of a copy. Of fifteen surrogates with
one seed, two share at most 98.6 % of predictions and 79 % of errors, and correlate at most at 0.990, on digits_v1,
delayed_xor_v1 and yin_yang_v1."""
MIN_DISTINCT = 100
"""Fewest distinct logits with which nearly equal predictions show a copy. On temporal_xor_v1, whose networks have
at most nine, honest runs of two surrogates have equal predictions."""
WHOSE = ("name", "contact", "paper", "code")
"""Fields of a submission that say whose it is."""
Result = RunRecord | ExternalRecord


def is_copy(a: PredictionTable, b: PredictionTable) -> bool:
    """Return whether two runs are so similar that one copies the other, or both are one method."""
    if a.target.shape != b.target.shape:
        return False
    if isinstance(a, Outputs) and isinstance(b, Outputs):
        has_same_errors = _correlated(a.output - a.target, b.output - b.target, SAME_OUTPUTS)
        return has_same_errors and _correlated(a.output, b.output, SAME_OUTPUTS)
    if isinstance(a, Predictions) and isinstance(b, Predictions):
        return _same_classes(a, b)
    return False


def _correlated(first: Floats, second: Floats, least: float) -> bool:
    if first.std() == 0 or second.std() == 0:
        return False
    return bool(np.corrcoef(first.ravel(), second.ravel())[0, 1] >= least)


def _same_classes(a: Predictions, b: Predictions) -> bool:
    """Return whether two runs nearly always predict the same class, wrong ones too, or have the same logits.

    With few distinct logits honest runs may agree as often, so that only equal logits show a copy.
    """
    if a.logits.shape != b.logits.shape:
        return False
    if a.logits.size and max(_distinct(a.logits), _distinct(b.logits)) < MIN_DISTINCT:
        return a.logits.std() > 0 and np.array_equal(a.logits, b.logits)
    is_same = a.prediction == b.prediction
    is_error = ~(a.hits & b.hits)  # of either run
    if is_error.sum() >= MIN_ERRORS and is_same.mean() >= SAME_ANSWERS and is_same[is_error].mean() >= SAME_ERRORS:
        return True
    return bool(a.logits.size) and _correlated(a.logits, b.logits, SAME_LOGITS)


def _distinct(logits: Floats) -> int:
    return len(np.unique(logits, axis=0))


def copied_seeds(predictions: Mapping[int, PredictionTable], *, outside: bool) -> Iterator[Problem]:
    """Yield a problem for each seed of one submission whose predictions copy an earlier seed's.

    `predictions`: maps seeds to predictions. `outside`: whether they are of code outside the catalogue, which may be
    deterministic, so that a copy is only a warning.
    """
    remedy = "so it is no run of its own; run every seed"
    if outside:
        remedy = "so if it draws nothing at random its interval says nothing; else run every seed"
    seeds = sorted(predictions)
    for index, seed in enumerate(seeds):
        for earlier in seeds[:index]:
            if is_copy(predictions[seed], predictions[earlier]):
                message = f"answers like seed {earlier}, {remedy}"
                yield Problem("copy", f"predictions/{seed}.csv", message, "warning" if outside else "error")
                break


def copied_weights(records: Mapping[int, Result]) -> Iterator[Problem]:
    """Yield a problem for each seed of one submission whose weights are those of an earlier seed."""
    first: dict[str, int] = {}
    for seed, record in sorted(records.items()):
        sha256 = record.weights_sha256 if isinstance(record, RunRecord) else None
        if sha256 is None:
            continue
        earlier = first.setdefault(sha256, seed)
        if earlier != seed:
            message = f"are the weights of seed {earlier}; hand in those that the run saved"
            yield Problem("weights", f"weights/{seed}.safetensors", message)


def copy_problems(
    submission: Submission,
    records: Mapping[int, Result],
    predictions: Mapping[int, PredictionTable],
    reference: ProtocolReference,
    folder: Path,
) -> Iterator[Problem]:
    """Yield a problem for each run of a submission that copies one on a board, or has other data for its seed.

    A method that somebody else has submitted already is a problem too, so that nobody takes its row.
    """
    head = folder / SUBMISSIONS / f"{submission.method_id}.json"
    with suppress(InputError):  # reported by the check of the board
        earlier = read_model(head, Submission) if head.is_file() else submission
        if any(getattr(earlier, key) != getattr(submission, key) for key in WHOSE):
            message = f"the board has this method from '{earlier.name}', {earlier.contact}; hand in one of your own"
            yield Problem("known", SUBMISSION, message)
    objects = Objects(folder)
    for other in _others(folder, sorted(records)):
        try:
            same = other.method_id == submission.method_id
            theirs = None if same else _stored(other.predictions_sha256, objects, reference)
            yield from _problems_with(submission, records[other.seed], predictions.get(other.seed), other, theirs)
        except InputError:
            continue  # reported by the check of the board


def _others(folder: Path, seeds: Sequence[int]) -> Iterator[Result]:
    """Yield the records of these seeds that a board has: of all its methods, then of outside code."""
    stored = StoredRecords(folder)
    for seed in seeds:
        for row in stored.rows():
            with suppress(InputError):  # reported by the check of the board
                record = stored.record(row, seed)
                if record is not None:
                    yield record
    for seed in seeds:
        for path in sorted(folder.glob(f"{EXTERNAL}/*/{seed}.json")):
            with suppress(InputError):
                yield read_model(path, ExternalRecord)


def _problems_with(
    submission: Submission,
    submitted: Result,
    predicted: PredictionTable | None,
    stored: Result,
    stored_predicted: PredictionTable | None,
) -> Iterator[Problem]:
    """Yield a problem if a submitted result is a copy of a stored one of the same seed, or contradicts it."""
    path = f"records/{submitted.seed}.json"
    if stored.method_id == submission.method_id:
        if stored != submitted:
            message = "the board holds another record of this method and seed, which is never overwritten"
            yield Problem("known", path, message)
        return
    if isinstance(submitted, RunRecord) and isinstance(stored, RunRecord):
        yield from _input_problems(submitted, stored, path)
        if submitted.weights_sha256 is not None and submitted.weights_sha256 == stored.weights_sha256:
            message = f"are the weights of method {stored.method_id}; hand in those that the run saved"
            yield Problem("weights", f"weights/{submitted.seed}.safetensors", message)
    if submitted.predictions_sha256 is None or stored.predictions_sha256 is None or predicted is None:
        return
    path = f"predictions/{submitted.seed}.csv"
    if stored_predicted is None:
        is_copied = submitted.predictions_sha256 == stored.predictions_sha256
    elif (
        isinstance(stored, RunRecord)
        and stored_predicted.target.shape == predicted.target.shape
        and targets_apart(predicted, stored_predicted, path) > 0
    ):
        yield Problem("labels", path, f"its labels are not those of method {stored.method_id}")
        return
    else:
        is_copied = is_copy(predicted, stored_predicted)
    if is_copied:
        message = f"answers like method {stored.method_id}, which is there already; hand in runs of its own"
        yield Problem("copy", path, message)


def _stored(sha256: str | None, objects: Objects, reference: ProtocolReference) -> PredictionTable | None:
    data = None if sha256 is None else objects.get(sha256, "csv")
    return None if data is None else parse_prediction_table(data, hashlib.sha256(data).hexdigest(), reference)


def _input_problems(submitted: RunRecord, stored: RunRecord, path: str) -> Iterator[Problem]:
    """Yield a problem if two runs of one data set and encoder counted different numbers of input events."""
    for group in ("dataset", "encoder"):
        same = submitted.method.choices[group] == stored.method.choices[group]
        if not same or submitted.method.parameters[group] != stored.method.parameters[group]:
            return
    if submitted.counts is None or stored.counts is None:
        return
    events, stored_events = submitted.counts.input_events.total, stored.counts.input_events.total
    if None not in (events, stored_events) and events != stored_events:
        message = f"counts: {events} input events, but method {stored.method_id} with this encoder has {stored_events}"
        yield Problem("plausible", path, message)
