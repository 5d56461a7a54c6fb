"""Two people's classes of one name are told apart: records of one method have to come of one source."""

from __future__ import annotations

from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord

SHOWN_DIGITS = 8


def require_same_source(record: RunRecord, other: RunRecord) -> None:
    """Hold the sources of classes of one's own against those of another record of the same method.

    A record that states none, being of the catalogue or from before they were stated, goes with every other.

    Raises:
        InputError: a class has another source; one line with its place and the remedy.
    """
    known = other.provenance.own_sources or {}
    for choice, found in (record.provenance.own_sources or {}).items():
        expected = known.get(choice, found)
        if found != expected:
            chosen = record.method.choices.get(choice, "")
            raise InputError(
                f"method {record.method_id} seed {record.seed}: {choice}={chosen} is "
                f"another class than that of seed {other.seed} (source {found[:SHOWN_DIGITS]}, not "
                f"{expected[:SHOWN_DIGITS]}); two of one name are two methods: give one entry a name of its own"
            )


def require_source_of_board(record: RunRecord, target: Path) -> None:
    """Hold a record that is to be added against those of its method that are there.

    Args:
        record: that is to be added.
        target: the file that it will be.

    Raises:
        InputError: they are of another source; one line.
    """
    if record.provenance.own_sources is None or not target.parent.is_dir():
        return
    for path in sorted(target.parent.glob("*.json")):
        require_same_source(record, read_model(path, RunRecord))
