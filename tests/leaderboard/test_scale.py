"""Boards of tens of thousands of methods: what is done for them in parts gives what is done at once for few."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgbench.leaderboard.board import _difference
from sgbench.records.files import MAX_BYTES
from sgbench.statistics import pairs
from sgbench.statistics.pairs import all_pairs, holm, holm_of_sorted, pair_rows
from sgbench.statistics.rank_places import places
from tests.messages import lines_naming

VALUES = st.lists(st.sampled_from([0.0, 1e-9, 0.001, 0.0049, 0.01, 0.02, 0.05, 0.3, 1.0]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(1, 50), st.sampled_from([0.05, 1e-6, 1.0]))
def test_corrected_in_parts(values: list[float], part: int, level: float) -> None:
    """Reference: `holm` of all at once, to the last bit, ties included; the cut parts those below the level."""
    p = np.sort(np.array(values))
    expected = holm(p)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pairs, "PART", part)
        adjusted, cut = holm_of_sorted(p, np.array([math.nan, *values]), level=level)
    assert math.isnan(adjusted[0])
    assert np.array_equal(adjusted[1:], holm(np.array(values)))
    assert np.array_equal(p < cut, expected < level)


@pytest.mark.parametrize("methods", [1, 2, 63, 64, 65, 300])
def test_rows_are_those_of_all_pairs(methods: int) -> None:
    """Must match bit by bit, below and above the size of a block, and a method without shared seeds among them."""
    table = np.random.default_rng(methods).normal(0.9, 0.01, (methods, 4))
    scores = [dict(enumerate(row.tolist())) for row in table]
    scores[-1] = {seed + 100: score for seed, score in scores[-1].items()}
    rows = list(pair_rows(scores))
    assert [len(p) for _, p in rows] == list(range(methods))[::-1]
    difference, p = all_pairs(scores)
    assert np.array_equal(np.concatenate([row for row, _ in rows]), difference)
    assert np.array_equal(np.concatenate([row for _, row in rows]), p, equal_nan=True)


def test_places_are_those_of_the_whole_table_of_pairs() -> None:
    """Reference: `holm` of all pairs of 150 methods at once; some are told apart, and more are not."""
    random = np.random.default_rng(0)
    means = random.uniform(0.5, 0.95, 150)
    methods = {str(number): dict(enumerate(random.normal(mean, 1e-4, 8))) for number, mean in enumerate(means)}
    found = places(methods)
    ranked = sorted(methods, key=lambda name: -np.mean(list(methods[name].values())))
    difference, p = all_pairs([methods[name] for name in ranked])
    apart = np.zeros((150, 150), dtype=bool)
    apart[np.triu_indices(150, 1)] = (holm(p) < 0.05) & (difference > 0)
    assert 0 < apart.sum() < len(p)
    for index, name in enumerate(ranked):
        place = found[name]
        assert place is not None
        assert (place.low, place.high) == (1 + apart[:, index].sum(), 150 - apart[index].sum())
        assert place.p_first == (holm(p)[index - 1] if index else None)


def test_a_table_larger_than_any_record_is_compared(tmp_path: Path) -> None:
    """Must match: the same bytes; must differ: one of them changed."""
    path, data = tmp_path / "table.md", bytes(MAX_BYTES + 1)
    path.write_bytes(data)
    assert _difference(path, data) is None
    assert lines_naming(_difference(path, data[:-1] + b"x"), "not what", "records")
