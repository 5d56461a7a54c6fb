"""How far tuned shapes lie apart: by hand, against scipy's paired test, and by drawing from a known spread."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.pages.front import interval_level
from study.surrogates.analysis.pages.tuned import shape_spread


def test_spreads_by_hand():
    """By hand: shapes at 59, 60 and 61, seeds at -5, 0 and 5, nothing else: SD 1 and 5, and surely not equal."""
    found = shape_spread(np.add.outer([59.0, 60.0, 61.0], [-5.0, 0.0, 5.0]))
    assert (found.shapes, found.seeds, found.p) == (pytest.approx(1), pytest.approx(5), 0.0)


def test_two_shapes_are_compared_as_a_paired_test_does():
    """Expected: with two shapes F is the square of scipy's paired t, so p is the same."""
    accuracy = np.random.default_rng(3).normal(80, 2, (2, 12)) + np.arange(12)
    assert shape_spread(accuracy).p == pytest.approx(ttest_rel(*accuracy).pvalue)


@pytest.mark.slow
def test_noise_of_seeds_is_no_spread_of_shapes():
    """Expected: drawn with SD 2 of shapes and 3 of noise, the mean square is 4; without shapes it is near 0."""
    random = np.random.default_rng(4)
    squares = {}
    for of_shapes in (0.0, 2.0):
        drawn = random.normal(0, of_shapes, (2000, 6, 1)) + random.normal(0, 3, (2000, 6, 20))
        squares[of_shapes] = np.mean([shape_spread(one).shapes ** 2 for one in drawn])
    assert squares[2.0] == pytest.approx(4, rel=0.08)
    assert squares[0.0] < 0.15


def test_the_level_of_intervals_is_said():
    """By hand: 1 - 2 x .05 and 1 - 2 x .0221."""
    rules = Rules()
    looked = {"level_factor": rules.level / rules.look_level}
    assert "of 90 %" in interval_level(HypothesisResult("H1", "", "", ""), rules)
    assert "of 95.6 %" in interval_level(HypothesisResult("H1", "", "", "", **looked), rules)
    assert "of 95.6 %" in interval_level(HypothesisResult("H8", "", "", "", **looked), rules)
    assert "of 95 %" in interval_level(HypothesisResult("H2", "", "", ""), rules)
