"""By how much selecting on the test set would have flattered runs, in a line for each protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from statistics import fmean

from sgbench.records.record import BestOnTest, RunRecord, Scores


def optimism(records: Iterable[RunRecord]) -> Iterator[str]:
    """The best scores on the test set beside the honest ones, of those runs that were asked to tell them."""
    watched = sorted((each for each in records if each.test_selected), key=lambda each: each.protocol)
    for protocol, group in itertools.groupby(watched, key=lambda each: each.protocol):
        pairs = [(each.test_selected, each.test) for each in group if each.test_selected and each.test]
        one = len(pairs) == 1
        where = f" at epoch {pairs[0][0].epoch}" if one else f" on average of {len(pairs)} runs on {protocol}"
        yield line(pairs, where)


def line(pairs: list[tuple[BestOnTest, Scores]], where: str) -> str:
    """What the test set would have selected, and what was honest.

    >>> honest = Scores(samples=1000, accuracy=0.928, loss=0.3, activity=())
    >>> line([(BestOnTest(epoch=17, accuracy=0.939, loss=0.35), honest)], " at epoch 17")
    'selected on the test set: 93.9 % at epoch 17, 1.1 points above the honest score; not a result'
    """
    if any(best.accuracy is None for best, _ in pairs):
        score = f"loss {fmean(best.loss for best, _ in pairs):.4g}"
        gap = f"{fmean(test.loss - best.loss for best, test in pairs):.2g} below"
    else:
        score = f"{100 * fmean(best.accuracy or 0.0 for best, _ in pairs):.1f} %"
        gain = fmean((best.accuracy or 0.0) - (test.accuracy or 0.0) for best, test in pairs)
        gap = f"{100 * gain:.1f} points above"
    return f"selected on the test set: {score}{where}, {gap} the honest score; not a result"
