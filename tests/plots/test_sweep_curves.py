"""Curves of a sweep: what of their intervals is inside the picture; expected by hand."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from sgbench.plots.chart import Estimate
from sgbench.plots.sweep_numbers import SweepPicture, SweepRow, SweptAxis
from sgbench.plots.sweep_panels import draw_curves

WIDTH = SweptAxis("width_fwhm", "width", ("0.5", "1"), (0.5, 1.0))
SURROGATE = SweptAxis("surrogate", "surrogate", ("atan", "triangle"), ())


def row(surrogate: str, width: str, seeds: tuple[float, ...]) -> SweepRow:
    """A setting with the t-interval of its seeds."""
    low, high = stats.t.interval(0.95, len(seeds) - 1, loc=np.mean(seeds), scale=stats.sem(seeds))
    mean = Estimate(float(np.mean(seeds)), float(low), float(high))
    return SweepRow({"width_fwhm": width, "surrogate": surrogate}, surrogate, mean, seeds, (), False, 33.3)


def ends(rows: list[SweepRow]) -> tuple[float, float]:
    """Of the axis of scores."""
    figure = Figure()
    draw_curves(figure, SweepPicture("t", (SURROGATE, WIDTH), WIDTH, None, tuple(rows), 5), WIDTH)
    return figure.axes[0].get_ylim()


def test_intervals_of_seeds_that_scatter_are_inside() -> None:
    """Five seeds around 55 and 49 %: all of every interval, though the means are six points apart."""
    rows = [
        row("atan", "0.5", (47.0, 53.0, 55.0, 57.0, 62.0)),
        row("atan", "1", (48.0, 52.0, 54.0, 58.0, 61.0)),
        row("triangle", "0.5", (34.0, 41.0, 49.0, 56.0, 63.0)),
        row("triangle", "1", (36.0, 40.0, 50.0, 55.0, 62.0)),
    ]
    low, high = ends(rows)
    assert low < min(one.mean.low for one in rows if one.mean)
    assert high > max(one.mean.high for one in rows if one.mean)


def test_whiskers_of_several_curves_stand_side_by_side() -> None:
    """By hand: two curves at a width of 0.5 and 1 stand a sixteenth of an octave left and right of each."""
    seeds = (47.0, 53.0, 55.0, 57.0, 62.0)
    rows = [row(surrogate, width, seeds) for surrogate in ("atan", "triangle") for width in ("0.5", "1")]
    figure = Figure()
    draw_curves(figure, SweepPicture("t", (SURROGATE, WIDTH), WIDTH, None, tuple(rows), 5), WIDTH)
    atan, triangle = (np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].get_lines()[:2])
    assert atan == pytest.approx([0.5 * 2 ** (-1 / 16), 2 ** (-1 / 16)])
    assert triangle == pytest.approx([0.5 * 2 ** (1 / 16), 2 ** (1 / 16)])


def test_an_interval_of_two_seeds_does_not_dwarf_them() -> None:
    """Two seeds two points apart have an interval of 25: the axis shows scores, not it."""
    rows = [row(name, width, (90.0, 92.0)) for name in ("atan", "triangle") for width in ("0.5", "1")]
    assert rows[0].mean is not None
    low, high = ends(rows)
    assert rows[0].mean.low < 80.0 < low < 90.0
    assert 92.0 < high < 95.0
