"""A snnTorch network on our engine: its own spikes, potentials and gradients, or the reason why not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.neurons.leaky import Leaky
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.triangle import Triangle
from sgbench.yours.accelerate import accelerate
from tests.messages import raises_naming

STEPS, BATCH, INPUTS = 25, 3, 12
Make = Callable[[], list[nn.Module]]
CHAINS: dict[str, Make] = {
    "leaky": lambda: [nn.Linear(12, 9), snn.Leaky(0.9), nn.Linear(9, 4), snn.Leaky(0.8)],
    "synaptic, a readout without reset": lambda: [
        nn.Linear(12, 9, bias=False),
        snn.Synaptic(0.8, 0.9, threshold=0.4, spike_grad=surrogate.fast_sigmoid(10)),
        nn.Linear(9, 4),
        snn.Leaky(0.8, reset_mechanism="none"),
    ],
    "all to all": lambda: [
        nn.Linear(12, 9),
        snn.RLeaky(0.9, linear_features=9, threshold=0.3, spike_grad=surrogate.sigmoid(1)),
        nn.Linear(9, 4),
        snn.Leaky(0.8),
    ],
    "all to all, two currents": lambda: [
        nn.Linear(12, 9),
        snn.RSynaptic(0.9, 0.8, linear_features=9, threshold=0.3, spike_grad=surrogate.SFS()),
        nn.Linear(9, 4),
        snn.Leaky(0.8),
    ],
    "all to all without reset at the end": lambda: [
        nn.Linear(12, 9),
        snn.Leaky(0.9),
        nn.Linear(9, 4),
        snn.RLeaky(0.8, linear_features=4, reset_mechanism="none", threshold=0.5),
    ],
    "a surrogate of ours, reset to zero": lambda: [
        nn.Linear(12, 9),
        snn.Leaky(
            0.9,
            threshold=0.3,
            reset_mechanism="zero",
            spike_grad=Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0),
        ),
        nn.Linear(9, 4),
        snn.Leaky(0.8),
    ],
}


def by_its_own_loop(modules: list[nn.Module], x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and potentials of the last neurons as snnTorch's users compute them."""
    states: dict[nn.Module, Any] = {}
    for module in modules:
        if not isinstance(module, nn.Linear):
            begun = module.reset_mem()  # type: ignore[operator]
            states[module] = begun if isinstance(begun, tuple) else (begun,)
    spikes, potentials = [], []
    for now in x:
        for module in modules:
            if isinstance(module, nn.Linear):
                now = module(now)  # noqa: PLW2901 - signals pass
                continue
            out = module(now, *states[module])
            states[module] = tuple(out) if hasattr(module, "recurrent") else tuple(out[1:])
            now, potential = out[0], out[-1]  # noqa: PLW2901
        spikes.append(now)
        potentials.append(potential)
    return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.one_in(10)
@pytest.mark.parametrize("make", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_spikes_potentials_and_gradients_are_snntorchs(make: Make, density: float) -> None:
    """Expected: snnTorch's own loop, with losses on spikes and on potentials; some neuron fires."""
    torch.manual_seed(0)
    modules = make()
    network = nn.Sequential(*modules)
    x = (torch.rand(STEPS, BATCH, INPUTS) < density).float() * 2
    theirs = by_its_own_loop(modules, x)
    ours = accelerate(network)(x)
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
        weight = torch.randn(other.shape)
        found = []
        for out in (one, other):
            network.zero_grad()
            (out * weight).sum().backward(retain_graph=True)
            found.append([each.grad.clone() for each in network.parameters() if each.grad is not None])
        for mine, its in zip(*found, strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4 * float(its.abs().max()) + 1e-7)


def test_weights_are_shared_and_registered_once() -> None:
    """A step of the network's own optimiser is seen by both; there is no second copy to save."""
    network = nn.Sequential(*CHAINS["leaky"]())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    fast = accelerate(network)
    x = (torch.rand(STEPS, BATCH, INPUTS) < 0.3).float()
    before = fast(x).potential.detach()
    fast(x).potential.square().sum().backward()
    optimizer.step()
    assert not torch.equal(fast(x).potential, before)
    assert len(list(fast.parameters())) == len(list(network.parameters()))
    assert fast.runs_on.startswith("fused")
    assert sgbench.accelerate is accelerate


def test_numbers_are_those_that_the_network_has_now() -> None:
    """Expected: snnTorch's own loop, also after numbers were set and another's state was loaded."""
    modules = CHAINS["leaky"]()
    network = nn.Sequential(*modules)
    fast = accelerate(network)
    x = (torch.rand(STEPS, BATCH, INPUTS) < 0.3).float() * 2
    other = nn.Sequential(nn.Linear(12, 9), snn.Leaky(0.5), nn.Linear(9, 4), snn.Leaky(0.2, threshold=0.5))

    def set_some() -> None:
        modules[1].beta, modules[3].threshold = torch.tensor(0.3), torch.tensor(0.5)

    moves = (
        lambda: None,
        set_some,
        lambda: network.load_state_dict(other.state_dict()),
        lambda: network.load_state_dict(nn.Sequential(*CHAINS["leaky"]()).state_dict(), assign=True),
    )
    before = torch.zeros(STEPS, BATCH, 4)
    for move in moves:
        move()
        found, expected = fast(x).potential.detach(), by_its_own_loop(modules, x)[1].detach()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found, before, atol=1e-3)
        before = found


