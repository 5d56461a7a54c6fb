"""Bounds on the wrong items of a population from a random sample (discovery sampling)."""

import hashlib
import math
from collections.abc import Iterable

from sgbench.errors import InputError, require_count, require_number


def chance_to_miss(population: int, wrong: int, sample: int, *, found: int = 0) -> float:
    r"""Compute the probability that a sample without replacement has at most `found` wrong items.

    .. math:: P(X \le f) = \sum_{k=0}^{f} \binom{D}{k} \binom{N - D}{n - k} / \binom{N}{n}

    `population`: N, count of all items; `sample`: n, count of drawn items.

    Source: hypergeometric distribution; Arkin 1984, Handbook of Sampling for Auditing and Accounting, chapter 9
    (discovery sampling, where f = 0).

    >>> chance_to_miss(10, 5, 1), chance_to_miss(10, 1, 10), chance_to_miss(10, 1, 10, found=1)
    (0.5, 0.0, 1.0)
    """
    require_count("population", population)
    _require_count_up_to("wrong", wrong, of=population)
    _require_count_up_to("sample", sample, of=population)
    _require_count_up_to("found", found, of=sample)
    right = population - wrong
    ways = sum(math.comb(wrong, count) * math.comb(right, sample - count) for count in range(found + 1))
    return ways / math.comb(population, sample)


def most_wrong(population: int, sample: int, *, found: int = 0, confidence: float = 0.95) -> int:
    """Compute the upper confidence bound on the wrong items of a population, from a sample without replacement.

    It is the largest count of wrong items with which a sample has at most `found` with probability above 1 -
    confidence. `sample`: count of drawn items; `confidence`: probability with which the bound holds.

    >>> most_wrong(24, 24), most_wrong(24, 0), most_wrong(297, 59), most_wrong(297, 59, found=1)
    (0, 24, 13, 21)
    """
    require_count("population", population)
    _require_count_up_to("sample", sample, of=population)
    _require_count_up_to("found", found, of=sample)
    _require_confidence(confidence)
    miss_chance = 1 - confidence
    low, high = found, population - sample + found  # all items outside the sample may be wrong
    while low < high:
        middle = (low + high + 1) // 2
        is_plausible = chance_to_miss(population, middle, sample, found=found) > miss_chance
        low, high = (middle, high) if is_plausible else (low, middle - 1)
    return low


def largest_share(sample: int, *, found: int = 0, confidence: float = 0.95) -> float:
    r"""Compute the upper confidence bound on the wrong share, if one item of each of n strata is drawn.

    It is the p that solves :math:`\sum_{k \le f} \binom{n}{k} p^k (1 - p)^{n - k} = 1 - c`, which is
    :math:`1 - (1 - c)^{1/n} \approx 3 / n` (the rule of three) for f = 0 and c = 0.95.

    It holds for one seed drawn from each method of a board: p is then the mean wrong share of its methods, with equal
    weights. Of all wrong shares with mean p, equal ones make f or fewer wrong draws most probable, if f is 0 or at most
    n p - 1. So the bound holds for unequal ones, too. `found`: f, count of wrong items among them; `confidence`: c.

    Source: Clopper & Pearson 1934, Biometrika 26(4); Hoeffding 1956, Annals of Mathematical Statistics 27(3),
    theorem 4; Hanley & Lippman-Hand 1983, JAMA 249(13); Jovanovic & Levy 1997, American Statistician 51(2).

    >>> round(largest_share(24), 4), round(3 / 24, 4), round(largest_share(24, found=1), 4)
    (0.1173, 0.125, 0.1829)
    """
    require_count("sample", sample)
    _require_count_up_to("found", found, of=sample)
    _require_confidence(confidence)
    if found == 0:
        return -math.expm1(math.log1p(-confidence) / sample)
    from scipy.special import betaincinv

    return 1.0 if found == sample else float(betaincinv(found + 1, sample - found, confidence))


def _require_count_up_to(name: str, value: int, *, of: int) -> None:
    require_count(name, value, low=0)
    require_number(name, value, high=of)


def _require_confidence(confidence: float) -> None:
    require_number("confidence", confidence, low=0.0, high=1.0, open_low=True)
    if confidence == 1.0:
        raise InputError("confidence=1.0: a number below 1 is needed, such as 0.95")


def drawn(names: Iterable[str], draw: int) -> list[str]:
    """Shuffle names reproducibly on every machine, by the SHA-256 of "<draw> <name>".

    The first n of them are a random sample without replacement, which anybody can repeat. `draw`: number of the draw,
    chosen after the names were known; another number gives another order.

    >>> drawn(["0", "1", "2"], 1), drawn(["2", "1", "0"], 1)
    (['1', '0', '2'], ['1', '0', '2'])
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{draw} {name}".encode()).hexdigest())
