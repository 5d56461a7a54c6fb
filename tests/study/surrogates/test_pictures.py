"""Pictures of this report alone: what they show, read back from the figures."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from sgbench.plots.chart import Estimate
from sgbench.study_runner.scores import Score
from study.reporting.pages.regime_map import drawn_score
from study.surrogates.analysis.pages.methods import MethodPanel, methods_charts
from study.surrogates.analysis.pages.spikes import SpikeMark, SpikePanel, SpikeSeries, spikes_figure
from study.surrogates.analysis.pages.tuned import ForestPanel, ForestRow, forest_figure
from tests.plots.test_study_pictures import near


def test_the_forest_marks_verdicts_and_cuts_far_ones() -> None:
    """Eighty points beyond the axis are an arrow with its number; the shaded band reaches from -2 to 2."""
    rows = (ForestRow("one", near(0.5), "equal"), ForestRow("two", Estimate(-80, -82, -78), "worse"))
    figure = forest_figure([ForestPanel("triangle", rows)], margin=2, reference="atan")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["-80"]
    assert axes.get_xlim() == (-15, 15)
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (round(band.x0, 6), round(band.x1, 6)) == (-2, 2)
    markers = [line.get_marker() for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())]
    assert markers == ["o", "<"]


def test_the_front_of_spikes() -> None:
    """Three of four settings are on the front; the fourth sends more spikes for less."""
    marks = (SpikeMark(10, 70), SpikeMark(20, 80, (15, 30), (78, 82)), SpikeMark(30, 75), SpikeMark(40, 90))
    axes = spikes_figure([SpikePanel("a task", 88.0, (SpikeSeries("atan", marks),))]).axes[0]
    bars = [one.get_segments()[0] for one in axes.collections if isinstance(one, LineCollection)]
    assert [np.round(bar, 6).tolist() for bar in bars] == [[[20, 78], [20, 82]], [[15, 80], [30, 80]]]
    front = axes.lines[-1]
    assert list(front.get_xdata()) == [10, 20, 40]
    assert list(np.round(front.get_ydata(), 6)) == [70, 80, 90]


def test_a_task_that_is_solved_or_not_is_drawn_by_its_mean_without_a_band() -> None:
    """By hand: 50 and 100 % are 75 on average; must differ: of a task with accuracies five runs have a band."""
    settings = {"surrogate": "atan", "width_fwhm": 1.0}

    def run(seed: int, accuracy: float, solved: bool | None) -> Score:
        return Score("A2", "T6", "map", seed, settings, settings, accuracy, accuracy, None, False, solved, 50.0)

    solved = [run(seed, 100.0 if seed % 2 else 50.0, bool(seed % 2)) for seed in range(6)]
    assert drawn_score(solved) == Estimate(75.0, 75.0, 75.0)
    plain = drawn_score([run(seed, 80.0 + seed, None) for seed in range(6)])
    assert plain.low < plain.value < plain.high


def test_methods_stand_in_rows_and_a_line_goes_through_the_first() -> None:
    """By hand: what is not known has no mark; an axis is of errors, from 0 to 100 or from 0."""
    panels = [
        MethodPanel("a task", "accuracy, %", (near(80.0), None, near(95.0))),
        MethodPanel("solved", "runs solved, %", (near(20.0), near(50.0), near(90.0)), kind="share"),
        MethodPanel("time", "times", (near(2.0), near(3.0), None), kind="cost"),
    ]
    first, second, third = methods_charts(["one", "two", "three"], panels, "c").panels
    assert (first.title, first.x.is_error, first.x_lines) == ("a task", True, (80.0,))
    assert [(point.x, point.y, point.x_ends) for point in first.series[0].points] == [
        (80.0, 0, (79.0, 81.0)),
        (95.0, 2, (94.0, 96.0)),
    ]
    assert second.x.ends == (-3, 103)
    assert third.x.ends == (0.0, pytest.approx(4.2))
