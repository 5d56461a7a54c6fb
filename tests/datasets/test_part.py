"""The first samples of a split: which they are, and that a run with them is one of its own."""

from __future__ import annotations

import pytest
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.composition.compose import compose
from sgbench.datasets.base import Samples, first_samples
from sgbench.leaderboard.deviation import compose_reference, method_deviations
from sgbench.records.method import method_id
from sgbench.replicas.grouping import batches_key
from sgbench.training.build import build


@pytest.mark.parametrize(
    ("target", "count", "places"),
    [
        ([2, 2, 2, 0, 0, 1], 3, [0, 3, 5]),  # one of each class
        ([2, 2, 2, 0, 0, 1], 5, [0, 1, 3, 4, 5]),  # the second of those that have two
        ([2, 2, 2, 0, 0, 1], 9, [0, 1, 2, 3, 4, 5]),
        ([0, 0, 1, 1], 1, [0]),
    ],
)
def test_classes_take_turns(target, count, places):
    """By hand: samples of each class in turn, in the order of the split, with their own values and lengths."""
    labels = torch.tensor(target)
    numbers = torch.arange(len(target))
    found = first_samples(Samples(numbers[:, None].double(), labels, numbers + 1), count)
    assert isinstance(found.values, torch.Tensor)
    assert found.values[:, 0].tolist() == places
    assert found.target.tolist() == labels[places].tolist()
    assert found.lengths is not None
    assert found.lengths.tolist() == [place + 1 for place in places]


def test_spikes_and_traces():
    """Expected: spike trains keep their own spikes; targets that are no classes are taken from the front."""
    trains = SpikeTrains.of([0, 1, 2, 2], [0, 1, 0, 1], [100, 200, 300, 400], [1000, 1000, 1000], 2)
    found = first_samples(Samples(trains, torch.tensor([0, 0, 1]), None), 2)
    assert isinstance(found.values, SpikeTrains)
    assert found.values.channel.tolist() == [0, 0, 1]
    assert found.values.time_us.tolist() == [100, 300, 400]
    traces = torch.rand(4, 3, 1)
    assert torch.equal(first_samples(Samples(traces, traces, None), 2).target, traces[:2])


@pytest.mark.slow
def test_a_run_with_a_part_is_another_method():
    """Expected: so many samples in each split, another id, batches of its own, and a deviation that says so."""
    whole, part = (compose(["experiment=digits", *more]) for more in ([], ["protocol.first_samples=30"]))
    data = build(part).data
    data.setup()
    with data.last_step():
        assert [len(data.splits[split].target) for split in ("train", "validation", "test")] == [30, 30, 30]
    assert data.splits["train"].target.unique(return_counts=True)[1].tolist() == [3] * 10
    assert data.batches_per_epoch == 1
    assert method_id(whole.method) != method_id(part.method)
    assert batches_key(whole) != batches_key(part)
    (line,) = method_deviations(part.method, 0, compose_reference("digits_v1"))
    assert "protocol.first_samples is 30" in line
    neutral = compose(["experiment=digits", "protocol.first_samples=null"])
    assert method_id(neutral.method) == method_id(whole.method)
