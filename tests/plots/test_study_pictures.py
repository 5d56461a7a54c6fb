"""Charts as figures for files: what they show, read back from the figures."""

from __future__ import annotations

import math

import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Estimate, Series
from sgbench.plots.figure import charts_figure
from sgbench.plots.style import SHAPES
from study.reporting.pages.regime_map import MapPoint, map_chart
from study.reporting.pages.tuning import HeatMaps, HeatPanel, heat_figure


def near(value: float) -> Estimate:
    """An estimate with an interval of one to each side."""
    return Estimate(value, value - 1, value + 1)


def test_the_map_draws_means_and_crosses() -> None:
    """Means beside their widths, a cross on the one cell with a failed run, guessing as a line, a panel a task.

    Shapes have the colours and markers that they have everywhere. By hand: of two shapes the first stands as far left
    of a width as the second stands right of it, on a logarithmic axis, so that no interval hides another.
    """
    points = (MapPoint(0.1, near(80), 0.0), MapPoint(1.0, near(40), 0.5))
    chart = map_chart("a task", 10.0, {"triangle": points, "log_abs": points[:1]})
    figure = charts_figure(Charts("c", (chart, chart)))
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    left, right = (lines[name].get_xdata() for name in ("triangle", "log_abs"))
    assert left[0] < 0.1 < right[0]
    assert left[0] * right[0] == pytest.approx(0.1**2)
    assert left[1] / left[0] == pytest.approx(10)
    whiskers = [line for line in axes.lines if list(line.get_ydata()) == [79, 81]]
    assert [line.get_xdata()[0] for line in whiskers] == [left[0], right[0]]
    assert list(lines["triangle"].get_ydata()) == [80, 40]
    for name in ("triangle", "log_abs"):
        look = (to_hex(lines[name].get_color()), lines[name].get_marker())
        assert look == (SHAPES[name].light, SHAPES[name].marker)
    crosses = [one for one in axes.collections if isinstance(one, PathCollection)]
    assert [tuple(one.get_offsets()[0]) for one in crosses] == [(left[1], 40.0)]
    assert list(lines["guessing"].get_ydata()) == [10.0, 10.0]
    assert [one.get_title() for one in figure.axes] == ["a task", "a task"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "1"]


def test_what_lies_beyond_the_frame_is_an_arrow_at_its_edge() -> None:
    """By hand: 20 and -20 on an axis from -10 to 10 point away from it; the row of 5 has a dot and its whisker."""
    points = (ChartPoint(20.0, 0), ChartPoint(5.0, 1, x_ends=(4.0, 6.0)), ChartPoint(-20.0, 2))
    rows = ChartAxis(names=("one", "two", "three"))
    chart = Chart("t", ChartAxis("x", ends=(-10.0, 10.0)), rows, (Series("", points),))
    axes = charts_figure(Charts("c", (chart,))).axes[0]
    arrows = {line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines}
    assert (arrows[">"], arrows["<"]) == ((10.0, 0), (-10.0, 2))
    assert any(list(line.get_xdata()) == [4.0, 6.0] for line in axes.lines)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["one", "two", "three"]
    assert axes.yaxis.get_inverted()


def test_an_axis_of_errors_has_equal_steps_from_80_to_90_and_to_95() -> None:
    """By hand: errors of 20, 10 and 5 % halve twice; must differ: a plain axis."""
    points = tuple(ChartPoint(score, row) for row, score in enumerate((80.0, 90.0, 95.0)))
    rows = ChartAxis(names=("a", "b", "c"))
    panels = [Chart("t", ChartAxis("x", is_error=is_error), rows, (Series("", points),)) for is_error in (True, False)]
    steps = []
    for axes in charts_figure(Charts("c", tuple(panels))).axes:
        places = [axes.transData.transform((score, 0))[0] for score in (80.0, 90.0, 95.0)]
        steps.append((places[1] - places[0]) / (places[2] - places[1]))
    assert steps == pytest.approx([1.0, 2.0])


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


@pytest.mark.one_in(8)
@pytest.mark.parametrize("panels", [1, 2, 3, 5])
def test_any_number_of_panels(panels: int) -> None:
    """A column for one panel, two columns for more; empty places have no axes."""
    chart = map_chart("a task", 10.0, {"atan": (MapPoint(1.0, near(50), 0.0),)})
    figure = charts_figure(Charts("c", (chart,) * panels))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == panels
    assert len(figure.axes) == math.ceil(panels / 2) * min(2, panels)
