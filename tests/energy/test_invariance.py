"""Counts do not depend on what runs a network, or where."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastspiking.choose import ENGINES, Engine
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.energy.convolution import count_events
from sgbench.energy.count import OperationCounter
from sgbench.records.counts import OpCounts
from tests.energy.counted import make_network
from tests.fastspiking.tiles_in_numpy import tiles_in_numpy


def counted(engine: str, device: str = "cpu") -> OpCounts:
    """Counts of one network with dyadic weights, whose spikes are the same on every engine and device."""
    network = make_network(6, (5, 4), 3, recurrence="none", bias=True, kind="leaky").to(device)
    network.engine = Engine(engine, device)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randint(-4, 8, weight.shape, generator=generator) / 8)
    x = (torch.rand(7, 4, 6, generator=generator) < 0.4).double().to(device)
    lengths = torch.tensor([7, 3, 5, 1], device=device)
    batch = Batch(x, torch.zeros(4, dtype=torch.long), lengths, torch.arange(4))
    counter = OperationCounter(network, "binary", bits=64)
    with torch.no_grad():
        counter.update(batch, network.unroll(x, lengths, keep=frozenset({SPIKES})))
    return counter.result()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.usefixtures("loops_in_python")
@tiles_in_numpy()
def test_engines_do_not_matter(engine):
    """Expected: the very same totals as with the reference, of a network that fires."""
    reference = counted("reference")
    assert all(layer.spikes_sent.total for layer in reference.layers[:-1])
    assert counted(engine) == reference


@pytest.mark.gpu
def test_devices_do_not_matter():
    """Expected: the very same totals on an accelerator."""
    assert counted("scan", "cuda") == counted("reference")


def test_spread_is_the_sum_of_squares_of_samples():
    """Expected: each sample counted alone, squared; and so the same however samples are batched."""
    counts = counted("reference")
    network = make_network(2, (2,), 1)
    alone = []
    x = torch.tensor([[[1.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]], dtype=torch.float64)
    whole = OperationCounter(network, "binary", bits=64)
    for chosen in ([0], [1], [0, 1]):
        lengths = torch.tensor([2] * len(chosen))
        part = Batch(x[:, chosen], torch.zeros(len(chosen), dtype=torch.long), lengths, torch.arange(len(chosen)))
        counter = whole if len(chosen) > 1 else OperationCounter(network, "binary", bits=64)
        with torch.no_grad():
            counter.update(part, network.unroll(part.x, lengths, keep=frozenset({SPIKES})))
        if len(chosen) == 1:
            alone.append(
                sum(group.effective.total or 0 for layer in counter.result().layers for group in layer.synapses)
            )
    spread = whole.result().spread
    assert spread is not None
    assert spread.synaptic_operations_squared.total == alone[0] ** 2 + alone[1] ** 2
    assert counts.spread is not None
    assert counts.spread.spikes_sent_squared.total


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_are_counted_alike_in_every_form(dtype):
    """Expected: one `if` an entry within its sample, packed or dense, of either sign."""
    dense = (torch.rand(4, 3, 500, generator=torch.Generator().manual_seed(1)) < 0.2).to(dtype)
    dense[1, 0] = 0
    lengths = torch.tensor([4, 1, 3])
    expected = np.array([[sum(value != 0 for value in row) for row in step] for step in dense.tolist()])
    expected[1:, 1] = expected[3:, 2] = 0
    for form in (dense, SparseSpikes.of(dense), -dense, dense.transpose(0, 1).contiguous().transpose(0, 1)):
        came = count_events(form, lengths)
        assert came.rows.tolist() == expected.tolist()
        assert came.of_samples.tolist() == expected.sum(0).tolist()
        assert (came.total, came.steps) == (expected.sum(), (expected > 0).sum())
