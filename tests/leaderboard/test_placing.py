"""Rank intervals and groups; expected outcomes follow from the rules, by hand."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.sections import statements
from sgbench.statistics.pairs import all_pairs, holm
from sgbench.statistics.rank_places import RankPlace, _groups, _last_ends, _letters_of, places
from tests.leaderboard.factory import make_board, method, protocol, record
from tests.messages import lines_naming

NOISE = (0.001, -0.001, 0.0005, -0.0005, 0.0)
OTHER_NOISE = (-0.0005, 0.001, 0.0, -0.001, 0.0005)
FURTHER_NOISE = (0.0, 0.0005, -0.001, 0.001, -0.0005)


def around(mean: float, noise: tuple[float, ...] = NOISE) -> dict[int, float]:
    """Five seeds."""
    return {seed: mean + each for seed, each in enumerate(noise)}


def test_two_alike_above_one_below() -> None:
    """By hand: a and b differ by nothing but noise, c lies fifty standard errors below both."""
    found = places({"c": around(0.5, FURTHER_NOISE), "a": around(0.9), "b": around(0.8999, OTHER_NOISE)})
    assert {name: (place.low, place.high, place.groups) for name, place in found.items() if place} == {
        "a": (1, 2, "a"),
        "b": (1, 2, "a"),
        "c": (3, 3, ""),
    }


def test_one_seed_gives_no_place() -> None:
    """A method without a spread has no rank and pushes nobody down."""
    assert places({"lucky": {0: 0.99}, "solid": around(0.9)}) == {"lucky": None, "solid": RankPlace(1, 1, "")}


def test_bars_over_neighbours() -> None:
    """By hand: of five, only the first is told from the fourth, and the second from the last."""
    below = np.zeros((5, 5), dtype=bool)
    below[0, 3] = below[1, 4] = True
    # 0-2, 1-3 and 2-4 are runs without a pair that is told apart; none holds another.
    letters = _letters_of(_groups(below), len(below))
    assert letters == ["a", "ab", "abc", "bc", "c"]
    ends = _last_ends(_groups(below), len(below))
    for one, other in itertools.combinations(range(len(below)), 2):
        assert (other < ends[one]) == bool(set(letters[one]) & set(letters[other]))


def test_no_letters_where_all_are_told_apart() -> None:
    """By hand."""
    assert _letters_of(_groups(np.triu(np.ones((3, 3), dtype=bool), 1)), 3) == ["", "", ""]


def test_thirty_bars_are_spelt() -> None:
    """By hand: after z comes a1."""
    below = np.zeros((31, 31), dtype=bool)
    for start in range(29):
        below[start, start + 2 :] = True
    letters = _letters_of(_groups(below), len(below))
    assert (letters[0], letters[26], letters[30]) == ("a", "za1", "d1")


@settings(max_examples=30)
@given(
    st.lists(
        st.dictionaries(st.integers(0, 4), st.integers(0, 50).map(lambda hits: hits / 50), max_size=5, min_size=1),
        min_size=1,
        max_size=7,
    )
)
def test_properties(methods: list[dict[int, float]]) -> None:
    """An interval is as wide as the pairs that are not told apart; a letter in common is never a difference."""
    named = {str(index): scores for index, scores in enumerate(methods)}
    found = {name: place for name, place in places(named).items() if place is not None}
    ranked = list(found)
    difference, p = all_pairs([named[name] for name in ranked])
    apart = holm(p) < 0.05
    for name in ranked:
        place = found[name]
        assert 1 <= place.low <= place.high <= len(ranked)
    for index, (i, j) in enumerate(zip(*np.triu_indices(len(ranked), 1), strict=True)):
        one, other = found[ranked[i]], found[ranked[j]]
        mean_agrees = (np.mean(sorted(named[ranked[i]].values())) > np.mean(sorted(named[ranked[j]].values()))) == (
            difference[index] > 0
        )
        if apart[index] and mean_agrees:
            assert not set(one.groups) & set(other.groups)
    assert sum(place.high - place.low for place in found.values()) >= 2 * (len(apart) - np.count_nonzero(apart))


def test_unlike_letters_do_not_prove_a_difference() -> None:
    """By hand: the first is told from the steady second and not from the wild last, which it shares no letter with.

    Letters are bars over neighbours, and the bar from the first ends before the second.
    """
    scores = {
        "atan": {0: 0.90, 1: 0.91, 2: 0.90, 3: 0.89, 4: 0.90},
        "triangle": {0: 0.80, 1: 0.80, 2: 0.81, 3: 0.80, 4: 0.79},
        "zero": {0: 0.95, 1: 0.45, 2: 0.95, 3: 0.45, 4: 0.70},
    }
    records = [
        record(seed=seed, accuracy=value, of=method(surrogate=name))
        for name, by_seed in scores.items()
        for seed, value in by_seed.items()
    ]
    board = make_board(records, protocol=protocol(), targets={}, classes=10)
    (first, second, third) = board.rows
    assert [row.rank.groups for row in board.rows if row.rank] == ["", "a", "a"]
    text = " ".join(itertools.chain(*statements(board)))
    assert lines_naming(text, "2 pairs", "1 differ")
    verdicts = [explain_rows(board, first, other, hits={}).verdict for other in (second, third)]
    assert verdicts == ["better", "no significant difference"]
    alone = make_board(records[:10], protocol=protocol(), targets={}, classes=10)
    assert "without a letter in common" not in " ".join(itertools.chain(*statements(alone)))
