"""Pictures of this report alone: what they show, read back from the figures."""

from __future__ import annotations

import numpy as np

from sgbench.plots.estimate import Estimate
from study.surrogates.analysis.plots.forest import ForestPanel, ForestRow, forest_figure
from study.surrogates.analysis.plots.spikes import SpikeMark, SpikePanel, SpikeSeries, spikes_figure
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
    markers = [
        line.get_marker() for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())
    ]
    assert markers == ["o", "<"]


def test_the_front_of_spikes() -> None:
    """Three of four settings are on the front; the fourth sends more spikes for less."""
    marks = (SpikeMark(10, 70), SpikeMark(20, 80), SpikeMark(30, 75), SpikeMark(40, 90))
    axes = spikes_figure([SpikePanel("a task", 88.0, (SpikeSeries("atan", 0.2, marks),))]).axes[0]
    front = axes.lines[-1]
    assert list(front.get_xdata()) == [10, 20, 40]
    assert list(np.round(front.get_ydata(), 6)) == [70, 80, 90]
