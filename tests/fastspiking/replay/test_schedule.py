"""The order of a schedule: circles are found, and each comes after what it needs."""

from __future__ import annotations

from random import Random

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastspiking.replay.schedule import strongly_connected


def test_circles_are_those_of_scipy() -> None:
    """Expected: SciPy's strong components of 300 drawn graphs; each after those that it needs."""
    for seed in range(300):
        draw = Random(seed)  # noqa: S311 - a test
        count = draw.randrange(1, 40)
        edges = {(draw.randrange(count), draw.randrange(count)) for _ in range(draw.randrange(2 * count))}
        needs = [{other for at, other in edges if at == one} for one in range(count)]
        found = strongly_connected(needs)
        rows, columns = zip(*edges, strict=True) if edges else ((), ())
        graph = coo_array(([True] * len(edges), (rows, columns)), (count, count))
        labels = connected_components(graph, connection="strong")[1].tolist()
        assert sorted(found) == sorted([at for at in range(count) if labels[at] == label] for label in set(labels))
        place = {at: number for number, members in enumerate(found) for at in members}
        assert all(place[other] <= place[at] for at, other in edges)


def test_a_long_chain_needs_no_recursion() -> None:
    """By hand: of 5000 in a row, each needs the one behind it; with the last needing the first they are a circle."""
    chain = [{at + 1} for at in range(4999)]
    assert strongly_connected([*chain, set()]) == [[at] for at in range(4999, -1, -1)]
    assert strongly_connected([*chain, {0}]) == [[*range(5000)]]
