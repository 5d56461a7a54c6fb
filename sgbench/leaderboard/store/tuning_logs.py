"""The log of the settings that were tried for a submission, from the store of a board."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.store.objects import Objects
from sgbench.records.files import parse_model
from sgbench.records.submission import Submission, TuningLog

LOG_FILE = "tuning.json"


def log_of(submission: Submission, folder: Path) -> TuningLog | None:
    """Return the log that was handed in with a submission, or None where there is none that can be read."""
    note = next((file for file in submission.files if file.path == LOG_FILE), None)
    if note is None:
        return None
    with suppress(InputError):  # `board check` says what is wrong with it
        data = Objects(folder).get(note.sha256, "json")
        return None if data is None else parse_model(data, TuningLog, LOG_FILE)
    return None
