"""Numbers that move between passes: the loops take those of this pass, however somebody has moved them.

Expected: the numbers of the reference, which calls the step each time, before a move and after; and that they move.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastspiking import generated
from fastspiking.choose import Engine
from fastspiking.codegen.program import record
from fastspiking.codegen.snapshot import Snapshot
from sgbench.composition import catalogue
from sgbench.neurons.quantity import Number
from sgbench.yours.custom import CustomSurrogate
from tests.fastspiking.cases import Given, Wired, assert_same, error, neuron, result
from tests.fastspiking.test_networks import Saturating, SaturatingState

X = torch.linspace(-1, 2, 24, dtype=torch.float64).view(4, 2, 3)
ALL = list(catalogue.entries("neuron"))
WORLD = SimpleNamespace(gain=1.0)
"""What a step of somebody's own may read from a module."""


class Own(Saturating):
    """Reads numbers from wherever somebody may keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.leak, self.parts, self.box = 0.5, {"gain": [1.0]}, SimpleNamespace(offset=0.25)
        self.tensor = torch.tensor(1.0, dtype=torch.float64)
        self.register_buffer("shift", torch.zeros(3, dtype=torch.float64))
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.choose: Callable[[], float] = lambda: 1.0

    def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
        scaled = self.leak * current * self.parts["gain"][0] * self.tensor * WORLD.gain * self.choose()
        return super().step(scaled * self.weight.square() + self.shift + self.box.offset, state)


def u_of(engine: str, layer: Any, *, learns: bool = False, scale: float = 1.0) -> Tensor:
    """Potentials, in training or in validation."""
    with torch.set_grad_enabled(learns):
        found = Engine(engine).unroll([layer], scale * X, keep_u=True)[0].u
    assert found is not None
    return found.detach()


def set_anew(own: Own) -> None:
    own.tensor = torch.tensor(1.5, dtype=torch.float64)


def swapped(own: Own) -> None:
    own.choose = lambda: 1.5


def by_adam(own: Any) -> None:
    """As a run's optimiser does on a CPU: `_version` stays where it is."""
    optimizer = torch.optim.Adam([own.weight], lr=0.1, fused=True)
    own.weight.grad = torch.ones_like(own.weight)
    before = own.weight._version
    optimizer.step()
    assert own.weight._version == before


def as_a_row(own: Any) -> None:
    """As replicas do: the parameter shows a row of a matrix that an optimiser moves."""
    stack = torch.stack([own.weight.detach(), own.weight.detach()])
    own.weight.data = stack[1]
    stack.mul_(1.5)


MOVES: dict[str, Callable[[Own], object]] = {
    "attribute": lambda own: setattr(own, "leak", 0.75),
    "list in a dictionary": lambda own: own.parts["gain"].__setitem__(0, 1.5),
    "attribute of an object": lambda own: setattr(own.box, "offset", 0.5),
    "buffer in place": lambda own: own.shift.add_(0.25),
    "tensor set anew": set_anew,
    "function": swapped,
    "module": lambda _: setattr(WORLD, "gain", 1.5),
    "fused Adam": by_adam,
    "row of replicas": as_a_row,
}


@pytest.mark.one_in(5)
@pytest.mark.parametrize("how", MOVES)
@pytest.mark.parametrize("learns", [False, True])
def test_whatever_moves_a_number_is_seen_by_the_next_pass(how, learns, monkeypatch):
    """Expected: the reference's potentials before and after; a half of the same number moved, so others after."""
    monkeypatch.setattr(WORLD, "gain", 1.0)
    own = Own()
    layer = Given(own)
    before = u_of("generated", layer, learns=learns)
    assert error(before, u_of("reference", layer)) <= 1e-12
    MOVES[how](own)
    after = u_of("generated", layer, learns=learns)
    assert error(after, u_of("reference", layer)) <= 1e-12
    assert error(after, before) > 1e-3


def parameter_anew(izhikevich: Any) -> None:
    izhikevich.rate.logit = nn.Parameter(izhikevich.rate.logit.detach() + 0.5)


