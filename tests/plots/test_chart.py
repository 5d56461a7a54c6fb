"""Charts as values and as they are drawn; places are worked out by hand from the frame of 564 by 204 points."""

from __future__ import annotations

import math
import re

import pytest

from sgbench.plots.chart import (
    Chart,
    ChartAxis,
    ChartPoint,
    Charts,
    Estimate,
    Series,
    charts_json,
    charts_of_json,
    line_of,
)
from sgbench.plots.energy_front import FrontMethod, FrontPanel, front_charts
from sgbench.plots.layout import laid_out
from study.reporting.pages.tuning import HeatMaps, HeatPanel, heat_charts

X, Y = ChartAxis("x"), ChartAxis("y")


def panel_of(*series: Series, x: ChartAxis = X, y: ChartAxis = Y):
    """The one panel of a chart."""
    drawing = laid_out(Charts("c", (Chart("t", x, y, series),)))
    assert drawing is not None
    return drawing.panels[0]


def test_lines_go_from_end_to_end() -> None:
    """By hand: 564 points across and 204 up; NaN breaks nothing, 1000 points are thinned to 200."""
    many = line_of("b", [(n / 500, 5.0) for n in range(1000)])
    first, second = panel_of(line_of("a", [(0, 0.0), (1, math.nan), (2, 10.0)]), many).series
    assert first.line == "M64 216L628 12"
    assert second.line.count("L") == 199
    assert {place.split()[1] for place in second.line[1:].split("L")} == {"114"}
    flat = panel_of(line_of("a", [(0, 1.0), (1, 1.0)]))
    assert flat.series[0].line == "M64 114L628 114"
    assert laid_out(Charts("c", (Chart("t", X, Y, (line_of("a", []),)),))) is None
    dots = panel_of(Series("d", (ChartPoint(0, 0, "one"), ChartPoint(1, 1, "two")), is_line=True)).series[0]
    assert (dots.marks, dots.tooltips, dots.dots.count("h0")) == ((), ("one", "two"), 2)


