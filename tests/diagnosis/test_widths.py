"""What adaptive widths go by, against numpy and counts by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.traces import trace
from sgbench.diagnosis.widths import width_measures
from tests.catalogue.shapes import make
from tests.diagnosis.made import Sum, batch, fast_sigmoid, network, objective, rectangle, zero


def test_the_measures_are_those_of_numpy() -> None:
    """Expected: restated with numpy from the trace; the readout, which does not fire, is left out."""
    net, given = network([5, 4, 3, 2], fast_sigmoid, gain=2.0), batch(6, 3, 5, 2)
    traced = trace(net, given, objective())
    first, second = width_measures([traced])
    assert (first.layer, second.layer) == ("hidden0", "hidden1")
    deltas = traced.layers[1].gradient().numpy().reshape(6, -1)  # type: ignore[union-attr]
    np.testing.assert_allclose(second.variation, [np.var(one) / np.mean(np.abs(one)) for one in deltas], rtol=1e-12)
    cosines = [one @ two / np.sqrt(np.sum(one**2) * np.sum(two**2)) for one, two in itertools.pairwise(deltas)]
    np.testing.assert_allclose(second.consistency, cosines, rtol=1e-12)
    potentials = traced.layers[1].potentials().numpy().reshape(6, -1)
    np.testing.assert_allclose(second.spread, np.std(potentials, axis=1), rtol=1e-12)


def test_a_linear_chain_is_consistent() -> None:
    """Mathematics: one neuron of unit slope; dL/dI of every step is a multiple of that of the next, cosine 1."""
    linear = make("constant", normalisation="raw")
    (layer,) = width_measures([trace(network([1, 1, 1], lambda: linear), batch(5, 1, 1, 1), objective(Sum()))])
    assert layer.consistency == pytest.approx([1.0] * 4)
    assert layer.variation == pytest.approx([0.0] * 5, abs=1e-15)
    assert layer.in_window == (1.0,) * 5


def test_potentials_out_of_the_window_and_steps_behind_the_end_do_not_count() -> None:
    """Hand count: a current of 0.9 from silence lies 0.1 below threshold, within a rectangle of width 0.5.

    The second sample has no input, so its potential is 1 below; it ends after step 0.
    """
    net = network([1, 1, 1], rectangle)
    with torch.no_grad():
        net.layers[0].weight.fill_(0.9)  # type: ignore[union-attr, operator]
    x = torch.zeros(2, 2, 1, dtype=torch.float64)
    x[0, 0] = 1.0
    given = Batch(x, torch.zeros(2, 2, 1, dtype=torch.float64), torch.tensor([2, 1]), torch.arange(2))
    (layer,) = width_measures([trace(net, given, objective())])
    assert layer.in_window == (0.5, 1.0)  # 0.81, 0.19 below threshold, in step 1
    assert layer.spread == pytest.approx((0.45, 0.0))


def test_an_adaptive_width_is_that_of_the_step() -> None:
    """Expected: the boxcar of two deviations holds |u| < deviation of each step, counted with numpy."""
    net, given = network([5, 8, 2], lambda: make("mpd_agl"), gain=2.0), batch(6, 4, 5, 2)
    traced = trace(net, given, objective())
    (layer,) = width_measures([traced])
    for potentials, share in zip(traced.layers[0].potentials().numpy(), layer.in_window, strict=True):
        assert share == pytest.approx(np.mean(np.abs(potentials) < np.std(potentials)))


def test_what_a_batch_shows_depends_on_no_other_pass() -> None:
    """Must match: the measures of batches in any order and once more, of widths that follow the step behind.

    Expected: equal gradients through the surrogate of a network that never ran, counted with numpy.
    """
    net = network([5, 8, 2], lambda: make("a2sg"), gain=2.0)
    traced = [trace(net, batch(6, 4, 5, 2, seed=seed), objective()) for seed in (0, 1)]
    measured = width_measures(traced)
    assert measured == width_measures(traced[::-1]) == width_measures(traced)
    u = traced[0].layers[0].potentials().requires_grad_()
    fresh = make("a2sg")
    torch.stack([fresh(now) for now in u]).sum().backward()
    sizes = np.abs(u.grad.numpy())  # type: ignore[union-attr]
    shares = [np.mean(size > 0.01 * size.max()) for size in sizes]
    (alone,) = width_measures(traced[:1])
    assert alone.in_window == pytest.approx(shares)


def test_where_there_is_no_gradient_nothing_is_told() -> None:
    (layer,) = width_measures([trace(network([5, 4, 2], zero), batch(4, 3, 5, 2), objective())])
    assert layer.variation == (None,) * 4
    assert layer.consistency == (None,) * 3
    assert layer.in_window == (0.0,) * 4
