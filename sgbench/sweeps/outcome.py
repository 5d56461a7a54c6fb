"""What came of a run, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgbench.records.content import Scores
    from sgbench.records.record import RunRecord
    from sgbench.records.spec import RunSpec


def headline(record: RunRecord) -> str:
    """Say in one line which run it was, and its scores or its failure."""
    name = f"{record.protocol} {record.method.label} {record.method_id} seed {record.seed}"
    if record.test is None or record.validation is None:
        return f"{name}: failed: {record.failure.message if record.failure else 'unknown'}"
    test, validation = (_score(scores) for scores in (record.test, record.validation))
    return f"{name}: test {test}, validation {validation} ({record.timing.total_s:.1f} s)"


def _score(scores: Scores) -> str:
    """Write the accuracy, or the loss where there are no classes."""
    return f"loss {scores.loss:.4g}" if scores.accuracy is None else f"{100 * scores.accuracy:.1f} %"


def problem(spec: RunSpec, record: RunRecord | None) -> str | None:
    """Say why a point has no finished record, or return None where it has one."""
    if record is not None and record.status == "finished":
        return None
    reason = "no record" if record is None or record.failure is None else record.failure.message
    return f"{label(spec)}: {reason}"


def label(spec: RunSpec) -> str:
    """Name a point by its method and seed."""
    return f"{spec.method.label} seed {spec.seed}"
