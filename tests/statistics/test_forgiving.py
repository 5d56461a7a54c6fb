"""Shares of settings close to the best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgbench.errors import InputError
from sgbench.statistics.forgiving import forgiving_line, forgiving_plane

WIDTHS = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0]


def test_share_of_a_line_by_hand() -> None:
    """From 90 down to 80 over one decade with a tolerance of 2: a fifth of that decade, all of the first."""
    scores = np.array([[90.0, 90.0, 80.0], [70.0, 90.0, 70.0]])[..., None]
    shares = [row.share for row in forgiving_line(scores, [0.1, 1.0, 10.0], tolerance=2.0)]
    assert shares == pytest.approx([(1 + 0.2) / 2, (0.1 + 0.1) / 2])


def test_share_of_a_line_is_that_of_a_fine_grid(random: np.random.Generator) -> None:
    """Reference: the share of 200,001 points of numpy's interpolation on log width, to 1e-4."""
    scores = random.normal(80, 4, size=(3, 8, 4))
    means = scores.mean(axis=2)
    grid = np.linspace(np.log(0.02), np.log(4), 200_001)
    rows = forgiving_line(scores, WIDTHS, tolerance=2.0)
    for row, mean in zip(rows, means, strict=True):
        fine = np.interp(grid, np.log(WIDTHS), mean) >= means.max() - 2
        assert row.share == pytest.approx(fine.mean(), abs=1e-4)


def test_the_axis_is_logarithmic() -> None:
    """Must differ: a fall of the score from width 2 to 10 weighs by ratios of widths, not by differences."""
    scores = np.array([[90.0, 90.0, 70.0]])[..., None]
    share = forgiving_line(scores, [1.0, 2.0, 10.0], tolerance=2.0)[0].share
    assert share == pytest.approx((np.log(2) + 0.1 * np.log(5)) / np.log(10))
    assert share != pytest.approx((1 + 0.1 * 8) / 9, abs=0.05)


def test_the_best_is_that_of_all_methods() -> None:
    """Must differ: a method that is level with itself is not forgiving where another is 10 points better."""
    level = np.full((1, 3, 1), 80.0)
    assert forgiving_line(level, [1, 2, 4], tolerance=2.0)[0].share == 1.0
    both = np.concatenate([level, level + 10])
    assert [row.share for row in forgiving_line(both, [1, 2, 4], tolerance=2.0)] == [0.0, 1.0]


def test_share_of_cells_by_hand() -> None:
    """Three of four cells within 2 of 90, one of them just at it; a failed cell at chance counts as far."""
    scores = np.array([[[90.0, 88.0], [89.0, 10.0]], [[87.9, 60.0], [60.0, 60.0]]])[..., None]
    assert [row.share for row in forgiving_plane(scores, tolerance=2.0)] == [0.75, 0.0]


def test_ends_are_what_is_shown_close_and_what_is_not_shown_far(random: np.random.Generator) -> None:
    """Reference: scipy's interval of each cell's paired difference to the best cell, counted."""
    scores = 85 + random.normal(0, 2, size=(2, 3, 2, 6)) - 3 * np.arange(3)[:, None, None]
    means = scores.mean(axis=3)
    best = scores[np.unravel_index(means.argmax(), means.shape)]
    for method, row in enumerate(forgiving_plane(scores, tolerance=2.0)):
        close = far = 0
        for cell in scores[method].reshape(6, 6):
            if cell is not None and not np.array_equal(cell, best):
                interval = stats.ttest_rel(cell, best).confidence_interval()
                close += interval.low >= -2
                far += interval.high < -2
            else:
                close += 1
        assert (row.low, row.high) == pytest.approx((close / 6, 1 - far / 6))
        assert row.low <= row.share <= row.high


def test_no_interval_from_fewer_than_five_seeds(random: np.random.Generator) -> None:
    """Four seeds have a share and no ends, five have both."""
    scores = random.normal(80, 1, size=(2, 8, 5))
    assert forgiving_line(scores[..., :4], WIDTHS, tolerance=2.0)[0].low is None
    assert forgiving_line(scores, WIDTHS, tolerance=2.0)[0].low is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: forgiving_line(np.ones((1, 2, 1)), [1, 1], tolerance=2), "rising"),
        (lambda: forgiving_line(np.ones((1, 2, 1)), [0, 1], tolerance=2), "above 0"),
        (lambda: forgiving_line(np.ones((1, 2, 1)), [1], tolerance=2), "2 rising"),
        (lambda: forgiving_line(np.ones((2, 2)), [1, 2], tolerance=2), "3 axes"),
        (lambda: forgiving_line(np.full((1, 2, 1), np.nan), [1, 2], tolerance=2), "missing"),
        (lambda: forgiving_plane(np.ones((1, 2, 2, 1)), tolerance=-1), "tolerance"),
    ],
)
def test_settings_that_do_not_fit_are_refused(call: object, message: str) -> None:
    """Each message says what is needed."""
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
