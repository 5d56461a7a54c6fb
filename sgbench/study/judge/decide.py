"""Decide on a candidate by regime, in interim analyses of more and more seeds with one level for them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sgbench.statistics.blocks import contrast_from
from sgbench.statistics.equivalence import Word, verdict
from sgbench.statistics.pairs import Floats

LOOKS = ((5, 0.002), (10, 0.01), (20, 0.01))
"""Interim analyses: seeds, and the nominal level over all regimes.

The levels hold for normal differences; differences drawn from stored runs give more false verdicts, see
`FALSE_SIMULATED`."""
FALSE_SIMULATED = (34, 1000)
"""Simulated candidates with a false verdict in some regime, and all simulated ones, drawn from stored runs.

Each has one true difference in all regimes, 0 or the margin; tuning is left out (`tests/study/test_judge.py`)."""
MARGIN = 2.0
"""Points of accuracy within which two surrogates count as equal."""


@dataclass(frozen=True)
class RegimeVerdict:
    """Holds the verdict on candidate minus reference in one regime."""

    regime: str  # kind of network
    word: Word  # better, equal, worse, or open
    difference: float  # [points], mean over the regime's tasks and seeds
    low: float | None  # lower end of the interval, which is within the margin exactly if equality is shown
    high: float | None  # upper end; both are None without a spread
    seeds: int  # count of seeds in the analysis
    level: float  # of the analysis, for this regime
    seeds_needed: (
        int | None
    )  # in a new sample, to decide an open verdict if the true difference is the estimate


def decide(differences: Mapping[str, Floats], margin: float = MARGIN) -> dict[str, RegimeVerdict]:
    """Decide each regime at the first interim analysis with a significant result; without one it is open.

    Each analysis has its share of the level, and each regime its share of that (Bonferroni's correction), so that
    for normal differences the probability of any false verdict is at most their sum. Within a regime "differs" and
    "equal" cannot both be false.

    Args:
        differences: by regime, candidate minus reference [tasks, seeds] in points.
        margin: within which both count as equal [points].

    >>> import numpy as np
    >>> shown = np.array([[4.0, 5.0, 4.5, 5.5, 4.2]])
    >>> verdicts = decide({"deep": shown, "recurrent": shown[:, :4]})
    >>> verdicts["deep"].word, verdicts["deep"].seeds, verdicts["recurrent"].word
    ('better', 5, 'open')
    """
    return {name: _decided(name, table, len(differences), margin) for name, table in differences.items()}


def _decided(name: str, table: Floats, regimes: int, margin: float) -> RegimeVerdict:
    """Decide one regime at its first interim analysis with a significant result."""
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
