"""Makes a submission from the predictions of code outside the catalogue."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.store.predictions import (
    MAX_PREDICTION_BYTES,
    Judge,
    Outputs,
    Predictions,
    PredictionTable,
    parse_prediction_table,
)
from sgbench.records.files import read_bytes, to_json
from sgbench.records.submission import SUBMISSION_VERSION, ExternalRecord, Submission, external_id
from sgbench.submissions.make import Author, SubmissionSummary, head_of, write
from sgbench.tables import ranges


def make_external(
    source: Path,
    target: Path,
    author: Author,
    *,
    references: References,
    judge: Judge,
    protocol: str,
    failed: Sequence[int] = (),
) -> SubmissionSummary:
    """Make the folder of a submission of code outside the catalogue, from its predictions alone."""
    reference = references.of(protocol)
    if author.code is None:
        raise InputError("--code: the address of the code that was run is needed with --external")
    name = external_id(protocol, author.name, author.code)
    results = _results(source, reference, failed)
    files = {f"predictions/{seed}.csv": result.data for seed, result in results.items() if result is not None}
    if not files:
        raise InputError(f"{source}: no seed finished, so there is nothing to hand in")
    for seed, result in results.items():
        record = _external_record(name, seed, result, reference, judge)
        files[f"records/{seed}.json"] = to_json(record)
    submission = Submission.model_validate(
        head_of(author, protocol, name, files)
        | {
            "division": "external",
            "method": None,
            "seeds": reference.protocol.seeds,
            "data_sha256": None,
            "environment": None,
            "tuning_trials": 0,
        }
    )
    return write(target, submission, files)


class _Result(NamedTuple):
    """Holds the predictions of one seed, and the bytes of their file."""

    predictions: PredictionTable
    data: bytes


def _results(source: Path, reference: ProtocolReference, failed: Sequence[int]) -> dict[int, _Result | None]:
    """Read the predictions of each seed of the protocol; None for the seeds that failed."""
    seeds = reference.protocol.seeds
    for seed in failed:
        if seed not in seeds:
            raise InputError(f"--failed {seed}: no seed of {reference.protocol.name}, which has {ranges(seeds)}")
    results: dict[int, _Result | None] = dict.fromkeys(failed)
    for seed in seeds:
        if seed in results:
            continue
        path = source / f"{seed}.csv"
        if not path.is_file():
            raise InputError(f"{path}: no predictions of seed {seed}; make them, or say --failed {seed}")
        # Python's csv writes \r\n by default; submissions have \n.
        data = read_bytes(path, limit=MAX_PREDICTION_BYTES).replace(b"\r\n", b"\n")
        results[seed] = _Result(parse_prediction_table(data, str(path), reference), data)
    return results


def _external_record(
    name: str, seed: int, result: _Result | None, reference: ProtocolReference, judge: Judge
) -> ExternalRecord:
    """Make the record of one seed from its predictions; without any, the seed has failed."""
    predictions = None if result is None else result.predictions
    by_class = predictions if isinstance(predictions, Predictions) else None
    stepped = by_class is not None and by_class.steps is not None
    samples = reference.test_samples if predictions is None or stepped else len(predictions.target)
    return ExternalRecord(
        schema_version=SUBMISSION_VERSION,
        protocol=reference.protocol.name,
        method_id=name,
        seed=seed,
        status="failed" if predictions is None else "finished",
        samples=samples,
        accuracy=None if by_class is None else by_class.accuracy,
        predictions_sha256=None if result is None else hashlib.sha256(result.data).hexdigest(),
        loss=judge.loss_of(predictions, reference) if isinstance(predictions, Outputs) else None,
        labels=len(by_class.target) if by_class is not None and stepped else None,
    )
