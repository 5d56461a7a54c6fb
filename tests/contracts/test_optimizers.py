"""What every optimiser of the catalogue keeps: a first step downhill, its own state, and its stacked form."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.replicas.batched_optimizer import KINDS, batched_optimizer_of
from sgbench.replicas.grouping import why_alone
from sgbench.training.build import optimizer_of
from tests.entries import spec_with

NAMES = tuple(catalogue.paths("optimizer"))
every = pytest.mark.parametrize("name", NAMES)
GRADIENTS = torch.tensor([0.5, -2.0, 1e-3, 30.0, -0.25], dtype=torch.float64)
TEXTBOOK = {
    "torch.optim.Adam": lambda g, lr: -lr * g.sign(),  # Kingma & Ba 2015: both moments are of one gradient
    "sgbench.optimizers.sam.Sam": lambda g, lr: -lr * g.sign(),  # Adam's, as gradients are alike everywhere
    "torch.optim.Adamax": lambda g, lr: -lr * g.sign(),
    "torch.optim.SGD": lambda g, lr: -lr * g,
    # Funk 2015: r = 1/2, so g = d/2 and v = d^2/2, of which x = 1/2
    "sgbench.optimizers.smorms3.Smorms3": lambda g, lr: -math.sqrt(2) * min(lr, 0.5) * g.sign(),
}
"""The first step from a gradient g, by hand."""


def optimizer(name: str, *weights: Tensor) -> torch.optim.Optimizer:
    """Return an entry with the values of its file over these weights."""
    parameters = [weight for weight in weights if isinstance(weight, torch.nn.Parameter)]
    return optimizer_of(spec_with({"optimizer": name}), parameters, torch.device("cpu"))


def course(steps: int, seed: int = 0) -> list[Tensor]:
    """Return random gradients of five weights."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(5, generator=random, dtype=torch.float64) for _ in range(steps)]


def moved(name: str, gradients: list[Tensor]) -> Tensor:
    """Return where five weights from 0 are after steps with these gradients, which are alike at all weights."""
    weight = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    own = optimizer(name, weight)
    for gradient in gradients:
        weight.grad = gradient.clone()
        own.step(lambda: None)
    return weight.detach()


@pytest.mark.one_in(3)
@every
def test_the_first_step_goes_downhill(name: str) -> None:
    """Expected: each weight moves against its gradient, alike for a turned sign; by the textbook where known."""
    step = moved(name, [GRADIENTS])
    assert torch.equal(step.sign(), -GRADIENTS.sign())
    torch.testing.assert_close(moved(name, [-GRADIENTS]), -step, rtol=1e-12, atol=0)
    formula = TEXTBOOK.get(str(catalogue.entry("optimizer", name).target))
    if formula is not None:
        expected = formula(GRADIENTS, spec_with({"optimizer": name}).method.parameters["optimizer"]["lr"])
        torch.testing.assert_close(step, expected, rtol=2e-5, atol=0)


@pytest.mark.one_in(3)
@every
def test_weights_move_by_their_own_gradients(name: str) -> None:
    """Expected: turned weights take turned courses; one without gradient keeps its bytes."""
    gradients = course(4)
    straight = moved(name, gradients)
    turned = moved(name, [gradient.flip(0) for gradient in gradients]).flip(0)
    torch.testing.assert_close(turned, straight, rtol=1e-12, atol=0)
    still = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    learning = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    own = optimizer(name, still, learning)
    learning.grad = torch.ones_like(learning)
    own.step(lambda: None)
    assert torch.equal(still, torch.ones_like(still))
    assert (learning != 1).all()


@pytest.mark.one_in(3)
@every
def test_it_goes_on_from_its_state(name: str) -> None:
    """Expected: after two of five steps, a copy from `state_dict` takes the bytes of the course that goes on."""
    gradients = course(5)
    weight = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    own = optimizer(name, weight)
    for place, gradient in enumerate(gradients):
        if place == 2:
            state = copy.deepcopy(own.state_dict())
            weight = torch.nn.Parameter(weight.detach().clone())
            own = optimizer(name, weight)
            own.load_state_dict(state)
        weight.grad = gradient.clone()
        own.step(lambda: None)
    assert torch.equal(weight, moved(name, gradients))


@every
def test_replicas_know_it_or_say_why_not(name: str) -> None:
    """Expected: a stacked form moves each of two rows as a row alone, to rounding; others stay alone."""
    spec = spec_with({"optimizer": name})
    target = spec.targets["optimizer"]
    assert (why_alone(spec) is None) == (target in KINDS)
    if target not in KINDS:
        assert target in str(why_alone(spec))
        return
    own = optimizer(name, torch.nn.Parameter(torch.zeros(1)))
    stacked = batched_optimizer_of([own, own])
    values = torch.zeros(2, 5, dtype=torch.float64)
    stacked.begin(values)
    courses = course(4), course(4, seed=1)
    for gradients in zip(*courses, strict=True):
        stacked.step(values, torch.stack(gradients), None, [0, 1])
    for row, gradients in zip(values, courses, strict=True):
        torch.testing.assert_close(row, moved(name, gradients), rtol=1e-13, atol=0)
