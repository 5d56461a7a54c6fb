"""What the seeds show of a candidate, regime by regime: looks at more and more seeds, at one level for them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sgbench.statistics.blocks import contrast_from
from sgbench.statistics.equivalence import Word, verdict
from sgbench.statistics.pairs import Floats

LOOKS = ((5, 0.002), (10, 0.01), (20, 0.01))
"""After so many seeds, the nominal level of the look over all regimes.

They hold for normal differences; of those drawn from stored runs more verdicts are false: `FALSE_SIMULATED`."""
FALSE_SIMULATED = (34, 1000)
"""Candidates simulated from stored runs that get a false verdict in some regime, of how many.

Each has one true difference in all regimes, 0 or the margin; tuning is left out (`tests/study/test_judge.py`)."""
MARGIN = 2.0
"""Points of accuracy within which two surrogates count as equal."""


@dataclass(frozen=True)
class RegimeVerdict:
    """Says what the seeds show of candidate minus reference in one regime."""

    regime: str  # kind of network
    word: Word  # better, equal, worse, or open
    difference: float  # in points, mean over the regime's tasks and seeds
    # End of the interval that lies within the margin exactly where equality is shown; None without spread.
    low: float | None
    high: float | None  # the other end
    seeds: int  # that were looked at
    level: float  # of the look, for this regime
    # Of a new sample that would decide an open verdict if the true difference is the estimated one.
    seeds_needed: int | None


def decide(differences: Mapping[str, Floats], margin: float = MARGIN) -> dict[str, RegimeVerdict]:
    """Decide each regime at the first look that shows something; one that no look decides is open.

    Each look has its share of the level, and each regime its share of the look's (Bonferroni's correction), so
    that for normal differences the chance of any false verdict is at most their sum. Within a regime "differs" and
    "equal" cannot both be false.

    Args:
        differences: by regime, candidate minus reference in points [tasks, seeds]; of each regime as many seeds as
            there are.
        margin: within which both count as equal.

    >>> import numpy as np
    >>> shown = np.array([[4.0, 5.0, 4.5, 5.5, 4.2]])
    >>> verdicts = decide({"deep": shown, "recurrent": shown[:, :4]})
    >>> verdicts["deep"].word, verdicts["deep"].seeds, verdicts["recurrent"].word
    ('better', 5, 'open')
    """
    return {name: _decided(name, table, len(differences), margin) for name, table in differences.items()}


def _decided(name: str, table: Floats, regimes: int, margin: float) -> RegimeVerdict:
    """Decide one regime, look by look."""
    by_seed = table.mean(axis=0)
    result = None
    for seeds, share in LOOKS:
        if seeds > len(by_seed):
            break
        result = _at_look(name, by_seed[:seeds], share / regimes, margin)
        if result.word != "open":
            return result
    if result is None:
        return RegimeVerdict(
            name,
            "open",
            float(by_seed.mean()) if len(by_seed) else math.nan,
            None,
            None,
            len(by_seed),
            0.0,
            None,
        )
    return result


def _at_look(name: str, by_seed: Floats, level: float, margin: float) -> RegimeVerdict:
    error = float(by_seed.std(ddof=1)) / math.sqrt(len(by_seed))
    shown = verdict(
        contrast_from(float(by_seed.mean()), error, len(by_seed) - 1, len(by_seed)), margin, level=level
    )
    return RegimeVerdict(
        name, shown.word, shown.difference, shown.low, shown.high, len(by_seed), level, shown.seeds_needed
    )
