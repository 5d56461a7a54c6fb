"""Bounds from random samples, against scipy's distributions."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.sampling import chance_to_miss, drawn, largest_share, most_wrong


@pytest.mark.parametrize(("population", "wrong", "sample"), [(24, 3, 8), (297, 10, 59), (5, 5, 1), (7, 0, 7)])
def test_chance_to_miss_is_the_hypergeometric(population: int, wrong: int, sample: int) -> None:
    """Independent: scipy's probability of none."""
    expected = stats.hypergeom.pmf(0, population, wrong, sample)
    assert chance_to_miss(population, wrong, sample) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("found", [0, 1, 3])
@pytest.mark.parametrize(("population", "wrong", "sample"), [(24, 3, 8), (297, 10, 59), (5, 5, 3)])
def test_chance_to_find_no_more_is_the_hypergeometric(population: int, wrong: int, sample: int, found: int) -> None:
    """Independent: scipy's cumulative probability."""
    expected = stats.hypergeom.cdf(found, population, wrong, sample)
    assert chance_to_miss(population, wrong, sample, found=found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("found", [0, 1])
@pytest.mark.parametrize(("population", "sample"), [(24, 5), (24, 23), (24, 24), (297, 59), (297, 1), (3, 1)])
def test_most_wrong_by_trying_each(population: int, sample: int, found: int, confidence: float) -> None:
    """Independent: the largest number of which scipy says that it hides with more than the chance left."""
    hides = [
        wrong
        for wrong in range(found, population - sample + found + 1)
        if stats.hypergeom.cdf(found, population, wrong, sample) > 1 - confidence + 1e-12
    ]
    assert most_wrong(population, sample, found=found, confidence=confidence) == max(hides)


@pytest.mark.parametrize("sample", [1, 5, 24, 297])
def test_largest_share_is_clopper_and_pearsons(sample: int) -> None:
    """Independent: the one-sided exact bound of a binomial share of which none was seen; near the rule of three."""
    assert largest_share(sample) == pytest.approx(stats.beta.ppf(0.95, 1, sample), rel=1e-12)
    if sample >= 24:
        assert largest_share(sample) == pytest.approx(3 / sample, rel=0.07)


@pytest.mark.parametrize(("sample", "found"), [(24, 1), (24, 5), (2, 1)])
def test_largest_share_leaves_one_in_twenty_samples_with_no_more(sample: int, found: int) -> None:
    """Independent: scipy's binomial at the bound; strata whose shares differ show so few less often (Hoeffding)."""
    share = largest_share(sample, found=found)
    assert stats.binom.cdf(found, sample, share) == pytest.approx(0.05, rel=1e-9)
    assert largest_share(sample, found=sample) == 1.0
    half = sample // 2
    uneven = [1.5 * share] * half + [0.5 * share] * (sample - half)
    if share <= 0.5 and 2 * half == sample:
        assert _at_most(found, uneven) < 0.05


def _at_most(found: int, shares: list[float]) -> float:
    """Compute P(S <= found) of independent trials of unlike chances, one after another."""
    chances = np.zeros(len(shares) + 1)
    chances[0] = 1.0
    for share in shares:
        chances[1:] = chances[1:] * (1 - share) + chances[:-1] * share
        chances[0] *= 1 - share
    return float(chances[: found + 1].sum())


def test_one_of_each_stratum_misses_most_where_wrong_ones_are_spread_evenly() -> None:
    """By hand: of 4 rows with 5 seeds 4 wrong ones are missed in .8^4; all in one row in .2, two rows in .36."""
    evenly = math.prod([4 / 5] * 4)
    assert evenly == pytest.approx(0.4096)
    assert evenly > (3 / 5) ** 2 > 1 / 5
    assert largest_share(4, confidence=1 - evenly) == pytest.approx(4 / 20)


def test_bound_holds_in_simulation() -> None:
    """A board of 24 with one more than may be wrong is caught in at least 95 of 100 samples."""
    rng = np.random.default_rng(0)
    wrong = most_wrong(24, 10) + 1
    caught = [bool((rng.permutation(24)[:10] < wrong).any()) for _ in range(2000)]
    assert np.mean(caught) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 2000)
    assert chance_to_miss(24, wrong - 1, 10) > 0.05


def test_draw_is_that_of_the_hash_whatever_the_order() -> None:
    """Independent: hashlib; another number draws otherwise."""
    names = [f"digits_v1 aaaaaaaaaaaa {seed}" for seed in range(20)]
    first = min(names, key=lambda name: hashlib.sha256(f"7 {name}".encode()).digest())
    assert drawn(names, 7)[0] == first == drawn(reversed(names), 7)[0]
    assert drawn(names, 7) != drawn(names, 8)
    assert sorted(drawn(names, 7)) == sorted(names)


def test_draw_is_uniform() -> None:
    """Each of five seeds comes first alike often over 2000 rows: chi-square at one in a thousand."""
    firsts = [drawn([f"p {row} {seed}" for seed in range(5)], 1)[0][-1] for row in range(2000)]
    counts = [firsts.count(str(seed)) for seed in range(5)]
    assert stats.chisquare(counts).pvalue > 0.001


def test_refusals() -> None:
    """More wrong or drawn than there are, nothing drawn."""
    for call in (
        lambda: chance_to_miss(5, 6, 1),
        lambda: chance_to_miss(5, 1, 6),
        lambda: most_wrong(5, 6),
        lambda: largest_share(0),
        lambda: most_wrong(5, 1, confidence=0.0),
        lambda: most_wrong(5, 1, found=2),
        lambda: largest_share(5, found=6),
        lambda: largest_share(24, confidence=1.0),
        lambda: most_wrong(24, 5, confidence=1.0),
        lambda: chance_to_miss(10, 5.5, 1),  # type: ignore[arg-type]
        lambda: chance_to_miss(10, 5, 1.5),  # type: ignore[arg-type]
        lambda: most_wrong(10, 5, found=0.5),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError):
            call()
