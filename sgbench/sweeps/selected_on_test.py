"""By how much selecting on the test set would have flattered runs, in a line for each protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from sgbench.records.content import EpochOnTest, Scores
from sgbench.records.record import RunRecord

Pair = tuple[EpochOnTest, Scores]
"""An epoch that the test set selects, and the honest scores."""


def optimism(records: Iterable[RunRecord]) -> Iterator[str]:
    """Yield lines with the best scores on the test set beside the honest ones, of runs that were asked for them."""
    watched = sorted(
        (record for record in records if record.test_selected), key=lambda record: record.protocol
    )
    for protocol, group in itertools.groupby(watched, key=lambda record: record.protocol):
        pairs = [
            (record.test_selected, record.test) for record in group if record.test_selected and record.test
        ]
        by_accuracy = [(best.by_accuracy, test) for best, test in pairs if best.by_accuracy]
        ways = [gain("accuracy", by_accuracy)] if by_accuracy else []
        ways.append(gain("loss", [(best.by_loss, test) for best, test in pairs]))
        where = "" if len(pairs) == 1 else f", mean of {len(pairs)} runs on {protocol}"
        yield f"selected on the test set{where}: {'; '.join(ways)}; not a result"


def gain(by: str, pairs: Sequence[Pair]) -> str:
    """Describe what one way of selecting on the test set scores, and by how much it beats the honest score.

    >>> honest = Scores(samples=1000, accuracy=0.928, loss=0.3, activity=())
    >>> gain("accuracy", [(EpochOnTest(epoch=17, accuracy=0.939, loss=0.35), honest)])
    'by accuracy 93.9 % at epoch 17, 1.1 points above the honest score'
    """
    where = f" at epoch {pairs[0][0].epoch}" if len(pairs) == 1 else ""
    if any(best.accuracy is None for best, _ in pairs):
        score = f"{fmean(best.loss for best, _ in pairs):.4g}"
        below = fmean(test.loss - best.loss for best, test in pairs)
        return f"by {by} {score}{where}, {below:.2g} below the honest loss"
    score = f"{100 * fmean(best.accuracy or 0.0 for best, _ in pairs):.1f} %"
    points = 100 * fmean((best.accuracy or 0.0) - (test.accuracy or 0.0) for best, test in pairs)
    side = "below" if round(points, 1) < 0 else "above"
    return f"by {by} {score}{where}, {abs(points):.1f} points {side} the honest score"
