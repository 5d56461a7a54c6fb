"""The integral around a loop against the gradient theorem, finite differences and Green's theorem."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from sgbench.reproduction.closed_loop import gradient, integrals, loop_integral
from sgbench.reproduction.definition import read
from sgbench.reproduction.figures import read_results
from sgbench.reproduction.page import as_page, ours
from sgbench.reproduction.runs import calculated

SETTINGS = {"x": 1.0, "radius": 1.8, "points": 1500}


def output(weights: np.ndarray, x: float, slope: float) -> float:
    """y of the 1-1-2-1 network, written out."""
    w, v1, v2, u1, u2 = weights
    g = expit(slope * w * x)
    return expit(slope * (u1 * expit(slope * v1 * g) + u2 * expit(slope * v2 * g)))


@pytest.mark.parametrize("slope", [1.0, 5.0])
def test_equal_slopes_give_the_gradient(slope):
    """Expected: central differences of the output, at random weights."""
    random = np.random.default_rng(0)
    for weights in random.standard_normal((5, 5)):
        expected = [
            (output(weights + step, 0.7, slope) - output(weights - step, 0.7, slope)) / 2e-6
            for step in 1e-6 * np.eye(5)
        ]
        found = gradient(weights, 0.7, forward_slope=slope, slope=slope)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_surrogate_is_not_the_gradient():
    """Must differ: a steeper forward pass, at the same weights."""
    weights = np.random.default_rng(0).standard_normal(5)
    one, other = (gradient(weights, 0.7, forward_slope=each, slope=5.0) for each in (5.0, 1e4))
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slope", [1.0, 5.0, 20.0])
def test_a_gradient_integrates_to_nothing(slope, seed):
    """Expected: 0 by the gradient theorem, to rounding; must differ: the surrogate's is not, on average."""
    assert abs(loop_integral(**SETTINGS, forward_slope=slope, slope=slope, seed=seed)) < 1e-12
    surrogate = [loop_integral(**SETTINGS, forward_slope=1e4, slope=slope, seed=each) for each in range(5)]
    assert np.abs(surrogate).mean() > 0.1


def test_half_a_loop_of_a_gradient_is_the_difference_of_the_output():
    """Must differ from 0: so the loop above is no sum of zeros. Expected: y at one end minus y at the other.

    Half a circle by the trapezoidal rule with its ends, in the directions of seed 3, moved off the centre.
    """
    directions, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 2)))
    angle = np.linspace(0, np.pi, 4001)
    place = np.stack([np.sin(angle), np.cos(angle)], -1) @ directions.T + 0.3
    along = np.stack([np.cos(angle), -np.sin(angle)], -1) @ directions.T
    slopes = (gradient(place, 1.0, forward_slope=2.0, slope=2.0) * along).sum(-1)
    expected = output(place[-1], 1.0, 2.0) - output(place[0], 1.0, 2.0)
    assert abs(expected) > 0.05
    assert np.trapezoid(slopes, angle) == pytest.approx(expected, abs=1e-6)


def test_green_gives_the_surrogates_integral():
    """Expected: the curl of the surrogate's field, integrated over the disc, is its integral around the circle.

    Forward slope 3, so that finite differences of the field exist; derivative slope 6.
    """
    settings = {"forward_slope": 3.0, "slope": 6.0}
    found = loop_integral(x=1.0, radius=1.0, points=400, seed=1, **settings)
    directions, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 2)))
    radius, angle = np.meshgrid((np.arange(200) + 0.5) / 200, 2 * np.pi * np.arange(200) / 200)
    # sin along the first direction, cos along the second: the loop runs clockwise in these coordinates.
    a, b, step = radius * np.sin(angle), radius * np.cos(angle), 1e-4

    def field(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        place = np.stack([a, b], -1) @ directions.T
        return gradient(place, 1.0, **settings) @ directions

    curl = (field(a + step, b) - field(a - step, b))[..., 1] - (field(a, b + step) - field(a, b - step))[..., 0]
    area = radius * (1 / 200) * (2 * np.pi / 200)
    expected = -(curl / (2 * step) * area).sum()
    assert abs(expected) > 1e-3
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_shipped_settings_are_those_of_the_paper():
    """Expected: radius 1.8, 1500 points, slopes 1, 5, 20, forward 10000; a value for each condition of a figure."""
    one = read("closed_loop")
    settings = {key: value for key, value in one.calculation.items() if key != "name"}
    assert settings == {**SETTINGS, "forward_slope": 1e4, "slopes": [1.0, 5.0, 20.0]}
    assert {name for figure in one.figures for name in figure.of} == set(integrals(**settings, seed=0))


def test_another_processors_rounding_moves_no_byte_of_the_page():
    """Must match: the committed values, and the rows of results that are off by a part in 1e16.

    Must differ: a result that is off by more than what the verdict takes for rounding.
    """
    one = read("closed_loop")
    here = calculated(one, one.seeds)
    stored = read_results(Path(__file__).parents[2] / "docs" / "reproductions" / "figures.json")
    assert as_page([here]) == as_page([one for one in stored if one.reproduction.name == "closed_loop"])

    def off(by: float):
        judged = [each._replace(ours=each.ours + by, deviation=2 * each.deviation) for each in here.judged[3:]]
        return [ours(each) for each in judged]

    assert off(1e-16) == off(0.0) == ["< 1e-12"] * 3
    assert off(1e-11) != off(0.0)
