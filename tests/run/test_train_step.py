"""One training step: its gradient, its clipping, and that anything that is not finite stops it.

Legend: T steps, B batch, N neurons, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.errors import NonFiniteError
from sgbench.losses.max_over_time import MaxOverTime
from sgbench.losses.per_step import PerStep
from sgbench.networks.base import Network
from sgbench.networks.mlp import Mlp
from sgbench.normalisations.batch_norm import BatchNorm
from sgbench.optimizers.sam import Sam
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import LearningRule, Objective, Progress
from sgbench.rules.bptt import Bptt
from sgbench.rules.eprop import EProp
from sgbench.training.train_step import Accumulation, TrainLoop
from tests.messages import raises_naming
from tests.run.two_layers import STEPS, make_batch, make_network

PLAIN = Objective(loss=MaxOverTime(), regulariser=NoPenalty())


class Infinite(MaxOverTime):
    """A loss that overflows although every potential is finite."""

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        return super().whole(trajectory, target) * math.inf


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
    expected = [weight.detach() - 0.1 * slope for weight, slope in zip(network.parameters(), slopes, strict=True)]
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
    TrainLoop(network, EProp(update="per_sequence"), objective, clip_norm=None).train_batch(batch, per_sequence)
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


# --- the second look of SAM


def test_running_statistics_survive_a_second_gradient_that_is_not_finite():
    """Expected: those of the first pass to the bit and finite; weights as before; the layer by name."""
    network = make_network()
    normaliser = BatchNorm(momentum=0.1, epsilon=1e-5).of(network.layers[0]).double()
    network.layers[0].normaliser = normaliser

    class SecondSpoilt(Bptt):
        """The gradient of a second look overflows, once its pass has moved the statistics."""

        looks = 0

        def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
            for progress in super().gradients(network, batch, objective):
                self.looks += 1
                seen.append([buffer.clone() for buffer in network.buffers()])
                if self.looks == 2:
                    network.readout.weight.grad.fill_(math.inf)
                yield progress

    seen: list[list[Tensor]] = []
    numbers = {"weight_decay": 0.0, "betas": None, "eps": None, "momentum": None}
    optimizer = Sam(network.parameters(), base="sgd", rho=0.5, adaptive=False, lr=0.1, **numbers)
    before = bits(network)
    loop = TrainLoop(network, SecondSpoilt(window=None), PLAIN, clip_norm=1.0)
    with raises_naming(NonFiniteError, "'readout'", "weight", "gradient"):
        loop.train_batch(make_batch(), optimizer, twice=True)
    first, second = seen
    assert not all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert normaliser.running_mean.isfinite().all()
    assert normaliser.running_var.isfinite().all()
    for found, expected in zip(network.buffers(), first, strict=True):
        assert torch.equal(found, expected)
    assert bits(network) == before


# --- gradients of several batches


@pytest.mark.parametrize(("gradients", "mean"), [((1e38, 1e38), 1e38), ((3e38, -3e38), 1e38)])
def test_the_mean_of_gradients_is_no_larger_than_they_are(gradients, mean):
    """Expected by hand in float32, whose largest number is 3.4e38: 4 and 2 samples, so (4 a + 2 b) / 6."""
    weight = torch.nn.Parameter(torch.zeros(1))
    both = Accumulation([weight])
    for samples, gradient in zip((4, 2), gradients, strict=True):
        weight.grad = torch.tensor([gradient])
        norm = both.add(samples, due=samples == 2)
    assert weight.grad.item() == pytest.approx(mean, rel=1e-6)
    assert norm.item() == pytest.approx(mean, rel=1e-6)


def test_a_weight_without_a_gradient_counts_as_zero():
    """Expected by hand: 0 of 3 samples, 6 of 1 and 0 of 2 are 1 on the mean."""
    weight = torch.nn.Parameter(torch.zeros(1))
    both = Accumulation([weight])
    for samples, gradient in ((3, None), (1, torch.tensor([6.0])), (2, None)):
        weight.grad = gradient
        both.add(samples, due=samples == 2)
    assert weight.grad.item() == pytest.approx(1.0, rel=1e-6)


def test_an_error_forgets_the_batches_before_it():
    """Must match: after a batch that is not finite, a step is made of the batches that follow, to the bit."""
    network, expected = make_network(), step_gradient(None)
    loop = TrainLoop(network, Bptt(window=None), PLAIN, clip_norm=None, accumulates=True)
    spy = Spy(network)
    loop.train_batch(make_batch(seed=2), spy, due=False)
    loop.objective = Objective(Infinite(), NoPenalty())
    with pytest.raises(NonFiniteError):
        loop.train_batch(make_batch(), spy, due=False)
    loop.objective = PLAIN
    loop.train_batch(make_batch(), spy, due=True)
    (found,) = spy.steps
    assert torch.equal(found, expected)


def test_a_mean_that_is_not_finite_stops_before_the_step():
    """Expected: the layer by name, nothing stepped and nothing kept."""
    network = make_network()
    loop = TrainLoop(network, Bptt(window=None), PLAIN, clip_norm=1.0, accumulates=True)
    spy = Spy(network)
    loop.train_batch(make_batch(), spy, due=False)
    loop.accumulation.means[0].fill_(math.inf)
    with raises_naming(NonFiniteError, "'hidden0'", "weight", "gradient"):
        loop.train_batch(make_batch(), spy, due=True)
    assert not spy.steps
    assert loop.accumulation.means == [None] * len(loop.accumulation.weights)
