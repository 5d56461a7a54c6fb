"""Describes by how much selecting epochs on the test set would have flattered runs, as a warning."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from sgbench.records.content import EpochOnTest, Scores
from sgbench.records.record import RunRecord

Pair = tuple[EpochOnTest, Scores]
"""Scores of the epoch that is best on the test set, and the test scores of the epoch that validation selects."""


def optimism_lines(records: Iterable[RunRecord]) -> Iterator[str]:
    """Yield a line for each protocol that compares the best epoch on the test set with the one validation selects.

    Only runs with `trainer.watch_test_score=true` have the first; other records are skipped.
    """
    watched = sorted((record for record in records if record.test_selected), key=lambda record: record.protocol)
    for protocol, group in itertools.groupby(watched, key=lambda record: record.protocol):
        pairs = [(record.test_selected, record.test) for record in group if record.test_selected and record.test]
        by_accuracy = [(best.by_accuracy, test) for best, test in pairs if best.by_accuracy]
        parts = [describe_gain("accuracy", by_accuracy)] if by_accuracy else []
        parts.append(describe_gain("loss", [(best.by_loss, test) for best, test in pairs]))
        where = "" if len(pairs) == 1 else f", mean of {len(pairs)} runs on {protocol}"
        yield f"selected on the test set{where}: {'; '.join(parts)}; not a result"


def describe_gain(by: str, pairs: Sequence[Pair]) -> str:
    """Write the mean score of epochs selected on the test set, and how far it is above the honest test score.

    The test set selects by "accuracy" or "loss" (`by`); there is a pair for each run.

    >>> honest = Scores(samples=1000, accuracy=0.928, loss=0.3, activity=())
    >>> describe_gain("accuracy", [(EpochOnTest(epoch=17, accuracy=0.939, loss=0.35), honest)])
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
