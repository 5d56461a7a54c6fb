"""What a diagnosis says before training of three networks of snnTorch's layers, beside what becomes of them.

    python -m benchmarks.outlook_foreign [--seeds 2] [--steps 40] [--to foreign.json]

Each network learns to tell five drawn patterns of spikes apart, from weights of three sizes, with surrogates of
three widths. It counts as dead where the share of right answers on the samples that it has learnt from stays
within two points of guessing, as exploded where its loss or its gradient was not finite at any step.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from benchmarks.outlook import against_thumb, rule_of_thumb, write
from benchmarks.outlook_features import ABOVE_CHANCE

CLASSES, STEPS_OF_TIME, SAMPLES = 5, 25, 50
RATE = 0.05
SURROGATES = ("triangle", "atan", "triangle")
GAINS = (0.5, 1.0, 3.0)
WIDTHS = (0.1, 1.0, 4.0)


class Dense(nn.Module):
    """Dense layers with leaky neurons, the way tutorials write them."""

    def __init__(self, sizes: list[int], spike_grad: Any, beta: float = 0.9) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        self.dense = nn.ModuleList(nn.Linear(*pair, bias=False) for pair in pairs)
        self.spiking = nn.ModuleList(snn.Leaky(beta=beta, spike_grad=spike_grad) for _ in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer [T, B, C]."""
        states = [layer.reset_mem() for layer in self.spiking]  # type: ignore[operator]
        potentials = []
        for signal in x:
            for place, (dense, spiking) in enumerate(zip(self.dense, self.spiking, strict=True)):
                signal, states[place] = spiking(dense(signal), states[place])  # noqa: PLW2901 - layer by layer
            potentials.append(states[-1])
        return torch.stack(potentials)


class Images(nn.Module):
    """A convolution with pooling, hidden states and a dense layer."""

    def __init__(self, spike_grad: Any) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(1, 4, 3), nn.MaxPool2d(2)
        self.lif1 = snn.Leaky(beta=0.9, spike_grad=spike_grad, init_hidden=True)
        self.dense = nn.Linear(36, 5)
        self.lif2 = snn.Leaky(beta=0.9, spike_grad=spike_grad, init_hidden=True, output=True)

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the last layer [T, B, C]."""
        self.lif1.reset_mem()
        self.lif2.reset_mem()
        features = (self.pool(self.lif1(self.conv(frame))).flatten(1) for frame in x)
        return torch.stack([self.lif2(self.dense(step_features))[1] for step_features in features])


class Recurrent(nn.Module):
    """Two layers of leaky neurons with recurrence in all directions."""

    def __init__(self, spike_grad: Any, gain: float, inputs: int = 10, neurons: int = 20) -> None:
        super().__init__()
        options = {"beta": 0.9, "all_to_all": True, "linear_features": neurons, "spike_grad": spike_grad}
        self.into, self.first = nn.Linear(inputs, neurons), snn.RLeaky(**options)
        self.between, self.second = nn.Linear(neurons, neurons), snn.RLeaky(**options)
        layers: tuple[Any, ...] = (self.first, self.second)
        with torch.no_grad():
            for layer in layers:
                layer.recurrent.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        """Potentials of the second layer [T, B, N]."""
        (s1, m1), (s2, m2) = self.first.reset_mem(), self.second.reset_mem()
        potentials = []
        for frame in x:
            s1, m1 = self.first(self.into(frame), s1, m1)
            s2, m2 = self.second(self.between(s1), s2, m2)
            potentials.append(m2)
        return torch.stack(potentials)


class Kind(NamedTuple):
    """One network, and what the rule of thumb uses."""

    make: Callable[[Any, float], nn.Module]  # from a surrogate and the size of recurrent weights
    inputs: tuple[int, ...]
    depth: int
    recurrent: bool


KINDS = {
    "dense, three layers": Kind(lambda grad, _: Dense([64, 48, 48, CLASSES], grad), (64,), 3, False),
    "convolution": Kind(lambda grad, _gain: Images(grad), (1, 8, 8), 2, False),
    "recurrent, two layers": Kind(Recurrent, (10,), 2, True),
}


def patterns(inputs: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Draw spikes [T, B, ...] of five classes, each with rates of its own, and the classes [B]."""
    generator = torch.Generator().manual_seed(seed)
    rates = 2 * RATE * torch.rand(CLASSES, *inputs, generator=generator)
    target = torch.arange(SAMPLES) % CLASSES
    x = (torch.rand(STEPS_OF_TIME, SAMPLES, *inputs, generator=generator) < rates[target]).float()
    return x, target


def answers(net: nn.Module, x: Tensor) -> Tensor:
    """Return the mean potential of the output neurons [B, C]; of more neurons, of the first ones."""
    return net(x).mean(0)[:, :CLASSES]  # type: ignore[no-any-return]


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(answers(net, batch[0]), batch[1])


def trained_outcome(net: nn.Module, batch: tuple[Tensor, Tensor], steps: int) -> str:
    """Train a network on one batch; return "explodes", "dead" or "fine", as this module's docstring defines them."""
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net, batch)
        loss.backward()
        norm = nn.utils.get_total_norm([weight.grad for weight in net.parameters() if weight.grad is not None])
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            return "explodes"
        optimizer.step()
    with torch.no_grad():
        right = (answers(net, batch[0]).argmax(1) == batch[1]).float().mean().item()
    return "dead" if right <= 1 / CLASSES + ABOVE_CHANCE else "fine"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="of each setting, default: 2")
    parser.add_argument("--steps", type=int, default=40, help="of training, default: 40")
    parser.add_argument("--to", type=Path)
    args = parser.parse_args()
    rows = []
    settings = itertools.product(KINDS, zip(SURROGATES, WIDTHS, strict=True), GAINS, range(args.seeds))
    for name, (shape, width), gain, seed in settings:
        kind, batch = KINDS[name], patterns(KINDS[name].inputs, seed)
        torch.manual_seed(seed)
        net = kind.make(sgbench.create(f"surrogate/{shape}", width_fwhm=width), gain)
        with torch.no_grad():
            for weight in net.parameters():
                if weight.ndim > 1:
                    weight.mul_(gain)
        prediction = sgbench.diagnose_module(net, batch, loss_of).outlook
        facts = {"recurrent": kind.recurrent, "width": width, "depth": kind.depth, "gain": gain, "shape": shape}
        outcome = trained_outcome(net, batch, args.steps)
        rows.append((f"{name}/{shape}/{width}/{gain}", outcome, prediction, rule_of_thumb(facts)))
        sys.stderr.write(f"{rows[-1]}\n")
    write(against_thumb(*(np.array(column) for column in zip(*rows, strict=True))), args.to)


if __name__ == "__main__":
    main()
