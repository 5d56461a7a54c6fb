"""The one axis of errors: equal ratios of errors have equal lengths, and its labels do not touch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sgbench.plots.error_axis import ErrorAxis

ACCURACY, LOSS = ErrorAxis(), ErrorAxis(is_loss=True, least=1e-12)


@settings(deadline=None)
@given(st.floats(1e-3, 90), st.floats(1e-3, 90), st.floats(0.1, 10))
def test_equal_ratios_of_errors_have_equal_lengths(first: float, second: float, ratio: float) -> None:
    """By mathematics: log10 of the ratio, in whichever place; an accuracy's error is what lacks to 100."""
    for error in (first, second):
        other = error * ratio
        assert LOSS.place(other) - LOSS.place(error) == pytest.approx(math.log10(ratio))
        if other < 100:
            length = ACCURACY.place(100 - other) - ACCURACY.place(100 - error)
            assert length == pytest.approx(-math.log10(ratio), abs=1e-9)


@settings(deadline=None)
@given(st.floats(-0.1, 4))
def test_scores_and_places_are_inverse(place: float) -> None:
    """Must match: there and back."""
    for axis in (ACCURACY, LOSS):
        assert axis.place(axis.score(place)) == pytest.approx(place)


def test_what_cannot_be_told_from_perfect_stands_at_the_end() -> None:
    """By hand: a least error of 0.5 %, losses of 0, and below 0 % nothing."""
    assert ErrorAxis(least=0.5).clip([-3.0, 99.0, 99.9, 100.0]).tolist() == [0.0, 99.0, 99.5, 99.5]
    assert LOSS.clip([0.0, 1.0]).tolist() == [1e-12, 1.0]
    assert math.isnan(ACCURACY.clip(math.nan))


def test_limits() -> None:
    """By hand: a twentieth of a decade beyond 90 and 99; an interval widens them by 0.4 decades at most."""
    low, high = ACCURACY.limits([90.0, 99.0])
    assert [100 - low, 100 - high] == pytest.approx([10**1.05, 10**-0.05])
    low, high = ACCURACY.limits([90.0, 99.0], [0.0, 98.0])
    assert [100 - low, 100 - high] == pytest.approx([10 ** (1.4 + 0.07), 10**-0.07])
    low, high = LOSS.limits([0.5])
    assert [low, high] == pytest.approx([0.5 * 10**-0.1, 0.5 * 10**0.1])


@settings(deadline=None)
@given(st.floats(0, 99.9), st.floats(0.01, 3), st.booleans(), st.sampled_from([0.055, 0.08]))
def test_ticks_are_inside_and_apart(score: float, decades: float, is_loss: bool, gap: float) -> None:
    """Property: between the ends, rising, farther apart than the gap and than a label is wide."""
    axis = LOSS if is_loss else ACCURACY
    first = float(axis.place(max(score, 1e-6)))
    ends = float(axis.score(first)), float(axis.score(first + decades))
    ticks = axis.ticks(*ends, gap=gap, character=0.028)
    places = [(float(axis.place(tick)) - first) / decades for tick in ticks]
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    labels = list(ticks.values())
    assert len(set(labels)) == len(labels)
    for (before, after), label in zip(itertools.pairwise(places), labels[1:], strict=True):
        assert after - before > max(gap, 0.028 * len(label)) - 1e-9


@pytest.mark.parametrize(
    ("axis", "ends"), [(ACCURACY, (20.0, 99.0)), (ACCURACY, (92.1, 93.4)), (LOSS, (0.021, 0.09)), (LOSS, (1e-4, 2.0))]
)
def test_there_are_enough_ticks(axis: ErrorAxis, ends: tuple[float, float]) -> None:
    """At least four, whether scores lie far apart or close together."""
    assert len(axis.ticks(*ends, gap=0.08, character=0.028)) >= 4


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("axis", [ACCURACY, LOSS])
def test_a_panel_has_the_scale(side: str, axis: ErrorAxis) -> None:
    """Matplotlib's own transform: three scores whose errors are 1 : 1/3 : 1/9 stand at equal distances."""
    figure = Figure()
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    scores = [1.0, 3.0, 9.0] if axis.is_loss else [91.0, 97.0, 99.0]
    axis.frame(panel, side, axis.limits(scores), gap=0.08)
    figure.canvas.draw()
    ends = panel.get_xlim() if side == "x" else panel.get_ylim()
    points = [(score, np.mean(panel.get_ylim())) for score in scores]
    if side == "y":
        points = [(np.mean(panel.get_xlim()), score) for score in scores]
    places = panel.transData.transform(points)[:, 0 if side == "x" else 1]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert places[1] > places[0]
    ticks = panel.get_xticks() if side == "x" else panel.get_yticks()
    assert all(ends[0] <= tick <= ends[1] for tick in ticks)