OURS: dict[str, Callable[[Any], object]] = {
    "attribute": lambda neuron: setattr(neuron, "curvature", 2.5),
    "attribute of an object": lambda neuron: setattr(neuron.next_potential, "to", 0.25),
    "parameter in place": lambda neuron: neuron.rate.logit.data.add_(0.5),
    "parameter set anew": lambda neuron: setattr(neuron.rate, "logit", nn.Parameter(neuron.rate.logit.detach() + 0.5)),
    "fused Adam": lambda neuron: by_adam(SimpleNamespace(weight=neuron.rate.logit)),
    "row of replicas": lambda neuron: as_a_row(SimpleNamespace(weight=neuron.rate.logit)),
    "another object in its place": lambda neuron: setattr(neuron, "b", Number("b", 2.0)),
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that a step is written down for a pass."""
    count: list[int] = []

    def counted(*given: Any, **named: Any) -> Any:
        count.append(1)
        return record(*given, **named)

    monkeypatch.setattr(generated, "record", counted)
    return count


@pytest.mark.parametrize("how", OURS)
def test_a_step_of_ours_is_recalled_only_while_all_is_the_same(how, written):
    """Expected: written once in three passes, once more after a move; the reference's potentials each time."""
    layer = Given(neuron("izhikevich", 3, learn="per_neuron"))
    first = [u_of("generated", layer, scale=20) for _ in range(3)][-1]
    assert len(written) == 1
    OURS[how](layer.neuron)
    later = [u_of("generated", layer, scale=20) for _ in range(3)][-1]
    assert len(written) == 2
    assert error(first, later) > 1e-3
    assert error(later, u_of("reference", layer, scale=20)) <= 1e-12


def test_a_function_of_ours_that_somebody_replaces_is_seen(monkeypatch):
    """Expected: the reference's potentials before and after a class of ours got another function."""
    layer = Given(neuron("izhikevich", 3))
    before = u_of("generated", layer, scale=20)
    monkeypatch.setattr(type(layer.neuron), "flow", lambda self, u, threshold: 0.5 * u)
    after = u_of("generated", layer, scale=20)
    assert error(after, before) > 1e-3
    assert error(after, u_of("reference", layer, scale=20)) <= 1e-12


def test_a_step_of_somebodys_own_is_written_anew_in_each_pass(written):
    """Expected: one count a pass, though nothing has moved; and nothing of ours is taken for that."""
    layer = Given(Own())
    for _ in range(3):
        u_of("generated", layer)
    assert len(written) == 3
    for kind in ALL:
        assert Snapshot(neuron(kind, 3)).is_ours, kind
    assert not Snapshot(neuron("qif", 3, surrogate=CustomSurrogate(torch.ones_like))).is_ours


def test_numbers_on_the_way_back_too():
    """Expected: another slope after the surrogate's stretch moved, that of the reference."""
    layer = Given(Own())
    first = result("generated", [layer], X)
    layer.neuron.surrogate.stretch = 2.0
    second = result("generated", [layer], X)
    assert_same(second, result("reference", [layer], X))
    assert error(second.gradients["input"], first.gradients["input"]) > 1e-3


def test_a_new_tensor_is_never_mistaken_for_one_that_is_gone():
    """Expected: the reference's potentials in 40 passes, each with a tensor that may lie where the last did."""
    own = Own()
    for turn in range(40):
        own.tensor = torch.tensor(1 + turn / 39, dtype=torch.float64)
        assert error(u_of("generated", Given(own)), u_of("reference", Given(own))) <= 1e-12, turn


def test_recurrent_weights_behind_a_mask():
    """Expected: the reference's potentials after V moved and nothing of the neuron; other ones than before."""
    layer = Wired(3, neuron("dh_lif", 3), 3, gain=3.0, wiring=("one_to_one", "full"))
    layer.recurrent_mask.copy_(torch.arange(layer.recurrent_mask.numel()) % 2 == 0)
    before = u_of("generated", layer)
    layer.recurrent.data.mul_(-2)
    after = u_of("generated", layer)
    assert error(after, u_of("reference", layer)) <= 1e-12
    assert error(after, before) > 1e-3


@pytest.mark.parametrize("kind", ["noisy", "escape_noise"])
def test_what_draws_or_learns_is_written_anew(kind):
    """Expected: other noise in the next pass; other outputs after a learnt number moved."""
    layer = Given(neuron(kind, 3, learn="shared"))
    runs = [Engine("generated").unroll([layer], X, keep_u=True)[0].u for _ in range(2)]
    assert kind == "escape_noise" or not torch.equal(*runs)
    for parameter in layer.neuron.parameters():
        parameter.data += 0.1
    assert not torch.equal(Engine("generated").unroll([layer], X, keep_u=True)[0].u, runs[1])


# --- what changes within a step


class Restless(Saturating):
    """Does what a step may do only on the reference."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.box, self.begun = how, SimpleNamespace(count=0), False
        self.weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.stream = torch.Generator().manual_seed(0)

    def step(self, current: Tensor, state: SaturatingState) -> tuple[Tensor, SaturatingState]:
        if self.how == "row":
            row = torch.arange(3.0, dtype=torch.float64)
            current = current + row
            row += 1
            current = current + row
        if self.how == "learnt row":
            row = self.weight + 1
            current = current + row
            row += 1
            current = current + row
        if self.begun and self.how == "count":
            self.box.count += 1
            current = current * self.box.count
        if self.begun and self.how == "parameter":
            with torch.no_grad():
                self.weight += 1
            current = current * self.weight.detach()
        if self.how == "torch":
            current = current + torch.rand(3, dtype=torch.float64)
        if self.how == "own stream":
            current = current + torch.rand(3, dtype=torch.float64, generator=self.stream)
        if self.how == "python":
            current = current + random.random()  # noqa: S311 - as somebody's step may
        if self.how == "numpy":
            current = current + np.random.rand()  # noqa: NPY002 - likewise
        return super().step(current, state)


REFUSED = {
    "row": None,
    "learnt row": "changes a tensor in place that it has used",
    "count": "keeps 'count' on itself",
    "parameter": "keeps 'weight' on itself",
    "torch": "draws numbers by itself",
    "own stream": "draws numbers by itself",
    "python": "draws numbers by itself",
    "numpy": "draws numbers by itself",
}


@pytest.mark.parametrize(("how", "reason"), REFUSED.items())
def test_what_a_step_does_each_time_is_done_each_time(how, reason):
    """Expected: the reference's potentials, from the same streams and counts, also where a step begins it later."""
    found = []
    for engine in ("auto", "reference"):
        layer = Given(Restless(how))
        u_of(engine, layer)  # before it begins
        layer.neuron.begun = True
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - the stream in question
        torch.manual_seed(0)
        layer.neuron.stream.manual_seed(0)
        found.append(u_of(engine, layer))
    assert error(*found) <= 1e-12
    layer.neuron.begun = True
    if reason is None:
        assert Engine("auto").pick(layer)[0] == "generated"
    else:
        assert reason in Engine("auto").pick(layer)[1]
        assert Engine("auto").pick(layer)[0] == "reference"
