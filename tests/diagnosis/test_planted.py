"""Six faults planted in networks of snnTorch, each named first; and six healthy networks without a word."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn

import sgbench
from sgbench.networks.watching import Watcher, watched

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")
STEPS, BATCH, CLASSES = 25, 16, 10
Y = torch.arange(BATCH) % CLASSES


def drawn(*shape: int, rate: float = 0.0) -> Tensor:
    """Pixels between 0 and 1, or spikes at a rate."""
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(3))
    return (x < rate).float() if rate else x


class Dense(nn.Module):
    """The tutorials' dense network on a static image; the loss is of the last potentials."""

    def __init__(self, hidden: int = 2, **options: Any) -> None:
        super().__init__()
        sizes = [64, *[48] * hidden, CLASSES]
        self.fc = nn.ModuleList(nn.Linear(one, other) for one, other in itertools.pairwise(sizes))
        self.lif = nn.ModuleList(snn.Leaky(beta=0.9, **options) for _ in self.fc)
        self.cut_behind = -1  # a layer whose spikes are detached

    def forward(self, x: Tensor) -> list[Tensor]:
        layers: Any = self.lif
        states = [layer.reset_mem() for layer in layers]
        kept = []
        for _ in range(STEPS):
            sent = x
            for place, (fc, lif) in enumerate(zip(self.fc, layers, strict=True)):
                sent, states[place] = lif(fc(sent), states[place])
                sent = sent.detach() if place == self.cut_behind else sent
            kept.append(states[-1])
        return kept


