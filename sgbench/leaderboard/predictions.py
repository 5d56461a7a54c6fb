"""Does a run's file of test predictions give the accuracy that its record claims?"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from sgbench.errors import InputError
from sgbench.paths import PREDICTIONS
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord


def check_predictions(record: RunRecord, folder: Path) -> None:
    """Score the predictions beside a finished record again.

    Raises:
        InputError: the file is missing, is not the one that was recorded, or gives another accuracy.
    """
    if record.status != "finished" or record.test is None:
        return
    path = folder / PREDICTIONS
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != record.predictions_sha256:
        raise InputError(f"{path}: is not the file that the record was made with; repeat the run")
    try:
        rows = list(csv.DictReader(data.decode("ascii").splitlines()))
        hits = sum(int(row["prediction"]) == int(row["target"]) for row in rows)
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not a table of predictions: {error}") from error
    if len(rows) != record.test.samples or abs(hits / len(rows) - record.test.accuracy) > 1e-9:  # noqa: PLR2004
        raise InputError(
            f"{path}: {hits} of {len(rows)} are right, but the record claims an accuracy of "
            f"{record.test.accuracy:.6g} on {record.test.samples} samples"
        )
