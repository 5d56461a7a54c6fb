"""The activity and the scores of a split against literal counts, and an evaluation that leaves the rest out.

Legend: T steps, B batch, N neurons, C classes.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.errors import SgbenchError
from sgbench.losses.base import Loss
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.networks.mlp import Mlp
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.bptt import Bptt
from sgbench.training.evaluation import Activity, Evaluation
from sgbench.training.train_step import TrainLoop
from tests.messages import raises_naming
from tests.run.two_layers import STEPS, make_batch, make_network


def test_evaluation_leaves_out_the_penalty_and_the_gradient():
    """Expected: the loss alone, from the same outputs; nothing that would keep a graph."""
    network, batch = make_network(), make_batch()
    bounds = ActivityBounds(lower_strength=9.0, lower_spikes=9.0, upper_strength=0.0, upper_spikes=0.0)
    loop = TrainLoop(network, Bptt(window=None), Objective(MaxOverTime(), bounds), clip_norm=None)
    trajectory, logits, loss = loop.evaluate(batch)
    assert loss.item() == MaxOverTime().whole(trajectory, batch.target).item()
    assert torch.equal(logits, MaxOverTime().logits(trajectory))
    assert len(trajectory.spikes) == 2
    assert not loss.requires_grad
    assert all(weight.grad is None for weight in network.parameters())


def literal_activity(spikes: np.ndarray, lengths: list[int]) -> dict[str, float]:
    """One loop per neuron: spikes per step, silent neurons, neurons that fire in more than 90 % of the steps."""
    rates = []
    for i in range(spikes.shape[2]):
        count = sum(float(spikes[t, b, i]) for b, length in enumerate(lengths) for t in range(length))
        rates.append(count / sum(lengths))
    return {
        "rate_per_step": sum(rates) / len(rates),
        "dead_fraction": sum(rate == 0 for rate in rates) / len(rates),
        "saturated_fraction": sum(rate > 0.9 for rate in rates) / len(rates),
    }


def make_spikes() -> tuple[Tensor, Tensor]:
    """A silent, an always firing and four random neurons over 12 samples; everything fires behind the ends."""
    random = torch.Generator().manual_seed(8)
    spikes = (torch.rand(STEPS, 12, 6, generator=random) < 0.3).float()
    spikes[:, :, 0], spikes[:, :, 1] = 0, 1
    lengths = torch.randint(1, STEPS + 1, (12,), generator=random)
    spikes[torch.arange(STEPS)[:, None] >= lengths] = 1
    return spikes, lengths


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_activity_equals_a_literal_count(batch_size):
    """Expected: counted one by one, whatever the batches; the rate in Hz is the one per step over dt."""
    spikes, lengths = make_spikes()
    activity = Activity("hidden0", 6, dt_s=0.002)
    for chosen in torch.arange(12).split(batch_size):
        activity.update(spikes[:, chosen], lengths[chosen])
    scores = activity.scores()
    expected = literal_activity(spikes.numpy(), lengths.tolist())
    assert expected["dead_fraction"] == pytest.approx(1 / 6)
    assert expected["saturated_fraction"] == pytest.approx(1 / 6)
    for name, value in expected.items():
        assert getattr(scores, name) == pytest.approx(value, rel=1e-14), name
    assert scores.rate_hz == pytest.approx(expected["rate_per_step"] / 0.002, rel=1e-14)
    assert scores.name == "hidden0"


def test_saturation_begins_above_nine_in_ten():
    """Expected by hand: 9 of 10 steps is not saturated, 10 of 10 is; 1 spike in all is not dead."""
    spikes = torch.ones(10, 1, 3)
    spikes[0, 0, 0] = 0
    spikes[1:, 0, 2] = 0
    activity = Activity("hidden0", 3, dt_s=0.001)
    activity.update(spikes, torch.tensor([10]))
    scores = activity.scores()
    assert scores.saturated_fraction == pytest.approx(1 / 3)
    assert scores.dead_fraction == 0


def evaluated(batch: Batch, network: Mlp, batch_size: int, loss: Loss):
    """All scores, streamed."""
    loop = TrainLoop(network, Bptt(window=None), Objective(loss, NoPenalty()), clip_norm=None)
    evaluation = Evaluation(network, dt_s=0.001)
    for chosen in torch.arange(len(batch.target)).split(batch_size):
        part = Batch(batch.x[:, chosen], batch.target[chosen], batch.lengths[chosen], batch.position[chosen])
        evaluation.update(part, *loop.evaluate(part))
    return evaluation.scores()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("readout", ["leaky_readout", "leaky"])
@pytest.mark.parametrize("batch_size", [1, 7, 23])
def test_scores_equal_a_literal_count(batch_size, readout):
    """Expected: hits and losses counted sample by sample, whatever the batches; each spiking layer by name."""
    network, batch = make_network(readout=readout), make_batch(23)
    scores = evaluated(batch, network, batch_size, PerStep())
    trajectory = network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
    hits, losses = 0, []
    for b, (length, label) in enumerate(zip(batch.lengths.tolist(), batch.target.tolist(), strict=True)):
        own = trajectory.output[:length, b].detach().numpy()
        hits += int(own.mean(0).argmax()) == label
        losses.append(np.mean([math.log(np.exp(y).sum()) - y[label] for y in own]))
    assert 0 < hits < 23
    assert (scores.samples, scores.accuracy) == (23, hits / 23)
    assert scores.loss == pytest.approx(np.mean(losses), rel=1e-12)
    names = ["hidden0", "hidden1", *(["readout"] if readout == "leaky" else [])]
    assert [layer.name for layer in scores.activity] == names
    for layer, spikes in zip(scores.activity, trajectory.spikes, strict=True):
        expected = literal_activity(spikes.detach().numpy(), batch.lengths.tolist())
        assert layer.rate_per_step == pytest.approx(expected["rate_per_step"], rel=1e-12)
        assert (layer.dead_fraction, layer.saturated_fraction) == pytest.approx(
            (expected["dead_fraction"], expected["saturated_fraction"]), rel=1e-12
        )


def test_scores_without_samples_are_an_error():
    """Expected: one line, rather than an accuracy of 0."""
    with raises_naming(SgbenchError, "metric") as caught:
        Evaluation(make_network(), dt_s=0.001).scores()
    assert "\n" not in str(caught.value)
