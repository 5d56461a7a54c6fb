"""Decide on a candidate by regime, in interim analyses of more and more seeds with one level for them all."""

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
MARGIN = 2.0  # points of accuracy within which two surrogates count as equal


@dataclass(frozen=True)
class RegimeVerdict:
    """Holds the verdict on candidate minus reference in one regime, which is a kind of network."""

    regime: str
    word: Word  # better, equal, worse, or open
    difference: float  # [points], mean over the regime's tasks and seeds
    low: float | None  # lower end of the interval, which is within the margin exactly if equality is shown
    high: float | None  # upper end; both are None without a spread
    seeds: int  # count of seeds in the analysis
    level: float  # significance level of the analysis, for this regime
    # Seeds of a new sample that decide an open verdict if the true difference is the estimate; None: too many.
    seeds_needed: int | None


def decide(differences: Mapping[str, Floats], margin: float = MARGIN) -> dict[str, RegimeVerdict]:
    """Decide each regime at the first interim analysis with a significant result; without one it is open.

    Each analysis has its own level, which all regimes share equally (Bonferroni's correction). For normal
    differences the probability of any false verdict is thus at most the sum of the levels. Within a regime
    "differs" and "equal" cannot both be false.

    `differences`: map each regime to candidate minus reference in points [tasks, seeds]; `margin`: within which both
    count as equal [points].

    >>> import numpy as np
    >>> shown = np.array([[4.0, 5.0, 4.5, 5.5, 4.2]])
    >>> verdicts = decide({"deep": shown, "recurrent": shown[:, :4]})
    >>> verdicts["deep"].word, verdicts["deep"].seeds, verdicts["recurrent"].word
    ('better', 5, 'open')
    """
    return {name: _decide_regime(name, table, len(differences), margin) for name, table in differences.items()}


def _decide_regime(name: str, table: Floats, regimes: int, margin: float) -> RegimeVerdict:
    """Decide the regime `name`, one of a count of `regimes`, from its differences [tasks, seeds]; see `decide`."""
    by_seed = table.mean(axis=0)
    mean, count = float(by_seed.mean()) if len(by_seed) else math.nan, len(by_seed)
    result = RegimeVerdict(name, "open", mean, None, None, count, level=0.0, seeds_needed=None)
    for seeds, level_of_all in LOOKS:
        if seeds > count:
            break
        result = _analyse(name, by_seed[:seeds], level_of_all / regimes, margin)
        if result.word != "open":
            break
    return result


def _analyse(name: str, by_seed: Floats, level: float, margin: float) -> RegimeVerdict:
    """Decide a regime from its differences by seed [points], by one analysis at a significance level."""
    count = len(by_seed)
    error = float(by_seed.std(ddof=1)) / math.sqrt(count)
    result = verdict(contrast_from(float(by_seed.mean()), error, count - 1, count), margin, level=level)
    return RegimeVerdict(
        name, result.word, result.difference, result.low, result.high, count, level, result.seeds_needed
    )
