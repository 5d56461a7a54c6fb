"""Equality of shares of solved runs: against Wilson's intervals and Boschloo's test of scipy."""

import pytest
from scipy.stats import binomtest, boschloo_exact

from sgbench.errors import InputError
from study.surrogates.analysis.comparisons import share_verdict


def newcombe(counts: tuple[int, int, int, int], level: float) -> tuple[float, float]:
    """Newcombe's interval of 1 - 2 level, written out from scipy's two Wilson intervals."""
    (a, low_a, high_a), (b, low_b, high_b) = (
        (solved / runs, *binomtest(solved, runs).proportion_ci(1 - 2 * level, method="wilson"))
        for solved, runs in (counts[:2], counts[2:])
    )
    low = a - b - ((a - low_a) ** 2 + (high_b - b) ** 2) ** 0.5
    return low, a - b + ((high_a - a) ** 2 + (b - low_b) ** 2) ** 0.5


@pytest.mark.parametrize("counts", [(10, 10, 10, 10), (20, 20, 19, 20), (3, 10, 9, 10), (38, 40, 40, 40)])
def test_p_values_are_where_newcombes_interval_reaches_the_margin(counts: tuple[int, int, int, int]) -> None:
    """Oracle: at the level p_equal scipy's interval touches the margin, a little above it lies inside."""
    found = share_verdict(*counts, margin=0.2)
    if found.p_equal == 1.0:
        assert abs(found.difference) >= 0.2
        return
    reach = [max(map(abs, newcombe(counts, factor * found.p_equal))) for factor in (0.98, 1.02)]
    assert reach[0] > 0.2 > reach[1]


def test_a_difference_is_shown_by_boschloos_test() -> None:
    """Oracle: the smaller one-sided p-value of scipy, doubled; must differ: a corrected p-value that is given."""
    found = share_verdict(3, 10, 9, 10, margin=0.2)
    table = [[3, 9], [7, 1]]
    sides = [boschloo_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert found.p_differs == pytest.approx(2 * min(sides), rel=1e-3)
    assert found.word == "worse"
    assert share_verdict(3, 10, 9, 10, margin=0.2, p_differs=0.06).word == "open"


def test_beyond_the_margin() -> None:
    """By scipy: one of ten against ten of ten lies beyond 0.2 at 5 %, five of ten against eight does not."""
    for counts, is_beyond in (((1, 10, 10, 10), True), ((5, 10, 8, 10), False)):
        low, high = newcombe(counts, 0.05)
        assert (high < -0.2 or low > 0.2) == is_beyond
        assert (share_verdict(*counts, margin=0.2).p_beyond <= 0.05) == is_beyond


def test_a_margin_is_a_share() -> None:
    """Expected: one line that names it."""
    with pytest.raises(InputError, match="margin=2"):
        share_verdict(1, 2, 1, 2, margin=2)
