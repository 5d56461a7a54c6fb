"""Passing steps and the width that has so many, against counts by hand, closed forms and what `diagnose` tells."""

import math

import pytest
import torch
from scipy.optimize import brentq

import sgbench
from sgbench.diagnosis import passing
from sgbench.diagnosis.passing import RecurrentLayer, mean_passing_steps, passing_steps, width_for
from sgbench.errors import InputError
from tests.messages import raises_naming

POTENTIALS = torch.tensor([[-0.9, 0.05], [-0.3, 0.0], [0.2, -0.45]])  # of two neurons in three steps


def layer(centred: torch.Tensor = POTENTIALS, series: int = 2, name: str = "hidden1") -> RecurrentLayer:
    return RecurrentLayer(name, centred, series)


def shape(name: str, **given: float | str):
    return sgbench.create(f"surrogate/{name}", **{"width_fwhm": 1.0, **given})


def test_passing_steps_count_potentials_within_a_rectangle():
    """By hand: five of six potentials lie within a half of threshold, so that two neurons have 5/2 steps each."""
    assert passing_steps(layer(), shape("rectangle")) == 2.5
    assert passing_steps(layer(), shape("rectangle"), 0.5) == 1.5  # -0.3 and -0.45 are too far
    assert passing_steps(layer(), shape("rectangle"), 4.0) == 3.0


def test_passing_steps_add_the_slopes_of_a_triangle():
    """By hand: 1 - |u| where it is above 0, at a width of 1: 0.1 + 0.95 + 0.7 + 1 + 0.8 + 0.55 over two neurons."""
    assert passing_steps(layer(), shape("triangle")) == pytest.approx(4.1 / 2, rel=1e-6)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("given", [{"scale": 3.0}, {"normalisation": "area1"}, {"normalisation": "raw"}])
def test_the_height_of_a_slope_does_not_count(given):
    """Expected: slopes over their peak, so that height and normalisation change nothing."""
    for width in (None, 0.3):
        expected = passing_steps(layer(), shape("atan"), width)
        assert passing_steps(layer(), shape("atan", **given), width) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_a_width_by_argument_is_that_of_another_surrogate():
    """Expected: the same as of a surrogate that was made with that width, whatever its own."""
    for width in (0.05, 2.0):
        made = shape("fast_sigmoid", width_fwhm=width)
        asked = passing_steps(layer(), shape("fast_sigmoid", width_fwhm=0.7), width)
        assert asked == pytest.approx(passing_steps(layer(), made), rel=1e-12)


@pytest.mark.parametrize("target", [0.1, 0.5, 0.9])
def test_the_width_of_one_potential_is_known_in_closed_form(target):
    """Expected for atan, 1/(1 + (2u/w)^2) = S: w = 2|u|/sqrt(1/S - 1); two significant digits."""
    found = width_for([layer(torch.tensor([[-0.4]]), 1)], shape("atan"), target)
    assert found == float(f"{0.8 / math.sqrt(1 / target - 1):.2g}")


def test_layers_count_by_their_mean():
    """By hand: a layer of 2.5 and one of 3 steps have 2.75; the width that gives it is within its rounding."""
    near = layer(torch.tensor([[-0.1], [0.1], [0.3]]), 1)
    assert mean_passing_steps([layer(), near], shape("rectangle")) == 2.75
    width = width_for([layer(), near], shape("atan"), 1.2)
    low, high = (mean_passing_steps([layer(), near], shape("atan"), width * side) for side in (0.95, 1.05))
    assert low < 1.2 < high


def test_a_target_out_of_reach_is_refused():
    """Expected: one line with what widths have; three steps can never pass more than three."""
    with raises_naming(InputError, "3.5", "to 3"):
        width_for([layer()], shape("atan"), 3.5)


@pytest.mark.parametrize("name", ["zero", "constant"])
def test_a_surrogate_without_a_width_is_refused(name):
    """Expected: one line that names it."""
    with pytest.raises(InputError, match="has no width"):
        width_for([layer()], sgbench.create(f"surrogate/{name}"), 1.0)


@pytest.mark.slow
@pytest.mark.one_in(4)
@pytest.mark.parametrize("target", [1.0, 1.7, 2.9])
def test_halving_ends_where_both_ends_are_one_width(monkeypatch, target):
    """Expected: the width of forty halvings, whose two digits stand after a third of them."""
    seen = []

    def counted(*given):
        seen.append(given)
        return mean_passing_steps(*given)

    monkeypatch.setattr(passing, "mean_passing_steps", counted)
    found = width_for([layer()], shape("atan"), target)
    assert len(seen) <= 16
    low, high = passing.NARROWEST, passing.WIDEST
    for _ in range(40):
        middle = (low * high) ** 0.5
        below = mean_passing_steps([layer()], shape("atan"), middle) < target
        low, high = (middle, high) if below else (low, middle)
    assert found == float(f"{low:.2g}")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["atan", "triangle", "fast_sigmoid"])
def test_a_part_of_many_potentials_finds_what_all_of_them_decide(name, monkeypatch):
    """Oracle: scipy's root over all potentials, to two digits; by count, in fewer than six looks at all of them."""
    surrogate = shape(name)
    generator = torch.Generator().manual_seed(5)
    looked = 0

    def counting(layers, *rest):
        nonlocal looked
        looked += sum(layer.centred.numel() for layer in layers)
        return mean_passing_steps(layers, *rest)

    for spread in (0.3, 2.0):
        potentials = torch.randn(4000, 100, generator=generator) * spread - spread
        layers = [RecurrentLayer("hidden", potentials, 4000)]
        for target in (1.0, 2.8):
            root = brentq(lambda width: passing_steps(layers[0], surrogate, width) - target, 1e-3, 1e2)  # noqa: B023
            with monkeypatch.context() as patched:
                patched.setattr("sgbench.diagnosis.passing.mean_passing_steps", counting)
                assert width_for(layers, surrogate, target) == float(f"{root:.2g}")
    assert looked < 6 * 4 * potentials.numel()
