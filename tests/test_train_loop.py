"""One training step, the selection of the best epoch, and the scores of a split.

Legend: T steps, B batch, N neurons, C classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.errors import NonFiniteError, SgbenchError
from sgbench.inits.kaiming import Kaiming
from sgbench.losses.base import Loss
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.metrics.activity import Activity
from sgbench.metrics.evaluation import Evaluation
from sgbench.networks.base import Network, Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.rules.bptt import Bptt
from sgbench.rules.eprop import EProp
from sgbench.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.surrogates.triangle import Triangle
from sgbench.training.train_loop import BestEpoch, TrainLoop

INPUTS, HIDDEN, CLASSES = 5, (6, 4), 3
STEPS, LENGTHS = 8, (8, 3, 1, 6, 8)
PLAIN = Objective(loss=MaxOverTime(), regulariser=NoPenalty())


class Spoilt(Triangle):
    """Spikes as usual, a slope that is not a number."""

    def derivative(self, u: Tensor) -> Tensor:
        return torch.full_like(u, math.nan)


class Infinite(MaxOverTime):
    """A loss that overflows although every potential is finite."""

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        return super().whole(trajectory, target) * math.inf


def make_network(
    *, spoilt_layer: int | None = None, readout: str = "leaky_readout", hidden: tuple[int, ...] = HIDDEN
) -> Mlp:
    """Two hidden layers in float64; one of them may have a slope that is not a number."""
    count = itertools.count()

    def spiking(features: int) -> Leaky:
        kind = Spoilt if next(count) == spoilt_layer else Triangle
        surrogate = kind(slope=0.5, width_fwhm=None, normalisation="peak1", scale=1.0)
        options = {"beta": 0.8, "threshold": 0.7, "reset": "subtract", "reset_gradient": "detached"}
        return Leaky(surrogate, features, learn_beta="none", learn_threshold="none", **options)

    return Mlp(
        Provided(
            INPUTS,
            CLASSES,
            spiking,
            spiking
            if readout == "leaky"
            else lambda features: LeakyReadout(features, beta=0.8, learn_beta="none"),
            Kaiming(gain=2.0, recurrent_gain=1.0),
            torch.Generator().manual_seed(4),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence="none",
        recurrence_gradient="full",
        bias=True,
    )


def make_batch(samples: int = len(LENGTHS), seed: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, samples, INPUTS, generator=random) < 0.5).double()
    lengths = torch.tensor(list(itertools.islice(itertools.cycle(LENGTHS), samples)))
    target = torch.randint(CLASSES, (samples,), generator=random)
    return Batch(x, target, lengths, torch.arange(samples))


class Spy:
    """An optimiser that moves nothing and notes the gradients of each step."""

    def __init__(self, network: Network) -> None:
        self.weights = list(network.parameters())
        self.steps: list[Tensor] = []

    def step(self) -> None:
        self.steps.append(torch.cat([weight.grad.flatten() for weight in self.weights]).clone())

    def zero_grad(self) -> None:
        for weight in self.weights:
            weight.grad = None


def step_gradient(clip_norm: float | None, network: Mlp | None = None) -> Tensor:
    """The one gradient that reaches the optimiser."""
    network = network or make_network()
    spy = Spy(network)
    TrainLoop(network, Bptt(window=None), PLAIN, clip_norm=clip_norm).train_batch(make_batch(), spy)
    (gradient,) = spy.steps
    return gradient


# --- one batch


@pytest.mark.parametrize("fraction", [1e-3, 0.3, 0.99])
def test_clipping_shortens_to_the_norm(fraction):
    """Expected: mathematics; the direction stays, the L2 norm over all weights becomes clip_norm.

    torch divides by norm + 1e-6, so the result is shorter by that part.
    """
    plain = step_gradient(None)
    clip_norm = fraction * plain.norm().item()
    clipped = step_gradient(clip_norm)
    assert clipped.norm().item() == pytest.approx(clip_norm, rel=1.1e-6 / plain.norm().item() + 1e-12)
    assert clipped.norm() <= clip_norm
    torch.testing.assert_close(clipped / clipped.norm(), plain / plain.norm(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("factor", [1.01, 100.0, 1e30])
def test_clipping_never_lengthens(factor):
    """Expected: equal bits where the gradient is already short enough."""
    plain = step_gradient(None)
    assert torch.equal(step_gradient(factor * plain.norm().item()), plain)


def test_a_gradient_of_zero_stays_zero():
    """Expected: no division by 0, with and without clipping."""
    network = make_network()
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()

    class Flat(MaxOverTime):
        def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
            return super().whole(trajectory, target) * 0

    for clip_norm in (None, 1.0):
        spy = Spy(network)
        loop = TrainLoop(network, Bptt(window=None), Objective(Flat(), NoPenalty()), clip_norm=clip_norm)
        loop.train_batch(make_batch(), spy)
        assert (spy.steps[0] == 0).all()


def test_a_step_moves_the_weights_by_the_rules_gradient():
    """Expected: plain descent w - lr g with g from autograd, also when gradients of before are still there."""
    network, batch = make_network(), make_batch()
    loss = PLAIN.whole(network.unroll(batch.x, batch.lengths), batch.target)
    slopes = torch.autograd.grad(loss, list(network.parameters()))
    expected = [
        weight.detach() - 0.1 * slope for weight, slope in zip(network.parameters(), slopes, strict=True)
    ]
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    found = TrainLoop(network, Bptt(window=None), PLAIN, clip_norm=None).train_batch(batch, optimizer)
    assert found.item() == pytest.approx(loss.item(), rel=1e-12)
    for weight, moved in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.detach(), moved, rtol=1e-12, atol=1e-14)


def test_each_yield_is_one_step_and_its_gradient_is_fresh():
    """Expected: T steps of an online rule; each sees its own gradient alone, each is clipped, losses add up."""
    network, batch = make_network(hidden=(6,)), make_batch()
    objective = Objective(PerStep(), NoPenalty())
    spy, per_sequence = Spy(network), Spy(network)
    loss = TrainLoop(network, EProp(update="per_step"), objective, clip_norm=None).train_batch(batch, spy)
    TrainLoop(network, EProp(update="per_sequence"), objective, clip_norm=None).train_batch(
        batch, per_sequence
    )
    assert len(spy.steps) == STEPS
    torch.testing.assert_close(sum(spy.steps), per_sequence.steps[0], rtol=1e-10, atol=1e-14)
    whole = objective.whole(network.unroll(batch.x, batch.lengths), batch.target)
    assert loss.item() == pytest.approx(whole.item(), rel=1e-12)
    clip_norm = max(step.norm().item() for step in spy.steps) / 2
    clipped = Spy(network)
    TrainLoop(network, EProp(update="per_step"), objective, clip_norm=clip_norm).train_batch(batch, clipped)
    assert all(step.norm() <= clip_norm for step in clipped.steps)
    assert not all(step.norm() <= clip_norm for step in spy.steps)


# --- what is not finite


def bits(network: Network) -> list[bytes]:
    """All weights, so that NaN equals itself."""
    return [weight.detach().numpy().tobytes() for weight in network.parameters()]


def assert_stops(network: Mlp, message: str, objective: Objective = PLAIN, rule: LearningRule | None = None):
    """Training raises with this message, before any weight has moved."""
    before = bits(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    loop = TrainLoop(network, rule or Bptt(window=None), objective, clip_norm=1.0)
    with pytest.raises(NonFiniteError, match=message) as caught:
        loop.train_batch(make_batch(), optimizer)
    assert "\n" not in str(caught.value)
    assert bits(network) == before
    assert not optimizer.state


@pytest.mark.parametrize("layer", [0, 1])
def test_a_gradient_that_is_not_finite_stops(layer):
    """Expected: the first layer with a bad gradient by name.

    A slope of NaN in layer k spoils the gradient of the weights into it and into the layers before it.
    """
    assert_stops(make_network(spoilt_layer=layer), "^layer 'hidden0', weight: the gradient is not finite$")


def test_the_gradient_of_a_later_layer_is_named():
    """Expected: with the first layer's weights out of training, NaN is found in the second."""
    network = make_network(spoilt_layer=1)
    for weight in network.layers[0].parameters():
        weight.requires_grad_(False)
    assert_stops(network, "^layer 'hidden1', weight: the gradient is not finite$")


