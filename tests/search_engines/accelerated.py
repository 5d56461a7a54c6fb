"""Networks of snnTorch's modules under `sgbench.accelerate`, compared with snnTorch's own loop as they learn."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from tests.search_engines.outcome import Outcome

NEURONS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
RESETS = ("subtract", "zero", "none")
TOLERANCE = 1e-9
STEPS, BATCH, ROUNDS = 12, 4, 4


@dataclass(frozen=True)
class Accelerated:
    """Trains a chain of snnTorch's modules by both ways in turn.

    Args:
        layers: of each its neurons, reset, width and whether it has a bias.
        images: modules in front of the chain, which then takes images.
        optimizer: name of torch's class.
        density: share of inputs that are not 0.
        seed: of weights and inputs.
    """

    layers: tuple[tuple[str, str, int, bool], ...]
    images: tuple[str, ...]
    optimizer: str
    density: float
    seed: int

    def __str__(self) -> str:
        chain = " ".join(f"{name}(reset={reset},width={n},bias={bias})" for name, reset, n, bias in self.layers)
        front = " ".join(self.images)
        return f"accelerate: {front} {chain} {self.optimizer} density={self.density} seed={self.seed}"

    def check(self) -> Outcome:
        """Compare spikes, potentials and weights over some steps of an optimiser."""
        random = torch.Generator().manual_seed(self.seed)
        module = self._module(random)
        theirs, ours = module, copy.deepcopy(module)
        fast = sgbench.accelerate(sgbench.unroll(ours))
        optimizers = [getattr(torch.optim, self.optimizer)(net.parameters(), lr=0.01) for net in (theirs, ours)]
        for turn in range(ROUNDS):
            shape = IMAGE if self.images else (WIDTH,)
            x = (torch.rand(STEPS, BATCH, *shape, generator=random) < self.density).double()
            spikes, *_, potential = fast(x)  # a second state lies between
            outputs = (passed_through(theirs, x), (spikes, potential))
            weight = torch.randn(outputs[0][0].shape, generator=random, dtype=torch.float64)
            for (spikes, potential), optimizer in zip(outputs, optimizers, strict=True):
                optimizer.zero_grad()
                ((spikes + potential) * weight).sum().backward()
                optimizer.step()
            pairs = {"spikes": 0, "potentials": 1}
            found = {name: (outputs[0][place], outputs[1][place]) for name, place in pairs.items()}
            found |= {name: (one, ours.get_parameter(name)) for name, one in theirs.named_parameters()}
            for name, (one, other) in found.items():
                off = float((one - other).abs().max()) if one.shape == other.shape else float("inf")
                if not off <= TOLERANCE * max(1.0, float(one.abs().max())):
                    return Outcome(1, f"accelerate: batch {turn}: {name} off by {off:.1e}")
        return Outcome(1)

    def _module(self, random: torch.Generator) -> nn.Sequential:
        """Build the chain in float64."""
        modules = [FRONT[name]() for name in self.images]
        with torch.no_grad():
            shaped = [module for module in modules if not hasattr(module, "reset_mechanism_val")]
            before = nn.Sequential(*copy.deepcopy(shaped))(torch.zeros(1, *IMAGE)).numel() if shaped else WIDTH
        for name, reset, width, bias in self.layers:
            options: dict[str, Any] = {"linear_features": width} if name.startswith("R") else {}
            options |= {"alpha": 0.8} if "Synaptic" in name else {}
            surrogate = sgbench.create("surrogate/atan")
            modules.append(nn.Linear(before, width, bias=bias))
            modules.append(getattr(snn, name)(beta=0.9, reset_mechanism=reset, spike_grad=surrogate, **options))
            before = width
        network = nn.Sequential(*modules).double()
        for weight in network.parameters():
            weight.data = torch.randn(weight.shape, generator=random, dtype=torch.float64)
        return network


WIDTH, IMAGE = 6, (2, 6, 6)
"""Of the input."""


def _leaky() -> nn.Module:
    return snn.Leaky(beta=0.8, threshold=0.5, spike_grad=sgbench.create("surrogate/atan"))  # type: ignore[no-any-return]


FRONT: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "strided": lambda: nn.Conv2d(2, 17, 3, stride=2, bias=False),
    "norm": lambda: nn.BatchNorm2d(3),
    "max": lambda: nn.MaxPool2d(2),
    "mean": lambda: nn.AvgPool2d(2),
    "leaky": _leaky,
    "flat": nn.Flatten,
}
FRONTS = (
    ("conv", "max", "leaky", "flat"),
    ("conv", "norm", "leaky", "max", "flat"),
    ("conv", "leaky", "mean", "flat"),
    ("strided", "max", "leaky", "flat"),
)
"""Convolutions before the first matrix."""


def passed_through(modules: Sequence[nn.Module] | nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return spikes and potentials of the last neurons as snnTorch's users compute them, step by step."""
    states: dict[nn.Module, Any] = {}
    for module in modules:
        if hasattr(module, "reset_mechanism_val"):
            begun = module.reset_mem()  # type: ignore[operator]
            states[module] = begun if isinstance(begun, tuple) else (begun,)
    spikes, potentials = [], []
    for step in x:
        signal = potential = step
        for module in modules:
            if module not in states:
                signal = module(signal)
                continue
            out = module(signal, *states[module])
            states[module] = tuple(out) if hasattr(module, "recurrent") else tuple(out[1:])
            signal, potential = out[0], out[-1]
        spikes.append(signal)
        potentials.append(potential)
    return torch.stack(spikes), torch.stack(potentials)


def random_chain(random: Random) -> Accelerated:
    """Draw a chain; snnTorch has no reset to zero for neurons of two currents, nor for recurrent ones."""
    layers = []
    for _ in range(random.choice((1, 2, 3))):
        name = random.choice(NEURONS)
        reset = random.choice(RESETS if name == "Leaky" else ("subtract", "none"))
        layers.append((name, reset, random.choice((1, 3, 8)), random.random() < HALF))
    optimizer = random.choice(("Adam", "SGD", "Adamax"))
    front = random.choice(FRONTS) if random.random() < HALF else ()
    return Accelerated(tuple(layers), front, optimizer, random.choice((0.1, 0.5, 1.0)), random.randrange(1000))


HALF = 0.5
