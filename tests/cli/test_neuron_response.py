"""What the picture of a neuron shows, against numbers by hand."""

from __future__ import annotations

import torch

import sgbench
from sgbench.plots.entries.neuron import (
    HIGHEST_CURRENT,
    least_current,
    mean_rates,
    response,
    run_neurons,
    spike_train,
    step_current,
)


def test_least_current_of_a_leaky_neuron() -> None:
    """By hand: above theta (1 - beta) it fires for ever; a unit without memory once, above theta."""
    neuron = sgbench.create("neuron/leaky", beta=0.9)
    constant = least_current(neuron, torch.ones(300))
    assert 0.1 < constant < 0.1 * 1.1
    one = torch.zeros(20)
    one[3] = 1.0
    assert 1.0 < least_current(sgbench.create("neuron/mcculloch_pitts"), one) < 1.1


def test_a_response_tells_the_threshold_in_force() -> None:
    """By hand: of an alif neuron theta + kappa a, a trace of its spikes; four spikes or more under the step."""
    neuron = sgbench.create("neuron/alif")
    current = step_current(neuron)
    found = response(neuron, current)
    assert set(found.others) == {"a"}
    assert found.threshold is not None
    torch.testing.assert_close(found.threshold, 1.0 + 0.2 * found.others["a"])
    assert found.sent.sum() >= 4
    assert torch.equal(found.sent, (found.potential > found.threshold).float())
    train = spike_train(neuron)
    assert (train[torch.arange(len(train)) % 5 != 0] == 0).all()
    assert response(neuron, train).sent.sum() >= 4


def test_rates_of_a_threshold_unit() -> None:
    """By hand: nothing up to its threshold, a spike in every step above."""
    neuron = sgbench.create("neuron/mcculloch_pitts")
    found = mean_rates(neuron)
    assert found.current[-1] > 0.9 * HIGHEST_CURRENT
    assert torch.equal(found.sent, (found.current > 1).float())


def test_neurons_of_several_currents_get_the_same_in_each() -> None:
    """Expected: every branch of its own state, and what the step sends."""
    neuron = sgbench.create("neuron/dh_lif", features=1, generator=torch.Generator().manual_seed(0))
    found = response(neuron, step_current(neuron))
    assert set(found.others) == {"d 1", "d 2", "d 3", "d 4"}
    sent, states = run_neurons(neuron, torch.ones(5, 3))
    assert sent.shape == (5, 3)
    assert len(states) == 5


def test_a_neuron_that_does_not_fire_has_no_threshold() -> None:
    """Expected: output and potential are one; a current of 1."""
    neuron = sgbench.create("neuron/leaky_readout")
    found = response(neuron, step_current(neuron))
    assert found.threshold is None
    assert torch.equal(found.sent, found.potential)
    assert found.current.max() == 1