def test_a_logarithmic_axis_has_decades_at_equal_steps() -> None:
    """By hand: 1, 10 and 100 stand at the left, in the middle and at the right; what is not above 0 at the left."""
    points = [(1.0, 0.0), (10.0, 1.0), (100.0, 2.0)]
    found = panel_of(line_of("a", points), x=ChartAxis("x", is_log=True))
    assert found.series[0].line == "M64 216L346 114L628 12"
    assert [tick.text for tick in found.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert found.x_ends == (0.0, 2.0)
    ended = Series(
        "b", (ChartPoint(10.0, 0.0, x_ends=(-1.0, 100.0)), ChartPoint(1.0, 1.0)), is_marked=False, is_line=True
    )
    assert panel_of(ended, x=ChartAxis("x", is_log=True)).series[0].whiskers.startswith("M64 ")


def test_rows_stand_below_each_other_and_marks_lead() -> None:
    """By hand: two rows of 20 points, the first on top; a mark has its words and its link, a whisker both ends."""
    points = (ChartPoint(0.0, 0, "first", "a.html", x_ends=(-1.0, 1.0)), ChartPoint(1.0, 1, "second"))
    rows = ChartAxis(names=("one", "two"))
    found = panel_of(Series("s", points), x=ChartAxis("x", ends=(-1.0, 1.0)), y=rows)
    assert [(tick.at, tick.text) for tick in found.y_ticks] == [(22.0, "one"), (42.0, "two")]
    first, second = found.series[0].marks
    middle = (found.left + found.right) / 2
    assert first.path == f"M{middle:g} 22h0"
    assert (first.tooltip, first.link, second.link) == ("first", "a.html", None)
    assert found.series[0].whiskers == f"M{found.left} 22L{found.right} 22"
    assert found.has_links


def test_a_legend_names_each_once_over_all_panels() -> None:
    """By hand: two panels share a name and its colour; seeds share one key; labels do not overlap."""
    line, other = line_of("a", [(0, 0.0), (1, 1.0)]), line_of("b", [(0, 0.0), (1, 2.0)])
    seeds = tuple(line_of(f"seed {n}", [(0, 0.0), (1, n)], key="each seed", tone="soft") for n in (1, 2))
    drawing = laid_out(Charts("c", (Chart("t", X, Y, (*seeds, line)), Chart("u", X, Y, (other, line)))))
    assert drawing is not None
    assert [name for name, *_ in drawing.key] == ["each seed", "a", "b"]
    looks = [{series.name: series.style_class for series in panel.series} for panel in drawing.panels]
    assert looks[0]["a"] == looks[1]["a"] != looks[1]["b"]


def test_labels_avoid_points_and_each_other() -> None:
    """By hand: a point at the right sends a label to the left, one at the edge has no room there."""
    points = (
        ChartPoint(0.5, 0.5, label="between"),
        ChartPoint(0.55, 0.5),
        ChartPoint(0.0, 0.0, label="corner"),
        ChartPoint(1.0, 1.0, label="far away"),
    )
    marks = {mark.label: mark for mark in panel_of(Series("s", points)).series[0].marks}
    assert [marks[name].label_at[0] for name in ("between", "corner", "far away")] == ["left", "right", "left"]
    crowd = [ChartPoint(0.5 + x / 100, 0.5 + y / 20) for x in range(-9, 10) for y in range(-4, 5)]
    hidden = panel_of(Series("s", (*crowd, points[0], points[2], points[3]))).series[0].marks
    assert "between" not in {mark.label for mark in hidden}


def test_what_lies_beyond_the_frame_is_an_arrow() -> None:
    """By hand: 0.01 and 100 on an axis from 0.1 to 10 stand at its ends and point away; 1 is a dot."""
    points = tuple(ChartPoint(x, row, "told") for row, x in enumerate((0.01, 1.0, 100.0)))
    rows = ChartAxis(names=("a", "b", "c"))
    found = panel_of(Series("s", points), x=ChartAxis("x", is_log=True, ends=(0.1, 10.0)), y=rows)
    assert [mark.marker for mark in found.series[0].marks] == ["<", "o", ">"]
    assert [mark.at[0] for mark in found.series[0].marks][::2] == [found.left, found.right]


@pytest.mark.parametrize(("rows", "above"), [(15, False), (16, True)])
def test_a_long_chart_has_its_numbers_above_too(rows: int, above: bool) -> None:
    """By hand: sixteen rows are long."""
    points = tuple(ChartPoint(float(row), row) for row in range(rows))
    assert panel_of(Series("s", points), y=ChartAxis(names=tuple(map(str, range(rows))))).has_numbers_above is above


def test_an_axis_of_errors_rises_with_accuracy() -> None:
    """By hand: 0, 90 and 99 % have errors a decade apart each, so 90 is in the middle; numbers are accuracies."""
    line = line_of("a", [(0, 0.0), (1, 90.0), (2, 99.0)])
    found = panel_of(line, y=ChartAxis("y", is_error=True))
    assert found.series[0].line == "M64 216L346 114L628 12"
    assert {"0", "40"} <= {tick.text for tick in found.y_ticks}
    assert found.scales == {"log": "", "error": "y"}


def test_a_shape_has_its_own_look() -> None:
    """Must match: class and marker of atan whatever stands before it. Must differ: a line of another name."""
    lines = [line_of(name, [(0, 0.0), (1, 1.0)]) for name in ("other", "atan", "another")]
    drawing = laid_out(Charts("c", (Chart("t", X, Y, tuple(lines)),)))
    assert drawing is not None
    assert [(name, look, marker) for name, look, _, marker, _ in drawing.key] == [
        ("other", "l0", "o"),
        ("atan", "s3", "^"),
        ("another", "l1", "o"),
    ]


def test_the_pareto_front_is_named() -> None:
    """By hand: of three methods the dearest is beaten in both; least cost first."""
    methods = [
        FrontMethod("cheap", (80.0, 84.0), "m/cheap.html"),
        FrontMethod("good", (94.0,)),
        FrontMethod("beaten", (90.0,)),
    ]
    costs = tuple(Estimate(cost, cost, cost) for cost in (1.0, 2.0, 3.0))
    (chart,) = front_charts(methods, [FrontPanel("chip", costs, None)], is_loss=False, caption="c").panels
    others, front = chart.series
    assert [(point.x, point.y, point.label) for point in front.points] == [(1.0, 82.0, "cheap"), (2.0, 94.0, "good")]
    assert [point.told for point in others.points] == ["beaten: 90 % at 3 nJ"]
    assert front.points[0].link == "m/cheap.html"
    assert chart.x.is_log
    assert chart.y.is_error


def test_cells_of_a_heat_map_stand_where_their_numbers_do() -> None:
    """By hand: the low learning rate is the lower row, a missing cell has no mark, a star marks the best."""
    maps = HeatMaps((0.1, 1.0), (0.01, 0.1), (HeatPanel("atan", ((50.0, None), (70.0, 90.0))),), 2.0)
    (chart,) = heat_charts(maps, "c").panels
    found = {(point.x, point.y): point.label for point in chart.series[0].points}
    assert chart.y.names == ("0.1", "0.01")
    assert found == {(0, 0): "70", (1, 0): "90*", (0, 1): "50"}
    assert {point.shade for point in chart.series[0].points} == {0, 5, 9}
    drawing = laid_out(Charts("c", (chart,)))
    assert drawing is not None
    places = {mark.label: mark.at for mark in drawing.panels[0].series[0].marks}
    assert places["70"][0] < places["90*"][0]
    assert places["70"][1] < places["50"][1]


def test_charts_come_back_from_their_file() -> None:
    """Expected: the same value but for digits beyond the ninth; must differ: what is no chart is refused."""
    point = ChartPoint(0.5, 0.25, "told", "a.html", "label", (0.0, 1.0), None, 3)
    charts = {"a": Charts("c", (Chart("t", X, ChartAxis(names=("n",)), (Series("s", (point,)),), (0.0,)),))}
    assert charts_of_json(charts_json(charts)) == charts
    third = {"a": Charts("c", (Chart("t", X, Y, (line_of("l", [(0, 1 / 3)]),)),))}
    assert re.findall(r"0\.3+", charts_json(third).decode()) == ["0.333333333"]
    with pytest.raises(ValueError, match="panels"):
        charts_of_json(b'{"a": {"caption": "c"}}')
