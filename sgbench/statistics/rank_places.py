"""Rank intervals of methods, and groups of methods that are not significantly different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sgbench.statistics.pairs import MIN_SEEDS, Scores, holm_of_sorted, pair_rows

LEVEL = 0.05
KEPT_METHODS = 3000
"""Most methods for which the tests of all pairs are in memory, in less than 100 MB."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ABOUT_LETTERS = "methods that share a letter do not differ significantly; different letters do not prove a difference"
"""Explains `RankPlace.groups` to readers of a table."""


@dataclass(frozen=True)
class RankPlace:
    """Holds the rank interval of a method, and the letters of its groups.

    Methods are ordered by their mean, the best first. Groups are runs of neighbours, none of which differ
    significantly.
    """

    low: int  # best rank that it may have
    high: int  # worst rank that it may have
    groups: str  # letters; methods with a common letter are not significantly different
    p_first: float | None = None  # Holm-corrected, of the difference to the first method; None for the first
    unlike: int = field(default=0, compare=False)  # count of later methods without a common letter
    unlike_apart: int = field(default=0, compare=False)  # count of those from which it differs significantly


def places(methods: Mapping[str, Scores]) -> dict[str, RankPlace | None]:
    r"""Compute the rank interval of each method, by pairwise tests.

    A rank interval is one plus the number of methods that are better, to the number of methods less those that are
    worse. A method is better or worse if the p-value of the pair is below 5 % after Holm's correction over all
    pairs. So in at least 95 of 100 boards every interval contains the true rank. Methods with a common letter do
    not differ significantly; without one they need not differ. A method with a single seed has no rank (None), and
    does not affect others.

    Source: Holm 1979; Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies 91(1), for rank intervals
    from pairwise tests; Demsar 2006, JMLR 7, for bars over neighbours that do not differ significantly.

    >>> seeds = range(5)
    >>> by_method = places({"a": {s: 0.9 + s / 1e3 for s in seeds}, "b": {s: 0.5 - s / 1e3 for s in seeds}})
    >>> (by_method["a"].low, by_method["a"].high), (by_method["b"].low, by_method["b"].high)
    ((1, 1), (2, 2))
    """
    ranked = [name for name, scores in methods.items() if len(scores) >= MIN_SEEDS]
    ranked.sort(key=lambda name: (-_mean(methods[name]), name))
    is_better, p_firsts = _significant_pairs([methods[name] for name in ranked])
    better, worse = is_better.sum(axis=0), is_better.sum(axis=1)  # counts of methods better and worse than each
    groups = _groups(is_better)
    letters, ends = _letters_of(groups, len(ranked)), _last_ends(groups, len(ranked))
    by_method: dict[str, RankPlace | None] = dict.fromkeys(methods)
    for index, name in enumerate(ranked):
        low, high = 1 + int(better[index]), len(ranked) - int(worse[index])
        p_first = float(p_firsts[index - 1]) if index else None
        unlike_apart = int(np.count_nonzero(is_better[index, ends[index] :]))
        by_method[name] = RankPlace(
            low, high, letters[index], p_first, unlike=len(ranked) - ends[index], unlike_apart=unlike_apart
        )
    return by_method


def _mean(scores: Scores) -> float:
    """Average scores over seeds, in sorted order, so that the order of seeds does not change the last digit."""
    return float(np.mean(sorted(scores.values())))


def _significant_pairs(scores: Sequence[Scores]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Test all pairs of methods, which are ordered by mean, the best first.

    Return a table [n, n] of whether method i is significantly better than a later method j, and the corrected
    p-values of the later methods against the first [n - 1].

    Above KEPT_METHODS all pairs are tested twice, since their p-values would not fit in memory.
    """
    n = len(scores)
    rows = list(pair_rows(scores)) if n <= KEPT_METHODS else None
    p, tests, firsts = np.empty(n * (n - 1) // 2), 0, np.empty(0)
    for index, (_, p_row) in enumerate(rows or pair_rows(scores)):
        firsts = firsts if index else p_row
        known = p_row[~np.isnan(p_row)]
        p[tests : tests + len(known)] = known
        tests += len(known)
    p = p[:tests]
    p.sort()
    adjusted, cut = holm_of_sorted(p, firsts, level=LEVEL)
    del p  # frees memory before the table is made
    is_better = np.zeros((n, n), dtype=bool)
    for index, (difference, p_row) in enumerate(rows or pair_rows(scores)):
        is_better[index, index + 1 :] = (p_row < cut) & (difference > 0)  # NaN is not below the cut
    return is_better, adjusted


def _groups(is_better: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the longest runs of neighbours without a significant pair, as pairs of indices (first, last + 1).

    `is_better[i, j]` says whether method i is significantly better than the later method j.
    """
    n = len(is_better)
    ends = []  # for each method, where the longest run that begins with it ends
    end = n
    for start in reversed(range(n)):
        differing = np.flatnonzero(is_better[start, start + 1 : end])
        end = start + 1 + int(differing[0]) if len(differing) else end
        ends.append(end)
    ends.reverse()
    return [
        (start, ends[start])
        for start in range(n)
        if ends[start] > start + 1 and (start == 0 or ends[start] > ends[start - 1])  # not inside the run before
    ]


def _last_ends(groups: Sequence[tuple[int, int]], n: int) -> list[int]:
    """Return for each of n methods the end of the last group that it is in; without a group, the index behind it."""
    ends = [index + 1 for index in range(n)]
    for start, end in groups:
        ends[start:end] = [end] * (end - start)
    return ends


def _letters_of(groups: Sequence[tuple[int, int]], n: int) -> list[str]:
    """Return the letters of each of n methods, one for each group that it is in: a to z, then a1 to z1, ..."""
    letters = [""] * n
    for number, (start, end) in enumerate(groups):
        round_number, position = divmod(number, len(LETTERS))
        letter = LETTERS[position] + (str(round_number) if round_number else "")
        for index in range(start, end):
            letters[index] += letter
    return letters
