"""`accelerate` on networks that are more than chains: convolutions, normalisation, branches, neurons of any kind.

Expected: the network's own modules called step by step, spikes, potentials and gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours import accelerate as home
from sgbench.yours.accelerate import Accelerated, accelerate
from tests.messages import raises_naming

STEPS, BATCH = 7, 3
IMAGE = (2, 8, 8)


def leaky() -> snn.Leaky:
    """Neurons whose surrogate keeps float64; snnTorch's own are float32 on the way back."""
    return snn.Leaky(0.8, threshold=0.5, spike_grad=sgbench.create("surrogate/atan"))


class Residual(nn.Module):
    """Adds the spikes of a branch to what it gets; its forward is one step."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.lif = leaky()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        return x + self.lif(self.norm(self.conv(x)))


Make = Callable[[], list[nn.Module]]
NETWORKS: dict[str, Make] = {
    "convolutions with a maximum": lambda: [
        nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), leaky(), nn.Flatten(), nn.Linear(45, 4), leaky(),
    ],
    "padding, stride, a mean of spikes": lambda: [
        nn.Conv2d(2, 5, 3, stride=2, padding=1, bias=False), leaky(), nn.AvgPool2d(2), nn.Conv2d(5, 3, 1), leaky(),
    ],
    "a residual block with batch normalisation": lambda: [
        nn.Conv2d(2, 4, 3, padding=1), leaky(), Residual(4), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 4),
        leaky(),
    ],
    "groups and an odd window are torch's": lambda: [
        nn.Conv2d(2, 4, 3, groups=2), nn.MaxPool2d(2, stride=1), leaky(), nn.Flatten(), nn.Linear(100, 3), leaky(),
    ],
    "neurons of the catalogue": lambda: [
        nn.Flatten(), nn.Linear(128, 6), sgbench.create("neuron/alif"), nn.Linear(6, 5), nn.ReLU(),
        sgbench.create("neuron/izhikevich"), nn.Linear(5, 4), sgbench.create("neuron/leaky_readout"),
    ],
    "two matrices behind one another": lambda: [
        nn.Flatten(), nn.Linear(128, 6), nn.Linear(6, 5), leaky(), nn.Linear(5, 5), leaky(), nn.Linear(5, 2),
        leaky(),
    ],
}  # fmt: skip


def images(share: float = 0.3) -> Tensor:
    """[T, B, C, H, W] of events."""
    return (torch.rand(STEPS, BATCH, *IMAGE, generator=torch.Generator().manual_seed(1)) < share).double()


def made(modules: list[nn.Module]) -> nn.Sequential:
    """In float64, with weights by which neurons fire."""
    network = nn.Sequential(*modules).double()
    generator = torch.Generator().manual_seed(2)
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.7
        elif name.endswith("bias"):
            weight.data.fill_(0.2)
    return network


def outcome(run: Any, network: nn.Module, x: Tensor) -> list[Tensor]:
    """Spikes, potentials, and gradients of all weights and of the input, of a sum with weights that differ."""
    x = x.clone().requires_grad_()
    spikes, potential = run(x)
    factors = torch.linspace(-1, 2, spikes.numel(), dtype=torch.float64).view(spikes.shape)
    learnt = [x, *network.parameters()]
    given = torch.autograd.grad(((spikes + 0.5 * potential) * factors).sum(), learnt, allow_unused=True)
    return [spikes.detach(), potential.detach(), *(torch.zeros(1) if one is None else one for one in given)]


@pytest.mark.one_in(16)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_spikes_potentials_and_gradients_are_those_of_the_modules(make: Make, training: bool) -> None:
    """Means and variances that batch normalisation keeps are equal as well."""
    theirs = made(make()).train(training)
    ours = copy.deepcopy(theirs)
    slow, fast = Accelerated(theirs), Accelerated(ours)
    for x in (images(), images(0.6)):
        expected, found = outcome(slow.by_steps, theirs, x), outcome(fast.all_steps, ours, x)
        assert expected[0].any()
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * max(1.0, float(other.abs().max())))
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        if one.shape == other.shape and one.dim() == 1:
            torch.testing.assert_close(one, other)


def test_every_branch_counts() -> None:
    """Must differ: spikes without what goes past the residual branch."""

    class Straight(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.norm(self.conv(x)))

    torch.manual_seed(0)
    blocks = [Residual(2), Straight(2)]
    blocks[1].load_state_dict(blocks[0].state_dict())
    ends = [nn.Flatten(), nn.Linear(128, 8), leaky()]
    spikes = [accelerate(made([block, *copy.deepcopy(ends)]))(images()).potential for block in blocks]
    assert not torch.allclose(*spikes)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("ratio", "said"), [(0.5, "torch, step by step"), (3.0, "fused")])
def test_the_slower_way_is_not_taken(monkeypatch: pytest.MonkeyPatch, ratio: float, said: str) -> None:
    """What the clock said is put in; results are the same by either way."""
    monkeypatch.setattr(home, "_measure_speed_up", lambda fast, x: ratio)
    network = made(NETWORKS["convolutions with a maximum"]())
    fast = accelerate(network, images())
    assert fast.times_faster == ratio
    assert fast.runs_on.startswith(said)
    assert f"{ratio} times" in fast.runs_on
    torch.testing.assert_close(fast(images()).spikes, Accelerated(network)(images()).spikes)


def test_a_batch_is_timed_and_leaves_the_network_as_it_was() -> None:
    network = made(NETWORKS["a residual block with batch normalisation"]())
    before = copy.deepcopy(network.state_dict())
    fast = accelerate(network, images())
    assert fast.times_faster is not None
    assert fast.times_faster > 0
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


class Mixed(nn.Module):
    """Norms over the batch, which is another thing where all steps lie in it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.lif = nn.Linear(128, 4), leaky()

    def forward(self, x: Tensor) -> Tensor:
        """[B, N] to spikes."""
        return self.lif(self.linear(x.flatten(1)) * 30).softmax(0)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.LSTM(128, 4), leaky()),
            "module '1' is a LSTM, which has states of its own",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(128, 4)), "ends in neurons"),
        (Mixed(), "ends in neurons"),
    ],
)
def test_what_cannot_run_is_named_with_a_remedy(network: nn.Module, said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        accelerate(network.double(), images())
    assert "\n" not in str(told.value)


class Own(Neuron):
    """A user's own neurons, which only their `step` tells."""

    output = "binary"
    operations = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.inner = sgbench.create("neuron/leaky", surrogate=sgbench.create("surrogate/atan"))

    def initial_state(self, like: Tensor) -> Any:
        return self.inner.initial_state(like)

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.inner.step(torch.tanh(current), state)

    def centred(self, state: Any) -> Tensor:
        return self.inner.centred(state)


@pytest.mark.usefixtures("loops_in_python")
@pytest.mark.one_in(10)
@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: sgbench.create("neuron/leaky"),
        pytest.param(
            lambda: sgbench.create("neuron/adex"), marks=pytest.mark.slow
        ),  # as much to compile as Own
        Own,
        leaky,
    ],
    ids=["leaky", "adex", "own", "snntorch"],
)
def test_compiled_neurons_are_their_loop(make: Callable[[], Any], shape: tuple[int, ...]) -> None:
    """Outputs and the gradient of currents, for a row of neurons and for images of them."""
    neuron = make().double()
    generator = torch.Generator().manual_seed(3)
    current = torch.randn(STEPS, BATCH, *shape, generator=generator, dtype=torch.float64) * 3
    found = outcome(lambda x: sgbench.compile(neuron)(x)[:2], nn.Module(), current)
    loop = Accelerated(nn.Sequential(neuron)).by_steps
    threshold = 0.5 if isinstance(neuron, snn.Leaky) else 0.0  # above which potentials of ours are told

    def by_loop(x: Tensor) -> tuple[Tensor, Tensor]:
        spikes, potential = loop(x)
        return spikes, potential - threshold

    expected = outcome(by_loop, nn.Module(), current)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("module", [nn.Linear(2, 2), snn.RLeaky(0.9, linear_features=2)])
def test_what_is_no_neuron_is_not_compiled(module: nn.Module) -> None:
    with raises_naming(InputError, "compile", f"{type(module).__name__}"):
        sgbench.compile(module)