class Images(nn.Module):
    """The tutorials' convolutional network; the loss is of the counts."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 6, 3), snn.Leaky(beta=0.9, init_hidden=True, **options)
        self.conv2, self.lif2 = nn.Conv2d(6, 8, 3), snn.Leaky(beta=0.9, init_hidden=True, **options)
        self.fc = nn.Linear(32, CLASSES)
        self.lif3 = snn.Leaky(beta=0.9, init_hidden=True, output=True, **options)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        utils.reset(self)
        sent, held = [], []
        for _ in range(STEPS):
            one = self.lif1(nn.functional.max_pool2d(self.conv1(x), 2))
            two = self.lif2(nn.functional.max_pool2d(self.conv2(one), 2))
            spikes, potential = self.lif3(self.fc(two.flatten(1)))
            sent.append(spikes)
            held.append(potential)
        return {"counts": torch.stack(sent).sum(0), "potential": torch.stack(held)}


class Recurrent(nn.Module):
    """A recurrent layer over spikes [T, B, C]; the loss is of the mean potential."""

    def __init__(self, *, gain: float = 1.0, synaptic: bool = False, **options: Any) -> None:
        super().__init__()
        kind: Any = snn.RSynaptic if synaptic else snn.RLeaky
        decays = {"alpha": 0.8, "beta": 0.9} if synaptic else {"beta": 0.9, "learn_beta": True}
        self.fc1 = nn.Linear(20, 40)
        self.lif1 = kind(**decays, linear_features=40, **options)
        self.fc2, self.lif2 = nn.Linear(40, CLASSES), snn.Leaky(beta=0.9, reset_mechanism="none")
        with torch.no_grad():
            self.lif1.recurrent.weight.mul_(gain)
            self.fc1.weight.mul_(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state, mem = self.lif1.reset_mem(), self.lif2.reset_mem()
        total, spikes = 0.0, None
        for now in x:
            state = self.lif1(self.fc1(now), *state)
            spikes, mem = self.lif2(self.fc2(state[0]), mem)
            total = total + mem
        assert isinstance(total, Tensor)
        assert spikes is not None
        return total / len(x), spikes


def of_potentials(net: nn.Module, x: Tensor) -> Tensor:
    return torch.stack([nn.functional.cross_entropy(mem, Y) for mem in net(x)]).mean()


def of_counts(net: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(x)["counts"], Y)


def of_image_potentials(net: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(x)["potential"].mean(0), Y)


def of_mean(net: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(x)[0], Y)


class Case(NamedTuple):
    """A network with a batch and a loss; what is planted, and how the diagnosis calls it."""

    make: Callable[[], nn.Module]
    batch: Tensor
    loss: Callable[[nn.Module, Tensor], Tensor]
    layer: str = ""
    words: str = ""
    outlook: str | None = None


def scaled(net: Any, modules: list[str], by: float, bias: float | None = None) -> nn.Module:
    """The network with weights of some modules scaled, and biases set."""
    with torch.no_grad():
        for name in modules:
            module: Any = net.get_submodule(name)
            module.weight.mul_(by)
            if bias is not None:
                module.bias.fill_(bias)
    return net


def cut(net: Dense, place: int) -> Dense:
    net.cut_behind = place
    return net


IMAGES, SPIKES = drawn(BATCH, 1, 14, 14), drawn(60, BATCH, 20, rate=0.3)
FAULTS = {
    "dead layers at the loss of guessing": Case(
        lambda: scaled(Images(), ["conv2", "fc"], 0.05, bias=0.0), IMAGES, of_counts, "lif2", "no neuron fires"
    ),
    "exploding gradient": Case(
        lambda: Recurrent(gain=12.0, spike_grad=surrogate.fast_sigmoid(slope=1)),
        SPIKES,
        of_mean,
        "lif1",
        "grows",
        "explodes",
    ),
    "silent input": Case(Dense, torch.zeros(BATCH, 64), of_potentials, "lif.0", "the same current"),
    "saturated layer": Case(
        lambda: scaled(Dense(), ["fc.1"], 1.0, bias=8.0),
        drawn(BATCH, 64),
        of_potentials,
        "lif.1",
        "fire in more than 90 %",
    ),
    "too narrow a surrogate": Case(
        lambda: scaled(Dense(3, spike_grad=surrogate.fast_sigmoid(slope=10000)), ["fc.0", "fc.1", "fc.2"], 3.0),
        drawn(BATCH, 64),
        of_potentials,
        "lif.0",
        "lie outside the surrogate's window",
        "dead",
    ),
    "detached part": Case(
        lambda: cut(Dense(), 0), drawn(BATCH, 64), of_potentials, "lif.0", "does not depend on this layer", "dead"
    ),
}
HEALTHY = {
    "dense, static image": Case(Dense, drawn(BATCH, 64), of_potentials),
    "dense, three hidden layers": Case(
        lambda: scaled(Dense(3, spike_grad=surrogate.fast_sigmoid(slope=10)), ["fc.1", "fc.2"], 2.0),
        drawn(BATCH, 64),
        of_potentials,
    ),
    "convolution, counts": Case(
        lambda: scaled(Images(learn_beta=True), ["conv1", "conv2", "fc"], 2.5), IMAGES, of_counts
    ),
    "convolution, potentials": Case(lambda: scaled(Images(), ["conv1", "conv2"], 2.0), IMAGES, of_image_potentials),
    "recurrent, learnt decay": Case(lambda: Recurrent(spike_grad=surrogate.fast_sigmoid(slope=25)), SPIKES, of_mean),
    "recurrent, synaptic": Case(
        lambda: Recurrent(synaptic=True, spike_grad=surrogate.fast_sigmoid(slope=25)), SPIKES, of_mean
    ),
}


def diagnosed(case: Case) -> Any:
    torch.manual_seed(0)
    return sgbench.diagnose_module(case.make(), case.batch, case.loss)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_first(name: str) -> None:
    """Expected: the layer and the cause that were planted, in the first line; and no training is called fine."""
    case = FAULTS[name]
    found = diagnosed(case)
    first = found.advice[0]
    assert first.startswith((f"{case.layer}:", f"{case.layer} (likewise"))
    assert case.words in first
    if case.outlook is not None:
        assert found.outlook == case.outlook


def test_dead_layers_are_not_called_fine() -> None:
    """Must differ: hidden layers without a spike at the loss of guessing, ln 10, have no outlook, but a reason."""
    found = diagnosed(FAULTS["dead layers at the loss of guessing"])
    assert found.loss == pytest.approx(torch.tensor(10.0).log().item())
    assert [layer.dead_fraction for layer in found.layers][1:] == [1.0, 1.0]
    assert found.outlook is None
    assert found.reasons["outlook"].startswith("lif2, lif3: no neuron fires")


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_a_healthy_network(name: str) -> None:
    """Must differ from the faults; the network itself is as before: weights, gradients, states and mode."""
    case = HEALTHY[name]
    torch.manual_seed(0)
    net = case.make()
    case.loss(net, case.batch).backward()
    gradients = [copy.deepcopy(weight.grad) for weight in net.parameters()]
    states = dict(net.named_buffers())
    found = sgbench.diagnose_module(net, case.batch, case.loss)
    assert (found.outlook, found.advice) == (
        "fine",
        ("nothing stands out: the gradient reaches every layer and does not explode",),
    )
    assert all(
        grad is None or torch.equal(grad, weight.grad)  # type: ignore[arg-type]
        for grad, weight in zip(gradients, net.parameters(), strict=True)
    )
    assert all(states[key] is buffer for key, buffer in net.named_buffers())


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_learns(name: str) -> None:
    """What is called healthy: 60 steps of Adam take at least a quarter of the loss on the samples away."""
    case = HEALTHY[name]
    torch.manual_seed(0)
    net = case.make()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = case.loss(net, case.batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", ["dead layers at the loss of guessing", "detached part"])
def test_it_prints_in_eighty_columns_and_draws_itself(name: str) -> None:
    """A line for each layer, the outlook and each piece of advice; the same as HTML, and a figure."""
    found = diagnosed(FAULTS[name])
    text = repr(found)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text) < 2000
    assert all(layer.name in text for layer in found.layers)
    assert "outlook: " in text
    assert text == str(found)
    assert "<table>" in found._repr_html_()
    assert len(found.plot().axes) == 3
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_a_loop_that_the_user_wrote_is_recurrent() -> None:
    """Must match: spikes fed back by a Linear of one's own; must differ: the tutorials' layers, fed forward."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.back, self.lif = nn.Linear(8, 6), nn.Linear(6, 6), snn.Leaky(beta=0.9)

        def forward(self, x: Tensor) -> Tensor:
            mem, sent, total = self.lif.reset_mem(), torch.zeros(len(x), 6), torch.zeros(len(x), 6)
            for _ in range(5):
                sent, mem = self.lif(input_=self.into(x) + self.back(sent), mem=mem)
                total = total + sent
            return total

    found = sgbench.diagnose_module(Own(), drawn(4, 8), lambda net, x: net(x).square().mean())
    assert [layer.recurrent for layer in found.layers] == [True]
    assert [layer.recurrent for layer in diagnosed(HEALTHY["dense, static image"]).layers] == [False] * 3


