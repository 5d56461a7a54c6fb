"""Networks in the idioms of snnTorch users: what goes in, what comes out, and how states are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import snntorch as snn
import torch
from snntorch import spikegen, utils
from torch import Tensor, nn

STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 5, 3, 6, 4, 2
RATE: Any = spikegen.rate  # their signatures say bool for numbers
LAPICQUE: Any = snn.Lapicque


def random(*shape: int, rate: float = 0.0) -> Tensor:
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(2))
    return (x < rate).float() if rate else x


class Layers(nn.Module):
    """One hidden layer and a readout, run by a function of both over time."""

    def __init__(self, hidden: nn.Module, run: Callable[[Any, Any], Any], *, first: nn.Module | None = None) -> None:
        super().__init__()
        self.fc1 = first or nn.Linear(INPUTS, HIDDEN)
        self.lif1, self.fc2, self.lif2 = hidden, nn.Linear(HIDDEN, CLASSES), snn.Leaky(beta=0.8)
        self.loop = [run]  # no module
        with torch.no_grad():
            for weight in (self.fc1.weight, self.fc2.weight):
                assert isinstance(weight, Tensor)
                weight.mul_(4)

    def forward(self, x: Any) -> Any:
        return self.loop[0](self, x)


def steps(net: Any, currents: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Spikes and potentials of the readout; states are passed on as the tutorials do."""
    state, mem, kept = net.lif1.reset_mem(), net.lif2.reset_mem(), []
    state = state if isinstance(state, tuple) else (state,)
    for current in currents:
        out = net.lif1(current, *state)
        hears_itself = isinstance(net.lif1, snn.RLeaky | snn.RSynaptic)
        state = out if hears_itself else out[1:]
        spikes, mem = net.lif2(net.fc2(out[0].flatten(1)), mem)
        kept.append((spikes, mem))
    return kept


def stacked(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes [T, B, C] over time."""
    spikes, potentials = zip(*steps(net, [net.fc1(now) for now in x]), strict=True)
    return torch.stack(spikes), torch.stack(potentials)


def static_counts(net: Any, x: Tensor) -> Tensor:
    """The same image in each step; counts come out."""
    return torch.stack([spikes for spikes, _ in steps(net, [net.fc1(x)] * STEPS)]).sum(0)


def as_lists(net: Any, x: Tensor) -> list[list[Tensor]]:
    return [list(part) for part in zip(*steps(net, [net.fc1(now) for now in x]), strict=True)]


def as_dict(net: Any, x: Tensor) -> dict[str, Tensor]:
    spikes, potentials = stacked(net, x)
    return {"spikes": spikes, "potential": potentials.amax(0)}


def hidden_states(net: Any, x: Tensor) -> Tensor:
    """States kept in the modules, begun anew by `utils.reset`."""
    utils.reset(net)
    return torch.stack([net.lif2(net.fc2(net.lif1(net.fc1(now))))[1] for now in x])


def left_over(net: Any, x: Tensor) -> Tensor:
    """States kept in the modules, which somebody outside begins anew."""
    return torch.stack([net.lif2(net.fc2(net.lif1(net.fc1(now))))[1] for now in x])


def rate_coded(net: Any, x: Tensor) -> Tensor:
    return stacked(net, RATE(x, num_steps=STEPS))[0]


def by_name(net: Any, x: Tensor) -> Tensor:
    mem, kept = net.lif1.reset_mem(), []
    for now in x:
        spikes, mem = net.lif1(input_=net.fc1(now), mem=mem)
        kept.append(net.fc2(spikes))
    return torch.stack(kept)


class Idiom(NamedTuple):
    """How a network is made, and its input."""

    make: Callable[[], nn.Module]
    batch: Any
    binary: bool = True


OVER_TIME = random(STEPS, BATCH, INPUTS, rate=0.5)
STATIC = random(BATCH, INPUTS)


def kind(make: Callable[[], nn.Module], run: Callable[[Any, Any], Any] = stacked) -> Callable[[], nn.Module]:
    return lambda: Layers(make(), run)


IDIOMS = {
    "tutorial": Idiom(kind(lambda: snn.Leaky(beta=0.8)), OVER_TIME),
    "static image, counts": Idiom(kind(lambda: snn.Leaky(beta=0.8), static_counts), STATIC, binary=False),
    "lists": Idiom(kind(lambda: snn.Leaky(beta=0.8), as_lists), OVER_TIME),
    "dict": Idiom(kind(lambda: LAPICQUE(beta=0.8), as_dict), OVER_TIME),
    "learnt": Idiom(kind(lambda: snn.Leaky(beta=torch.rand(HIDDEN), learn_beta=True, learn_threshold=True)), OVER_TIME),
    "graded": Idiom(kind(lambda: snn.Leaky(beta=0.8, graded_spikes_factor=0.5)), OVER_TIME),
    "no delay": Idiom(kind(lambda: snn.Leaky(beta=0.8, reset_delay=False)), OVER_TIME),
    "inhibition": Idiom(kind(lambda: snn.Leaky(beta=0.8, inhibition=True)), OVER_TIME),
    "synaptic": Idiom(kind(lambda: snn.Synaptic(0.5, 0.8)), OVER_TIME),
    "alpha": Idiom(kind(lambda: snn.Alpha(0.8, 0.5)), OVER_TIME),
    "recurrent": Idiom(kind(lambda: snn.RLeaky(0.8, linear_features=HIDDEN)), OVER_TIME),
    "one to one": Idiom(kind(lambda: snn.RSynaptic(0.5, 0.8, all_to_all=False, V=0.5)), OVER_TIME),
    "lstm": Idiom(kind(lambda: snn.SLSTM(HIDDEN, HIDDEN, threshold=0.05)), OVER_TIME),
    "hidden states": Idiom(lambda: hidden_output(Layers(snn.Leaky(0.8, init_hidden=True), hidden_states)), OVER_TIME),
    "states left over": Idiom(
        lambda: has_run(hidden_output(Layers(snn.Leaky(0.8, init_hidden=True), left_over))), OVER_TIME
    ),
    "rate coding": Idiom(kind(lambda: snn.Leaky(beta=0.8), rate_coded), STATIC, binary=False),
    "arguments by name": Idiom(kind(lambda: snn.Leaky(beta=0.8), by_name), OVER_TIME),
    "convolution": Idiom(
        lambda: Layers(snn.RLeaky(0.8, conv2d_channels=1, kernel_size=3), stacked, first=nn.Conv2d(1, 1, 2)),
        random(STEPS, BATCH, 1, 3, 3, rate=0.6),
    ),
}


def hidden_output(net: Any) -> nn.Module:
    net.lif2 = snn.Leaky(beta=0.8, init_hidden=True, output=True)
    return net


def has_run(net: nn.Module) -> nn.Module:
    """The network after a training step, whose states hold its graph."""
    net(OVER_TIME).sum().backward()
    return net


def tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts for tensor in tensors(part)]
