"""Pictures of a study: what they show, read back from the figures."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from sgbench.plots.estimate import Estimate
from study.reporting.plots.heat import HeatMaps, HeatPanel, heat_figure
from study.reporting.plots.map import MapLine, MapPanel, MapPoint, map_figure, tail_colour
from study.reporting.plots.shares import DepthLine, DepthPanel, ShareMark, SharePanel, depth_figure, shares_figure
from study.reporting.plots.tuning import TuningLine, TuningPanel, tuning_figure


def near(value: float) -> Estimate:
    """An estimate with an interval of one to each side."""
    return Estimate(value, value - 1, value + 1)


def test_the_map_draws_means_and_crosses() -> None:
    """Means at their widths, a cross on the one cell with a failed run, guessing as a line, a panel a task."""
    points = (MapPoint(0.1, near(80), 0.0), MapPoint(1.0, near(40), 0.5))
    panel = MapPanel("a task", 10.0, (MapLine("triangle", 0.0, points), MapLine("log_abs", 0.33, points[:1])))
    figure = map_figure([panel, panel])
    axes = figure.axes[0]
    triangle = next(line for line in axes.lines if line.get_label() == "triangle")
    assert list(triangle.get_xdata()) == [0.1, 1.0]
    assert list(triangle.get_ydata()) == [80, 40]
    crosses = [one for one in axes.collections if isinstance(one, PathCollection)]
    assert [tuple(one.get_offsets()[0]) for one in crosses] == [(1.0, 40.0)]
    assert any(line.get_label() == "guessing" for line in axes.lines)
    assert [one.get_title() for one in figure.axes] == ["a task", "a task"]


def test_colours_get_lighter_with_the_tail_also_in_grey() -> None:
    """Luminance as in WCAG rises along the six tails, by half from end to end, so print in grey serves."""
    grey = []
    for tail in (0.0, 0.06, 0.11, 0.20, 0.30, 0.33):
        red, green, blue = (channel**2.2 for channel in tail_colour(tail, 0.33)[:3])
        grey.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert grey == sorted(grey)
    assert grey[-1] - grey[0] > 0.5
    assert grey[-1] < 0.7


def test_the_heat_map_frames_what_is_close_to_the_best() -> None:
    """By hand: 90 and 88.5 lie within two points of the best of both shapes, 80 does not; a gap is hatched."""
    maps = HeatMaps(
        (0.1, 1.0), (0.01,), (HeatPanel("atan", ((90.0, 80.0),)), HeatPanel("triangle", ((88.5, None),))), 2.0
    )
    figure = heat_figure(maps)
    frames = [[patch for patch in axes.patches if not patch.get_fill()] for axes in figure.axes[:2]]
    assert [len(several) for several in frames] == [1, 1]
    assert [text.get_text() for text in figure.axes[0].texts] == ["90", "80"]
    assert [patch.get_hatch() for patch in figure.axes[1].patches if patch.get_hatch()] == ["////"]


def test_shares_and_depths_are_drawn_in_per_cent() -> None:
    """By hand: a share of a quarter stands at 25."""
    quarter = Estimate(0.25, 0.1, 0.5)
    axes = shares_figure([SharePanel("a task", (ShareMark("atan", 0.2, quarter),))], label="a share").axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[10, 50], [25]]
    line = DepthLine("tail 3", 1 / 3, (1, 4), (quarter, quarter))
    grid = depth_figure([DepthPanel(f"gain {gain}", (line,)) for gain in range(6)], columns=3).axes
    assert list(grid[0].lines[0].get_ydata()) == [25, 25]
    assert [axes.get_title() for axes in grid] == [f"gain {gain}" for gain in range(6)]
    assert len({axes.get_subplotspec().rowspan.start for axes in grid}) == 2


def test_what_tuning_buys_is_drawn_from_one_setting_on() -> None:
    """By hand: 60, 70 and 75 % for the best of one, two and three settings."""
    axes = tuning_figure([TuningPanel("a task", (TuningLine("atan", 0.2, (60.0, 70.0, 75.0)),))]).axes[0]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert list(np.round(axes.lines[0].get_ydata(), 6)) == [60, 70, 75]
    assert list(axes.get_xticks()) == [1, 3]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("panels", [1, 2, 3, 5])
def test_any_number_of_panels(panels: int) -> None:
    """A column for one panel, two columns for more; empty places have no axes."""
    panel = MapPanel("a task", 10.0, (MapLine("atan", 0.2, (MapPoint(1.0, near(50), 0.0),)),))
    with mpl.rc_context():
        figure = map_figure([panel] * panels)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == panels
    assert len(figure.axes) == math.ceil(panels / 2) * min(2, panels)
