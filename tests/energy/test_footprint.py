"""Memory, sparsity and means of a network, by hand and against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sgbench.energy.footprint import footprint
from sgbench.energy.module_operations import stored
from sgbench.energy.modules import ModuleCounter
from sgbench.errors import InputError
from sgbench.records.counts import Count, Spread
from tests.energy.networks import layer, network, spiking, synapses


def test_memory_and_sparsity_by_hand():
    """4-8-2: 32 + 16 weights, 10 words of state, 58 numbers of 4 bytes; 332 of 480 connections times steps used."""
    found = footprint(spiking())
    assert (found.weights, found.state_words) == (48, 10)
    assert found.bytes_by_bits == {32: 232, 16: 116, 8: 58, 4: 29}
    assert found.activation_sparsity == pytest.approx(1 - 332 / 480)
    assert found.connection_sparsity is None  # the record does not say which weights are 0


def test_biases_are_weights_without_a_connection():
    """3 inputs, 2 neurons with biases, 4 steps: 8 numbers, of which the 6 connections may be 0: 2 are."""
    biased = layer("a", 2, synapses(1, 24, weights=6, zero_weights=2), bias_additions=8, neuron_updates=8)
    found = footprint(network(biased, steps=4))
    assert found.weights == 8
    assert found.connection_sparsity == 2 / 6


def test_means_have_the_interval_of_their_samples():
    """Expected: numpy's standard deviation of the samples over the root of their number, times 1.96."""
    each = np.array([3, 9, 4, 0, 7])
    counts = network(layer("a", 1, synapses(int(each.sum()), 50), spikes_sent=2), samples=5, steps=5)
    squares = Spread(
        synaptic_operations_squared=Count(total=int((each**2).sum())), spikes_sent_squared=Count(reason="too large")
    )
    found = footprint(counts.model_copy(update={"spread": squares}))
    assert found.synaptic_operations.value == each.mean()
    assert found.synaptic_operations.half == pytest.approx(1.96 * each.std(ddof=1) / np.sqrt(5))
    assert found.spikes_sent.half is None
    assert footprint(counts).synaptic_operations.half is None


def test_unknown_counts_are_an_error():
    lost = layer("a", 1, synapses(1, 1)).model_copy(update={"spikes_sent": Count(reason="no counter")})
    with pytest.raises(InputError, match="no counter"):
        footprint(network(lost))


def test_zero_weights_are_found_in_the_network():
    """A quarter of the weights set to 0 by hand is the sparsity of the record; a mask's cuts are not stored."""
    linear = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        linear.weight.fill_(1.0)
        linear.weight[0, :2] = 0
    counter = ModuleCounter(linear.eval(), input_kind="real", bits=32, fold_batch_norm=False)
    counter(torch.ones(1, 4), samples=1, steps=1)
    assert footprint(counter.result()).connection_sparsity == 0.25
    linear.mask = torch.tensor([[True, False, True, True], [True, True, True, True]])
    assert stored(linear, "weight") == (7, 1)
