"""Two one-sided tests, verdicts, and the seeds they need."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast, contrast_from
from sgbench.statistics.equivalence import equivalence_p, equivalence_power, seeds_for_equality, verdict
from study.surrogates.analysis.comparisons import intersection_union, verdicts_against
from study.surrogates.analysis.statistics.many_to_one import against_reference


def test_equality_is_two_one_sided_tests(random: np.random.Generator) -> None:
    """Reference: scipy's one-sided t-tests of the differences against both margins, the larger p."""
    for _ in range(10):
        differences = random.normal(0.3, 1, 8)
        result = contrast([differences, np.zeros(8)], [1, -1])
        above = stats.ttest_1samp(differences, -1.0, alternative="greater").pvalue
        below = stats.ttest_1samp(differences, 1.0, alternative="less").pvalue
        assert equivalence_p(result.estimate, result.error, 7, 1.0, seeds=8) == pytest.approx(max(above, below))


def test_equality_is_shown_exactly_where_the_interval_lies_within_the_margin() -> None:
    """Schuirmann 1987: the interval of confidence 1 - 2 alpha."""
    for estimate in np.linspace(-2, 2, 41):
        result = verdict(contrast_from(float(estimate), 0.4, 9, 10), 1.5)
        assert (result.word == "equal") == (result.low >= -1.5 and result.high <= 1.5)


def test_no_difference_found_is_not_equality() -> None:
    """Must differ: noisy seeds with p of difference 0.9 are open, and open needs more seeds than there are."""
    noisy = contrast_from(0.5, 4.0, 4, 5)
    result = verdict(noisy, 2.0)
    assert noisy.p > 0.8
    assert (result.word, result.p_equal > 0.3) == ("open", True)
    assert result.seeds_needed > 5


@pytest.mark.parametrize(
    ("estimate", "error", "word"),
    [(3.0, 0.5, "better"), (-3.0, 0.5, "worse"), (0.1, 0.5, "equal"), (1.0, 0.2, "equal"), (1.5, 1.0, "open")],
)
def test_words(estimate: float, error: float, word: str) -> None:
    """By hand, t of 9 degrees of freedom is 2.262 and 1.833; a shown difference within the margin is `equal`."""
    result = verdict(contrast_from(estimate, error, 9, 10), 2.0)
    assert result.word == word
    assert (result.seeds_needed is None) == (word != "open")


def test_a_difference_beyond_the_margin_needs_its_own_test() -> None:
    """By scipy's t: 3 against a margin of 2 with an error of 0.5 is better, and not beyond at 1 %."""
    result = verdict(contrast_from(3.0, 0.5, 9, 10), 2.0)
    assert result.p_beyond == pytest.approx(stats.t.sf(2.0, 9))
    assert result.p_beyond > 0.01 > result.p_differs


def test_verdicts_without_spread_count_signs() -> None:
    """Seeds all alike: five are equal at 2^-5, four are open; a difference takes six outside the margin."""
    assert verdict(contrast_from(0.0, 0.0, 4, 5), 2.0).word == "equal"
    assert verdict(contrast_from(0.0, 0.0, 3, 4), 2.0).word == "open"
    assert verdict(contrast_from(9.0, 0.0, 4, 5), 2.0).word == "open"
    assert verdict(contrast_from(9.0, 0.0, 5, 6), 2.0).word == "better"
    assert verdict(contrast_from(0.0, 0.0, 4, 5), 2.0).low is None


def test_corrected_differences_and_uncorrected_equalities(random: np.random.Generator) -> None:
    """Against a reference p of difference is Holm's or Dunnett's; p of equality is that of the pair alone."""
    scores = random.normal(size=(6, 8)) + np.array([[0], [0], [0], [0.8], [1], [3]])
    for error in ("paired", "pooled"):
        corrected = [row.p for row in against_reference(scores, error=error)]
        assert [found.p_differs for found in verdicts_against(scores, 1.5, error=error)] == corrected
        for method, found in enumerate(verdicts_against(scores, 1.5, error=error), start=1):
            weights = [-1.0] + [float(method == row) for row in range(1, 6)]
            alone = verdict(contrast(scores, weights, error=error), 1.5)
            assert found.p_equal == pytest.approx(alone.p_equal)
            assert found.p_differs >= alone.p_differs - 1e-12
    words = [found.word for found in verdicts_against(scores, 1.5, error="pooled")]
    assert words[-1] == "better"


@pytest.mark.parametrize(("variation", "subjects", "power"), [(0.3, 40, 0.815845), (0.25, 28, 0.807439)])
def test_power_is_that_of_published_designs(variation: float, subjects: int, power: float) -> None:
    """Reference: PowerTOST (R), 2x2 crossover, ratio 0.95, margins 0.8 to 1.25: these powers to six places."""
    spread = math.sqrt(math.log(1 + variation**2))
    found = equivalence_power(math.log(1.25), spread * math.sqrt(2 / subjects), subjects - 2, difference=math.log(0.95))
    assert found == pytest.approx(power, abs=1e-6)


def test_power_at_the_margin_is_at_most_the_level() -> None:
    """Size: at a true difference of the margin equality is shown in 5 % or less."""
    for error in (0.1, 0.5, 2.0):
        assert equivalence_power(1.0, error, 9, difference=1.0) <= 0.05 + 1e-9
    assert equivalence_power(1.0, 0.1, 9, difference=1.0) == pytest.approx(0.05, abs=1e-6)


def test_seeds_for_equality_are_the_first_that_have_the_power() -> None:
    """Power is below 0.8 with one seed less; none help where the true difference is the margin."""
    seeds = seeds_for_equality(2.0, 3.0, difference=0.5)
    powers = [equivalence_power(2.0, 3.0 / math.sqrt(n), n - 1, difference=0.5) for n in (seeds - 1, seeds)]
    assert powers[0] < 0.8 <= powers[1]
    assert seeds_for_equality(2.0, 3.0, difference=2.0) is None
    assert seeds_for_equality(2.0, 1e4) is None
    assert seeds_for_equality(2.0, 0.0) == 2


def test_equal_on_every_task_is_the_weakest_task() -> None:
    """Berger 1982: the largest p-value, and not one combined from all (Fisher's would be below 1e-4)."""
    assert intersection_union([1e-6, 0.2, 1e-6]) == 0.2
    assert stats.combine_pvalues([1e-6, 0.2, 1e-6]).pvalue < 1e-4
    with pytest.raises(InputError, match="one task"):
        intersection_union([])


def test_margin_above_nought_is_needed() -> None:
    """A margin of 0 can never be shown."""
    with pytest.raises(InputError, match="margin"):
        verdict(contrast_from(0.0, 1.0, 4, 5), 0.0)
