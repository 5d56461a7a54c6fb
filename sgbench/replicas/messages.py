"""Messages of a worker to its sweep; without torch, so that a job can write them before it is imported."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from sgbench.records.content import EpochScores
from sgbench.records.record import RunRecord


class WorkerMessage(NamedTuple):
    """Reports the state of one point of a sweep from its worker."""

    point: int  # index in the sweep
    kind: Literal["noted", "began", "epoch", "ended", "refused", "pruned"]
    epochs: int = 0  # number of epochs done, with "began" and "epoch"
    selected: EpochScores | None = None  # scores of the best epoch so far, with "began" and "epoch"
    record: RunRecord | None = None  # with "ended"
    line: str = ""  # text for the user, with "noted", "refused" and "pruned"
    exit_code: int = 0  # of the problem in `line`, with "refused"


Say = Callable[[WorkerMessage], None]
PruningThresholds = tuple[float, ...]
"""Validation scores, one for each epoch, below which a run is stopped; signed so that larger is better."""


class Stopped(Exception):  # noqa: N818 - no error
    """Stops a group as requested; checkpoints of its last whole epoch are written."""