@pytest.mark.parametrize(("layer", "name"), [(0, "hidden0"), (1, "hidden1"), (2, "readout")])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_stops(layer, name, value):
    """Expected: the layer whose potential it makes NaN or infinite; a NaN potential does not fire, so none later.

    The bias is used because it enters in every step.
    """
    network = make_network()
    with torch.no_grad():
        network.layers[layer].bias[0] = value
    assert_stops(network, f"^layer '{name}': the membrane potential is not finite$")


@pytest.mark.parametrize("update", ["per_sequence", "per_step"])
def test_an_online_rule_stops_as_well(update):
    """Expected: the same message, in the first step."""
    network = make_network(hidden=(6,))
    with torch.no_grad():
        network.layers[0].weight[0] = math.nan
    objective = Objective(PerStep(), NoPenalty())
    assert_stops(network, "^layer 'hidden0': the membrane", objective, EProp(update=update))


def test_a_loss_that_is_not_finite_stops():
    """Expected: the loss is named, because no layer is to blame."""
    assert_stops(make_network(), "^loss: not finite", Objective(Infinite(), NoPenalty()))


def test_evaluation_stops_at_a_bad_potential():
    """Expected: the layer's name; a NaN neuron would just be silent and the loss finite."""
    network = make_network()
    with torch.no_grad():
        network.layers[1].weight[0] = math.nan
    loop = TrainLoop(network, Bptt(window=None), PLAIN, clip_norm=None)
    with pytest.raises(NonFiniteError, match=r"^layer 'hidden1'"):
        loop.evaluate(make_batch())


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


