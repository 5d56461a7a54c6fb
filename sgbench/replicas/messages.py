"""Messages of a worker to its sweep; without torch, so that a job can write some while that is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from sgbench.records.content import EpochScores
from sgbench.records.record import RunRecord


class WorkerMessage(NamedTuple):
    """Reports the state of one point of a sweep from its worker."""

    point: int
    kind: Literal["noted", "began", "epoch", "ended", "refused", "pruned"]
    epochs: int = 0
    selected: EpochScores | None = None  # of a point under way, the epoch that validation selects so far
    record: RunRecord | None = None
    line: str = ""
    exit_code: int = 0  # of the problem in `line`


Say = Callable[[WorkerMessage], None]
PruningThresholds = tuple[float, ...]
"""By epoch, the validation score below which a run is stopped; signed so that the larger is the better."""


class Stopped(Exception):  # noqa: N818 - no error
    """Stops a group that was asked to; its last whole epoch is kept."""