def test_an_example_finds_a_forward_that_does_more() -> None:
    """Must match: a forward that loops over the chain. Must differ: one that scales between two modules."""

    class Network(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.first, self.lif = nn.Linear(12, 9), snn.Leaky(0.9)
            self.factor = factor

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            potential, spikes, potentials = self.lif.reset_mem(), [], []
            for now in x:
                spike, potential = self.lif(self.factor * self.first(now), potential)
                spikes.append(spike)
                potentials.append(potential)
            return torch.stack(spikes), torch.stack(potentials)

    x = torch.rand(STEPS, BATCH, INPUTS)
    accelerate(Network(1.0), x)
    with raises_naming(InputError, "forward", "spikes", "modules in turn"):
        accelerate(Network(1.5), x)
    with raises_naming(InputError, "accelerate", "[time, batch, ...]"):
        accelerate(Network(1.0))(x[0])


NUMBERS = {"beta": 0.9, "threshold": 1.0, "reset": "subtract", "reset_gradient": "detached"}
NUMBERS |= {"learn_beta": "none", "learn_threshold": "none"}


def ours(kind: type[Leaky] = Leaky) -> Leaky:
    """Four neurons of the catalogue, or of a class made of it."""
    return kind(Atan(alpha=2.0, width_fwhm=None, normalisation="raw", scale=1.0), 4, **NUMBERS)


class Tired(Leaky):
    """A user's own, with one part more than its surrogate."""

    def __init__(self, surrogate: Atan, features: int, **numbers: Any) -> None:
        super().__init__(surrogate, features, **numbers)
        self.memory = nn.Sequential(nn.Linear(4, 4))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", [Tired, Leaky])
def test_the_parts_of_a_neuron_are_its_own_affair(kind: type[Leaky], *, deep: bool) -> None:
    """Must match: the same chain with snnTorch's neurons in place of ours."""
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(12, 4), ours(kind), nn.Linear(4, 4), snn.Leaky(0.9))
    theirs = [*chain]
    theirs[1] = snn.Leaky(0.9)
    x = torch.rand(STEPS, BATCH, INPUTS) * 2
    found = accelerate(nn.Sequential(OrderedDict(block=chain)) if deep else chain)(x)
    for one, other in zip(found, by_its_own_loop(theirs, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ([nn.Linear(4, 4), nn.ReLU()], "ends in neurons is needed; add the neurons of the output"),
        ([nn.Linear(4, 4)], "ends in neurons is needed; add the neurons of the output"),
        ([nn.GRU(4, 4), snn.Leaky(0.9)], "module '0' is a GRU, which has states of its own; write the step"),
        ([nn.Linear(4, 4), snn.Leaky(0.9, learn_beta=True)], "has learn_beta"),
        ([nn.Linear(4, 4), snn.Leaky(0.9, reset_delay=False)], "has reset_delay=False"),
        ([nn.Linear(4, 4), snn.RLeaky(0.9, V=1.0, all_to_all=False)], "has all_to_all=False"),
        ([nn.Linear(4, 4), snn.Lapicque(0.9)], "expected"),
        ([nn.Linear(4, 4), snn.Leaky(0.9, graded_spikes_factor=2.0)], "graded spikes"),
    ],
)
def test_what_the_engine_does_not_do_is_one_line_with_the_reason(modules: list[nn.Module], said: str) -> None:
    """Nothing is computed otherwise in silence."""
    with pytest.raises(InputError, match=said) as told:
        accelerate(nn.Sequential(*modules))
    assert "\n" not in str(told.value)
