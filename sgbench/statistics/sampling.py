"""What a random sample says of the whole it was drawn from: how many may be wrong unseen."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from sgbench.errors import require_count, require_number


def chance_to_miss(population: int, wrong: int, sample: int) -> float:
    r"""Compute the chance that a sample without replacement holds none of those that are wrong.

    .. math:: P(X = 0) = \binom{N - D}{n} / \binom{N}{n}

    Source: hypergeometric distribution; Arkin 1984, Handbook of Sampling for Auditing and Accounting, chapter 9
    (discovery sampling).

    Args:
        population: N, in all.
        wrong: D of them.
        sample: n, drawn.

    Raises:
        InputError: more are wrong, or drawn, than there are.

    >>> chance_to_miss(10, 5, 1), chance_to_miss(10, 1, 10)
    (0.5, 0.0)
    """
    require_count("population", population)
    require_number("wrong", wrong, low=0, high=population)
    require_number("sample", sample, low=0, high=population)
    return math.comb(population - wrong, sample) / math.comb(population, sample)


def most_wrong(population: int, sample: int, *, confidence: float = 0.95) -> int:
    """Find how many may be wrong at most where a sample without replacement has none that is.

    It is the largest number that such a sample would miss in more than 1 - confidence of all draws.

    Args:
        population: in all.
        sample: drawn, none of them wrong.
        confidence: with which the bound holds.

    Raises:
        InputError: more are drawn than there are.

    >>> most_wrong(24, 24), most_wrong(24, 0), most_wrong(297, 59)
    (0, 24, 13)
    """
    require_count("population", population)
    require_number("sample", sample, low=0, high=population)
    require_number("confidence", confidence, low=0.0, high=1.0, open_low=True)
    missed = 1 - confidence
    low, high = 0, population - sample  # more cannot hide
    while low < high:
        middle = (low + high + 1) // 2
        hides = chance_to_miss(population, middle, sample) > missed
        low, high = (middle, high) if hides else (low, middle - 1)
    return low


def largest_share(sample: int, *, confidence: float = 0.95) -> float:
    r"""Compute the largest share that may be wrong where one of each of n strata was drawn and none is.

    .. math:: 1 - (1 - c)^{1/n} \approx 3 / n \quad (c = 0.95)

    The approximation is the rule of three. It holds for one seed drawn of each row of a board: spread evenly, a
    given number of wrong seeds is missed most often, and then each draw misses with the same chance.

    Source: Hanley & Lippman-Hand 1983, JAMA 249(13); Jovanovic & Levy 1997, American Statistician 51(2).

    Args:
        sample: n.
        confidence: c.

    Raises:
        InputError: nothing was drawn.

    >>> round(largest_share(24), 4), round(3 / 24, 4)
    (0.1173, 0.125)
    """
    require_count("sample", sample)
    require_number("confidence", confidence, low=0.0, high=1.0, open_low=True)
    return -math.expm1(math.log1p(-confidence) / sample)


def drawn(names: Iterable[str], draw: int) -> list[str]:
    """Order names at random, the same way on every machine: by the SHA-256 of "<draw> <name>".

    The first n of them are a random sample without replacement, which anybody can repeat.

    Args:
        names: to be ordered.
        draw: a whole number, chosen after the names were known.

    >>> drawn(["0", "1", "2"], 1), drawn(["2", "1", "0"], 1)
    (['1', '0', '2'], ['1', '0', '2'])
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{draw} {name}".encode()).hexdigest())