def test_what_shows_no_potential_is_left_out_and_named() -> None:
    """Must differ: the layer of known kind is measured; a layer that might compute anything is named."""

    class Mine(snn.LeakyParallel):
        pass

    torch.manual_seed(0)
    net = nn.Sequential(Mine(input_size=8, hidden_size=6), nn.Linear(6, 2), snn.Leaky(beta=0.9))
    found = sgbench.diagnose_module(net, 3 * drawn(5, 4, 8), lambda net, x: net(x)[1].square().mean())
    assert [layer.name for layer in found.layers] == ["2"]
    assert found.advice[-1] == "0 is left out: Mine does not show its membrane potential; set output=True"


def test_parallel_neurons_are_measured_step_by_step() -> None:
    """Must match: the loss, the rate and the gradient of snnTorch's own call, which runs torch's RNN."""
    torch.manual_seed(0)
    net: Any = nn.Sequential(snn.LeakyParallel(8, 6, beta=0.5, learn_beta=True), nn.Linear(6, 2))
    x = 3 * drawn(5, 4, 8)

    def loss(net: nn.Module, x: Tensor) -> Tensor:
        return net(x).square().mean()

    found = sgbench.diagnose_module(net, x, loss)
    assert net[0].rnn.weight_hh_l0.grad is None
    (layer,) = found.layers
    sent = net[0](x)
    assert 0 < layer.rate_per_step == pytest.approx(sent.mean().item())
    assert found.loss == pytest.approx(loss(net, x).item())
    assert layer.grad_norm > 0
    learnt = {name: weight.requires_grad_() for name, weight in net[0].named_parameters()}
    expected = torch.autograd.grad(sent.square().sum(), [*learnt.values()])
    stepped = []
    with watched({net[0]: Watcher(lambda _, __, output: stepped.append(output[0]), steps=True)}):
        net[0](x)
    for one, other in zip(
        expected, torch.autograd.grad(torch.stack(stepped).square().sum(), [*learnt.values()]), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_frozen_weights_are_named() -> None:
    """Must match: the layer whose weights all stay as they are."""
    torch.manual_seed(0)
    net: Any = Dense()
    net.fc[1].requires_grad_(requires_grad=False)
    found = sgbench.diagnose_module(net, drawn(BATCH, 64), of_potentials)
    assert found.advice == ("lif.1: all of its weights are frozen (requires_grad=False) and stay as they are",)
