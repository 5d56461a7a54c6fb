"""Rows of choices in which every pair of choices that may go together occurs: a pairwise covering array."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterator, Mapping, Sequence

Choice = tuple[str, str]
"""A group and one of its entries."""
Pair = frozenset[Choice]
Row = dict[str, str]
"""One entry by group."""
Factors = Mapping[str, Sequence[str]]
"""The entries of each group."""


def pairs_of(row: Row) -> Iterator[Pair]:
    """Yield every pair of choices that a row holds."""
    yield from map(frozenset, itertools.combinations(row.items(), 2))


def all_pairs(factors: Factors) -> list[Pair]:
    """Return every pair of entries of two groups, in the order of the groups."""
    return [
        frozenset([(group, name), (other, second)])
        for group, other in itertools.combinations(factors, 2)
        for name in factors[group]
        for second in factors[other]
    ]


def completed(
    pair: Pair, factors: Factors, refused: Collection[Pair], preferred: Mapping[str, Sequence[str]]
) -> Row | None:
    """Return a row that holds a pair and, beside that pair, no refused one; None where there is none.

    Args:
        pair: the choices that the row has to hold, refused themselves or not.
        factors: the entries of each group.
        refused: pairs that must not occur.
        preferred: the entries of each group in the order in which they are tried.
    """
    open_groups = [group for group in factors if group not in dict(pair)]

    def filled(row: Row, groups: Sequence[str]) -> Row | None:
        if not groups:
            return {group: row[group] for group in factors}
        for name in preferred[groups[0]]:
            added = (groups[0], name)
            if all(frozenset([added, choice]) not in refused for choice in row.items()):
                whole = filled({**row, groups[0]: name}, groups[1:])
                if whole is not None:
                    return whole
        return None

    return filled(dict(pair), open_groups)


def covering_rows(factors: Factors, refused: Collection[Pair], seed: int) -> tuple[list[Row], list[Pair]]:
    """Return rows without a refused pair that hold every other pair, and the pairs that no such row can hold.

    Greedy: each row starts from a pair that is still missing and takes for every other group the entry that brings
    the most missing pairs with what the row already has.

    Args:
        factors: the entries of each group.
        refused: pairs that must not occur.
        seed: of the order among equally good entries; equal seeds give equal rows.

    >>> covering_rows({"a": ["0", "1"], "b": ["0", "1"]}, [], seed=0)[1]
    []
    """
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    refused = set(refused)
    missing = dict.fromkeys(pair for pair in all_pairs(factors) if pair not in refused)
    rows, unreachable = [], []
    while missing:
        pair = next(iter(missing))
        preferred = _most_missing_first(pair, factors, missing, order)
        row = completed(pair, factors, refused, preferred)
        if row is None:
            unreachable.append(pair)
            del missing[pair]
            continue
        rows.append(row)
        for covered in pairs_of(row):
            missing.pop(covered, None)
    return rows, unreachable


def _most_missing_first(
    pair: Pair, factors: Factors, missing: Collection[Pair], order: random.Random
) -> dict[str, list[str]]:
    """Sort the entries of each group by how many missing pairs they bring with a pair and the best before them."""
    chosen = list(pair)
    ranked = {}
    for group, names in factors.items():
        shuffled = order.sample(list(names), len(names))

        def gain(name: str, group: str = group) -> int:
            return sum(frozenset([(group, name), choice]) in missing for choice in chosen)

        ranked[group] = sorted(shuffled, key=gain, reverse=True)
        if group not in dict(pair):
            chosen.append((group, ranked[group][0]))
    return ranked
