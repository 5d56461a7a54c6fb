"""Pictures of energies: every term has its colour, and bars end where their totals do."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from sgbench.energy.validate import verdicts_figure
from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.plots.energy_front import FrontMethod, FrontPanel, front_figure
from sgbench.plots.energy_terms import (
    FAMILIES,
    FAMILY_COLOURS,
    LEAST,
    DrawnTerm,
    EnergyBar,
    Prediction,
    measured_charts,
    terms_figure,
)
from sgbench.plots.error_axis import ErrorAxis
from sgbench.plots.figure import TONES, charts_figure
from sgbench.records.energy import Operation
from tests.messages import raises_naming


def test_every_operation_is_in_one_family() -> None:
    """The price lists' own operations, each once; else a bar would end before 100 %."""
    listed = [operation for operations in FAMILIES.values() for operation in operations]
    assert sorted(listed) == sorted(get_args(Operation))
    assert len(FAMILY_COLOURS) == len(FAMILIES)


def test_shares_of_a_bar() -> None:
    """By hand: 1, 2 and 1 of 4 nJ are 25, 50 and 25 %, beside each other up to 100 %."""
    terms = (
        DrawnTerm("accumulate", "a", 1.0),
        DrawnTerm("accumulate", "b", 2.0),
        DrawnTerm("event_state_read", "a", 1.0),
    )
    figure = terms_figure([EnergyBar("chip", terms, "4 nJ")], title="a network")
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() > 0]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 25), (25, 50), (75, 25)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["4 nJ"]
    with raises_naming(InputError, "total", "sgbench energy price"):
        terms_figure([], title="nothing")


def test_panels_of_the_front() -> None:
    """By hand: means of 91 and 94 %, six panels at most, a line without spikes where it is known."""
    methods = [FrontMethod("a", (90.0, 92.0)), FrontMethod("b", (94.0,))]
    energies = (Estimate(1.0, 0.5, 2.0), Estimate(3.0, 3.0, 4.0))
    panels = [FrontPanel(f"chip{number}", energies, 2.0 if number else None) for number in range(7)]
    figure = front_figure(methods, panels)
    assert [axes.get_title() for axes in figure.axes] == [f"chip{number}" for number in range(6)]
    known = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {*known} == {"a", "b", "Pareto front", "the same without spikes"}
    shown = ErrorAxis().clip  # accuracies are spaced by the logarithm of their errors
    marks = [np.concatenate(line.get_data()) for line in figure.axes[0].lines]
    for x, y in (((1.0,), (91.0,)), ((3.0,), (94.0,)), ((0.5, 2.0), (91.0, 91.0)), ((1.0, 1.0), (90.0, 92.0))):
        assert any(len(mark) == 2 * len(x) and np.allclose(mark, [*x, *shown(y)]) for mark in marks)
    with pytest.raises(InputError, match="nothing to draw"):
        front_figure(methods, [])


@pytest.mark.one_in(4)
@pytest.mark.parametrize("panels", [1, 4])
def test_the_legend_of_long_names_is_inside_its_figure(panels: int) -> None:
    """By matplotlib's own measure: names of 115 letters, in as many columns as the figure's width holds."""
    name = "atan(width_fwhm=0.1), mlp(recurrence_gradient=cut), direct_feedback(error=target), adam(lr=0.00666) "
    methods = [FrontMethod(f"{name}{number}", (90.0,)) for number in range(11)]
    energies = (Estimate(1.0, 1.0, 1.0),) * 11
    drawn = [FrontPanel(f"chip{number}", energies, None) for number in range(panels)]
    figure = front_figure(methods, drawn)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    tops = [axes.get_tightbbox().y1 for axes in figure.axes if axes.axison]
    assert max(tops) <= box.y0 < box.y1 <= figure.bbox.height


def test_predictions_are_multiples_of_what_was_measured() -> None:
    """By hand: 2 (1 to 4) of 4 measured is 0.5 (0.25 to 1); a negative prediction is an arrow at the left end."""
    rows = [
        Prediction("b", "second", Estimate(-1.0, -2.0, -0.5), Estimate(1.0, 1.0, 1.0), holds=False),
        Prediction("a", "first", Estimate(2.0, 1.0, 4.0), Estimate(4.0, 3.0, 5.0), holds=True),
    ]
    axes = charts_figure(measured_charts(rows, "")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first (a)", "second (b)"]
    drawn = [(list(line.get_xdata()), line.get_color(), line.get_marker()) for line in axes.lines]
    assert ([0.25, 1.0], TONES["good"], "None") in drawn
    assert ([0.5], TONES["good"], "o") in drawn
    assert ([0.75, 1.25], TONES["soft"], "None") in drawn
    assert ([LEAST], TONES["bad"], "<") in drawn
    with pytest.raises(InputError, match="no published measurement"):
        verdicts_figure([])
