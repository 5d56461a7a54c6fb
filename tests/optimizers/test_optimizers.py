"""Optimisers of our own, and those of torch that entries name."""

import math

import pytest
import torch

from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.optimizers.smorms3 import Smorms3
from sgbench.replicas.batched_optimizer import batched_optimizer_of
from sgbench.training.build import build


def by_hand(gradients: list[float], lr: float, eps: float) -> list[float]:
    """Weights of one number that starts at 0, the recursion of Funk's page in plain Python."""
    weight, memory, mean, square, found = 0.0, 1.0, 0.0, 0.0, []
    for gradient in gradients:
        rate = 1 / (memory + 1)
        mean = (1 - rate) * mean + rate * gradient
        square = (1 - rate) * square + rate * gradient**2
        agreement = mean**2 / (square + eps)
        weight -= gradient * min(lr, agreement) / (math.sqrt(square) + eps)
        memory = 1 + memory * (1 - agreement)
        found.append(weight)
    return found


def test_smorms3_equals_its_recursion():
    """Expected: the plain recursion for each of two weights, gradients of one sign and of both."""
    courses = [[0.5, 0.4, 0.6, 0.5, 0.3], [0.5, -0.4, 0.6, -0.5, 0.3]]
    weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = Smorms3([weight], lr=0.05, eps=1e-16)
    found = []
    for gradient in zip(*courses, strict=True):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        found.append(weight.tolist())
    expected = zip(*(by_hand(course, 0.05, 1e-16) for course in courses), strict=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)
    assert abs(found[-1][1]) < abs(found[-1][0])  # gradients that disagree move less


def test_smorms3_goes_on_from_its_state():
    """Expected: the bits of an uninterrupted course, from a checkpoint after two steps; without it, others."""
    gradients = [torch.tensor([g, -2 * g]) for g in (0.5, 0.1, -0.3, 0.2)]

    def course(stop: int | None, *, keep: bool = True) -> list[float]:
        weight = torch.nn.Parameter(torch.zeros(2))
        optimizer = Smorms3([weight], lr=0.5, eps=1e-16)
        for step, gradient in enumerate(gradients):
            if step == stop:
                state = optimizer.state_dict()
                optimizer = Smorms3([weight], lr=0.5, eps=1e-16)
                if keep:
                    optimizer.load_state_dict(state)
            weight.grad = gradient
            optimizer.step()
        return weight.tolist()

    assert course(None) == course(2)
    assert course(None) != course(2, keep=False)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [({"lr": -1.0, "eps": 1e-16}, r"optimizer\.lr=-1"), ({"lr": 0.1, "eps": 0.0}, r"optimizer\.eps=0")],
)
def test_smorms3_refuses_bad_numbers(numbers, message):
    """Expected: one line that names the option."""
    with pytest.raises(InputError, match=message):
        Smorms3([torch.nn.Parameter(torch.zeros(1))], **numbers)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["adamax", "smorms3"])
def test_entries_move_weights(name):
    """Expected: every weight with a gradient moves; by lr at Adamax's first step (Kingma & Ba, section 7.1)."""
    parts = build(compose([f"optimizer={name}", "optimizer.lr=0.01"]))
    weight = parts.network.readout.weight
    before = weight.detach().clone()
    for each in parts.network.parameters():
        each.grad = torch.ones_like(each)
    parts.optimizer.step()
    moved = (before - weight.detach()).abs()
    assert moved.min() > 0
    if name == "adamax":
        torch.testing.assert_close(moved, torch.full_like(moved, 0.01), rtol=1e-3, atol=0)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("fused", ["null", "true"])
def test_a_gradient_that_lies_otherwise_than_its_weight(fused):
    """Expected: Adam's first step by hand, lr sign(g), where weights lie by columns and gradients by rows.

    Must differ: torch's loop by itself, which takes for granted that both lie alike.
    """
    parts = build(compose(["protocol.hidden=[5]", "optimizer.lr=0.25", f"optimizer.fused={fused}"]))
    weight = parts.network.layers[0].weight
    weight.data = weight.detach().T.contiguous().T
    before = weight.detach().clone()
    given = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=weight.dtype)
    weight.grad = given.contiguous()
    assert weight.grad.stride() != weight.stride()
    parts.optimizer.step()
    torch.testing.assert_close(before - weight.detach(), 0.25 * given.sign(), rtol=0, atol=1e-4)

    plain = torch.nn.Parameter(before.T.contiguous().T)
    plain.grad = given.contiguous()
    torch.optim.Adam([plain], lr=0.25, fused=True).step()
    assert (before - plain.detach() - 0.25 * given.sign()).abs().max() > 0.1


def as_in_torch_2_6(kind):
    """A class with the arguments and defaults of torch 2.6, which do not say `decoupled_weight_decay`."""

    class Old(kind):
        def __init__(
            self, params, *, lr, betas, eps, weight_decay, amsgrad, foreach, maximize, capturable,
            differentiable, fused,
        ):  # fmt: skip
            forms = {"foreach": foreach, "maximize": maximize, "capturable": capturable, "fused": fused}
            super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **forms, differentiable=differentiable)
            self.defaults.pop("decoupled_weight_decay", None)

    Old.__name__ = kind.__name__
    return Old


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("decoupled", "name"), [(False, "Adam"), (True, "AdamW")])
def test_torch_without_decoupled_decay_says_it_by_the_class(decoupled, name, monkeypatch):
    """Expected: Adam or AdamW, as torch 2.6 tells them apart, with the settings that were asked for."""
    words = ["optimizer.weight_decay=0.1", f"optimizer.decoupled_weight_decay={decoupled}"]
    asked = {"decoupled_weight_decay": decoupled, **build(compose(words)).optimizer.defaults}
    assert asked["decoupled_weight_decay"] is decoupled
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        monkeypatch.setattr(torch.optim, kind.__name__, as_in_torch_2_6(kind))
    optimizer = build(compose(words)).optimizer
    assert type(optimizer).__name__ == name
    assert {**optimizer.defaults, "decoupled_weight_decay": decoupled} == asked
    assert batched_optimizer_of([optimizer]).numbers == [asked]  # what replicas step by