# --- the best epoch


def run_through(best: BestEpoch, losses: list[float], accuracies: list[float]) -> Iterator[tuple[bool, bool]]:
    """Whether each epoch is the best so far, and whether to stop after it; epoch k has weights k."""
    network = make_network()
    for epoch, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True)):
        with torch.no_grad():
            for weight in network.parameters():
                weight.fill_(float(epoch))
        scores = {"validation_loss": loss, "validation_accuracy": accuracy, "train_loss": -float(epoch)}
        yield best.update(epoch, scores, network), best.should_stop


LOSSES = [0.9, 0.7, 0.7, 0.8, 0.6, 0.6, 0.65]
ACCURACIES = [0.5, 0.5, 0.8, 0.7, 0.8, 0.8, 0.1]


@pytest.mark.parametrize(
    ("monitor", "better", "value"),
    [("validation_loss", [0, 1, 4], 0.6), ("validation_accuracy", [0, 2], 0.8)],
)
def test_the_best_epoch_is_the_first_of_equals(monitor, better, value):
    """Expected by hand: the least loss is first in epoch 4, the largest accuracy in epoch 2; weights are kept."""
    best = BestEpoch(monitor, None)
    found = [is_best for is_best, _ in run_through(best, LOSSES, ACCURACIES)]
    assert [epoch for epoch, is_best in enumerate(found) if is_best] == better
    assert (best.epoch, best.value) == (better[-1], value)
    assert all((weight == better[-1]).all() for weight in best.weights.values())
    assert set(best.weights) == set(make_network().state_dict())


@pytest.mark.parametrize(("patience", "stops_after"), [(1, 2), (2, 3), (3, None), (None, None)])
def test_patience_counts_epochs_without_improvement(patience, stops_after):
    """Expected by hand, for losses .9 .7 .7 .8 .6 .6 .65: an equal epoch is no improvement.

    Patience 1 ends after epoch 2, 2 after epoch 3; 3 would end after epoch 4, which is better.
    """
    stops = [stop for _, stop in run_through(BestEpoch("validation_loss", patience), LOSSES, ACCURACIES)]
    assert (stops.index(True) if True in stops else None) == stops_after


def test_the_selection_goes_on_from_a_checkpoint():
    """Expected: interrupted after any epoch, state and decisions are those of an undisturbed run."""
    undisturbed = BestEpoch("validation_loss", 2)
    expected = list(run_through(undisturbed, LOSSES, ACCURACIES))
    for cut in range(len(LOSSES)):
        first, second = BestEpoch("validation_loss", 2), BestEpoch("validation_loss", 2)
        found = list(run_through(first, LOSSES[:cut], ACCURACIES[:cut]))
        second.load_state_dict(first.state_dict())
        assert second.should_stop == first.should_stop
        later = zip(LOSSES, ACCURACIES, strict=True)
        for epoch, (loss, accuracy) in itertools.islice(enumerate(later), cut, None):
            network = make_network()
            with torch.no_grad():
                for weight in network.parameters():
                    weight.fill_(float(epoch))
            scores = {"validation_loss": loss, "validation_accuracy": accuracy}
            found.append((second.update(epoch, scores, network), second.should_stop))
        assert found == expected
        assert (second.epoch, second.value) == (undisturbed.epoch, undisturbed.value)
        for name, weight in undisturbed.weights.items():
            assert torch.equal(second.weights[name], weight)


def test_kept_weights_do_not_follow_the_network():
    """Expected: copies; training on in place leaves the best weights as they were."""
    network, best = make_network(), BestEpoch("validation_loss", None)
    best.update(0, {"validation_loss": 1.0}, network)
    kept = {name: weight.clone() for name, weight in best.weights.items()}
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    assert all(torch.equal(best.weights[name], weight) for name, weight in kept.items())


# --- activity and scores


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
    with pytest.raises(SgbenchError, match=r"^a metric could not be computed: ") as caught:
        Evaluation(make_network(), dt_s=0.001).scores()
    assert "\n" not in str(caught.value)


def test_a_rule_without_any_gradient_is_no_error():
    """Expected: a rule that yields without gradients (nothing depends on the weights) leaves them as they are."""

    class Idle(LearningRule):
        def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
            yield Progress(torch.zeros(()), network.unroll(batch.x, batch.lengths))

    network = make_network()
    before = bits(network)
    loop = TrainLoop(network, Idle(), PLAIN, clip_norm=1.0)
    assert loop.train_batch(make_batch(), torch.optim.SGD(network.parameters(), lr=1.0)) == 0
    assert bits(network) == before
