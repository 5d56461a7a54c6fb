"""Neurons of a user who has nothing but torch: what an adapter says of them is all that a replay knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fastspiking.replay
from fastspiking.replay.neurons import NeuronAdapter, NeuronLayer, WeightedNeurons
from fastspiking.replay.plan import Plan
from fastspiking.replay.record import Recorded, record
from fastspiking.replay.simplify import simplify
from fastspiking.replay.verify import NetworkState, difference
from tests.fastspiking.test_alone import Leaky, State, Triangle

T, B, N, H, C = 6, 3, 16, 8, 4


class Holding(nn.Module):
    """The neurons of `Leaky`, called as a module: they hold their potential in `v`, and their last spikes in `z`."""

    def __init__(self) -> None:
        super().__init__()
        self.surrogate, self.decay = Triangle(), 0.9
        self.register_buffer("v", torch.zeros(0, dtype=torch.float64))
        INSTANCES.append(self)

    def forward(self, current: Tensor, v: Tensor | None = None) -> Tensor:
        self.v = self.v if v is None else v
        if self.v.shape != current.shape:
            self.v = torch.zeros_like(current)
        self.z = self.surrogate(self.v - 1.0).detach()
        self.v = self.decay * self.v - self.z + current
        return self.surrogate(self.v - 1.0)  # type: ignore[no-any-return]


INSTANCES: list[nn.Module] = []


class Held(Leaky):
    """What the engine runs for `Holding`."""

    def state(self, held: tuple[Tensor, ...]) -> State:
        return State(*held, (held[0] > 1).to(held[0].dtype))


class HoldingLayer(NeuronLayer):
    """Neurons that hold their state, by the step of `Leaky`."""

    def __init__(self, name: str, module: nn.Module, features: Sequence[int]) -> None:
        self.name, self.features, self.neuron = name, torch.Size(features), Held(linear=True)

    def layer(self, module: Any, weight: Tensor | None, bias: Tensor | None) -> WeightedNeurons:
        return WeightedNeurons(self.name, self.neuron, weight, bias)

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        return output, None if centred is None else centred + 1.0


ADAPTER = NeuronAdapter(
    has_step=lambda module: isinstance(module, Leaky),
    state_fields=lambda module: {"v": "u"} if isinstance(module, Holding) else {},
    layer=HoldingLayer,
    all_neurons=lambda: INSTANCES,
    set_to_rest=lambda module: module.v.zero_(),
)


class Network(nn.Module):
    """Neurons that hold their state, and neurons with a `step`, each behind weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(N, H).double(), nn.Linear(H, C).double()
        self.held, self.stepped = Holding(), Leaky(linear=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes, potentials, state = [], [], None
        for now in x:
            current = self.fc2(self.held(self.fc1(now)))
            state = self.stepped.initial_state(current) if state is None else state
            s, state = self.stepped.step(current, state)
            spikes.append(s)
            potentials.append(self.held.v)
        return torch.stack(spikes), torch.stack(potentials)


def events(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(T, B, N, generator=draw) < 0.5).double() * 3


@pytest.fixture
def recorded() -> tuple[Network, Recorded]:
    """A network, and the record of a call of it."""
    torch.manual_seed(0)
    INSTANCES.clear()
    network = Network()
    before = NetworkState(network, ADAPTER)
    found = record(network, (events(0),), {}, ADAPTER)
    before.put_back()
    return network, found


def test_own_neurons_run_on_the_engine(recorded: tuple[Network, Recorded]) -> None:
    """Must match: the network's own spikes, potentials, last state and gradients, for another input and weights."""
    network, (_, trace, guards, failed) = recorded
    assert failed == ""
    simplify(trace)
    plan = Plan(network, trace, "auto", ADAPTER)
    assert [(run.name, run.is_step_by_step) for run in plan.describe()] == [("held", False), ("stepped", False)]
    with torch.no_grad():
        network.fc1.weight.mul_(1.5)
    x = events(1)
    assert guards.changed() == ""
    found, writes = plan.run([x], guards.fetch)
    expected = network(x)
    assert 0.02 < expected[0].mean() < 0.9
    assert difference(expected, found, [*network.parameters()]) == ""
    torch.testing.assert_close(writes["held", "v"], network.held.v, rtol=1e-12, atol=1e-12)


def test_neurons_with_a_step_need_no_more_than_to_be_known() -> None:
    """Must match: spikes of a network without any other neurons, by an adapter that says which these are."""

    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(N, H).double(), Leaky(linear=True)

        def forward(self, x: Tensor) -> Tensor:
            out, state = [], self.lif.initial_state(self.fc(x[0]))
            for now in x:
                s, state = self.lif.step(self.fc(now), state)
                out.append(s)
            return torch.stack(out)

    torch.manual_seed(0)
    network, adapter = Stepped(), NeuronAdapter(has_step=lambda module: isinstance(module, Leaky))
    _, trace, guards, failed = record(network, (events(0),), {}, adapter)
    assert failed == ""
    simplify(trace)
    plan = Plan(network, trace, "auto", adapter)
    assert [run.is_step_by_step for run in plan.describe()] == [False]
    found, _ = plan.run([events(1)], guards.fetch)
    assert 0.02 < found.mean() < 0.9
    assert difference(network(events(1)), found, [*network.parameters()]) == ""


def test_what_decides_how_neurons_run_is_guarded(recorded: tuple[Network, Recorded]) -> None:
    """Must differ: another decay of neurons that hold their state."""
    network, found = recorded
    assert found.guards.changed() == ""
    network.held.decay = 0.5
    assert found.guards.changed() == "held"


def test_a_replay_knows_no_library_of_neurons() -> None:
    """Must differ: a name of snnTorch, or of what is built on the engines, anywhere in the code."""
    texts = [path.read_text().lower() for path in Path(str(fastspiking.replay.__file__)).parent.glob("*.py")]
    assert len(texts) > 10
    assert not [word for word in ("snntorch", "sgbench", "catalogue", "accelerate") for text in texts if word in text]
