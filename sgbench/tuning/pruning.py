"""Below which validation score a run is stopped: the median of the finished runs of its study, epoch by epoch."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from sgbench.records.record import RunRecord
from sgbench.replicas.messages import PruningThresholds

WARM_UP = 3
"""One in so many epochs passes before a run may be stopped."""
FEWEST = 2
"""Finished runs from which a median is taken."""


def pruning_thresholds(records: Sequence[RunRecord], *, monitor: str, epochs: int) -> PruningThresholds:
    """Return the threshold of each epoch; minus infinity where there is none.

    A run whose best validation score so far lies below it is stopped, as by Optuna's median pruner. Scores are
    signed so that the larger is the better.

    Args:
        records: finished runs of earlier settings of the study.
        monitor: what validation selects by.
        epochs: of the protocol.
    """
    none = (-math.inf,) * epochs
    curves = [_best_so_far(record, monitor) for record in records]
    if len(curves) < FEWEST:
        return none
    first = epochs // WARM_UP
    medians = [
        statistics.median(curve[min(epoch, len(curve) - 1)] for curve in curves)
        for epoch in range(first, epochs - 1)  # after the last epoch nothing is saved
    ]
    return (*none[:first], *medians, -math.inf)


def _best_so_far(record: RunRecord, monitor: str) -> list[float]:
    if monitor == "validation_accuracy" and record.classes is not None:
        scores = [line.validation_accuracy or 0.0 for line in record.curve]
    else:
        scores = [-line.validation_loss for line in record.curve]
    return list(itertools.accumulate(scores, max))
