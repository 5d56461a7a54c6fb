"""The networks and inputs on which contenders are compared, before any framework enters.

Legend: T steps, B batch, N inputs, H hidden neurons, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sgbench.errors import InputError, require_choice, require_count, require_number

BETA = 0.9
THRESHOLD = 1.0
LEARNING_RATE = 1e-3
HIDDEN_RATE = 0.035  # spikes per neuron and step that the first layer of w1 comes to; scales the second of w1_deep
KERNEL, POOL = 5, 2
CHANNELS, IMAGE = (2, 12, 32), 34
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Sizes:
    """How large a workload is; None where it has no such size."""

    steps: int  # T
    batch: int  # B
    inputs: int | None = None  # N
    hidden: int | None = None  # H; of w2 also N
    classes: int | None = None  # C
    density: float | None = None  # share of input entries that are 1

    def resized(self, **wanted: float | None) -> Sizes:
        """Return a copy with the `wanted` sizes, checked; None keeps a size as it is.

        >>> Sizes(steps=5, batch=2).resized(batch=3, hidden=None)
        Sizes(steps=5, batch=3, inputs=None, hidden=None, classes=None, density=None)
        """
        changed = {name: value for name, value in wanted.items() if value is not None}
        for name, value in changed.items():
            if getattr(self, name) is None:
                raise InputError(f"--{name}: this workload has no such size; leave it out")
            if name == "density":
                require_number("--density", value, low=0, high=1, open_low=True)
            else:
                require_count(f"--{name}", value)
        return replace(self, **changed)  # type: ignore[arg-type]

    def at_most(self, **limits: int) -> Sizes:
        """Return a copy in which no size is above its limit; sizes that the workload has not are ignored.

        >>> Sizes(steps=5, batch=2).at_most(steps=3, hidden=7)
        Sizes(steps=3, batch=2, inputs=None, hidden=None, classes=None, density=None)
        """
        sizes = {name: getattr(self, name) for name in limits}
        return replace(self, **{name: min(size, limits[name]) for name, size in sizes.items() if size is not None})


class Stage(NamedTuple):
    """A product and the neurons behind it."""

    name: str
    kind: Literal["linear", "conv"]  # conv: 5x5 without padding, then the maximum over 2x2
    weight: Tensor  # [outputs, inputs], or [channels, channels, 5, 5]
    bias: Tensor
    recurrent: Tensor | None = None  # [H, H]
    fires: bool = True


@dataclass(frozen=True)
class Task:
    """One workload with its numbers; contenders copy the weights."""

    name: str  # of the workload
    sizes: Sizes  # of it
    stages: tuple[Stage, ...]  # in the order in which they are run
    x: Tensor  # input [T, B, ...], dense.
    target: Tensor | None  # class indices [B], or None where the loss is the number of spikes

    def loss(self, output: Tensor) -> Tensor:
        """Compute the loss, a scalar, from the last stage's output [T, B, C].

        It is the cross-entropy of the mean potential or of the spike count; without classes the sum of all spikes.
        """
        if self.target is None:
            return output.sum()
        return cross_entropy(output.sum(0) if self.stages[-1].fires else output.mean(0), self.target)

    @property
    def dtype(self) -> torch.dtype:
        return self.x.dtype


class _Random:
    """Draws numbers from one seed, equal in both precisions: they are drawn in float32 and converted."""

    def __init__(self, seed: int, dtype: torch.dtype) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = dtype

    def normal(self, *shape: int, std: float) -> Tensor:
        return (torch.randn(*shape, generator=self.generator) * std).to(self.dtype)

    def spikes(self, *shape: int, density: float) -> Tensor:
        return (torch.rand(*shape, generator=self.generator) < density).to(self.dtype)

    def classes(self, batch: int, classes: int) -> Tensor:
        return torch.randint(0, classes, (batch,), generator=self.generator)

    def zeros(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=self.dtype)


def _w1(name: str, sizes: Sizes, random: _Random) -> Task:
    """Make a task of sparse input, one or two layers that fire a few per cent of the time, and a leaky readout."""
    inputs, hidden, classes, density = sizes.inputs or 0, sizes.hidden or 0, sizes.classes or 0, sizes.density or 0.0
    x = random.spikes(sizes.steps, sizes.batch, inputs, density=density)
    target = random.classes(sizes.batch, classes)
    first = random.normal(hidden, inputs, std=0.42 / math.sqrt(inputs * density))
    recurrent = random.normal(hidden, hidden, std=0.3 / math.sqrt(hidden)) if name == "w1_rec" else None
    stages = [Stage("hidden0", "linear", first, random.zeros(hidden), recurrent)]
    if name == "w1_deep":
        second = random.normal(hidden, hidden, std=0.5 / math.sqrt(hidden * HIDDEN_RATE))
        stages.append(Stage("hidden1", "linear", second, random.zeros(hidden)))
    last = random.normal(classes, hidden, std=1 / math.sqrt(hidden))
    stages.append(Stage("readout", "linear", last, random.zeros(classes), fires=False))
    return Task(name, sizes, tuple(stages), x, target)


def _w2(name: str, sizes: Sizes, random: _Random) -> Task:
    """Make a task of dense noise into one layer, whose cost is that of its products of matrices."""
    hidden = sizes.hidden or 0
    x = random.normal(sizes.steps, sizes.batch, hidden, std=1.0)
    weight = random.normal(hidden, hidden, std=0.4 / math.sqrt(hidden))
    return Task(name, sizes, (Stage("hidden0", "linear", weight, random.zeros(hidden)),), x, None)


def _w3(name: str, sizes: Sizes, random: _Random) -> Task:
    """Make a task of a small convolutional network on images of events."""
    density, classes = sizes.density or 0.0, sizes.classes or 0
    x = random.spikes(sizes.steps, sizes.batch, CHANNELS[0], IMAGE, IMAGE, density=density)
    target = random.classes(sizes.batch, classes)
    stages, side = [], IMAGE
    for position, gain in enumerate((4.0, 2.5)):
        n_in, n_out = CHANNELS[position : position + 2]
        std = gain / math.sqrt(3 * n_in * KERNEL**2)  # that of torch's own initialisation, times the gain
        weight = random.normal(n_out, n_in, KERNEL, KERNEL, std=std)
        stages.append(Stage(f"conv{position}", "conv", weight, random.zeros(n_out)))
        side = (side - KERNEL + 1) // POOL
    flat = CHANNELS[-1] * side**2
    last = random.normal(classes, flat, std=1 / math.sqrt(3 * flat))
    return Task(name, sizes, (*stages, Stage("readout", "linear", last, random.zeros(classes))), x, target)


class Workload(NamedTuple):
    """One entry of the list below."""

    sizes: Sizes  # by default
    make: Callable[[str, Sizes, _Random], Task]
    line: str


_W1 = Sizes(steps=100, batch=128, inputs=700, hidden=256, classes=20, density=0.012)
WORKLOADS = {
    "w1_ff": Workload(_W1, _w1, "sparse input, one hidden layer, leaky readout"),
    "w1_rec": Workload(_W1, _w1, "the same, the hidden layer recurrent all to all"),
    "w1_deep": Workload(_W1, _w1, "the same with two hidden layers"),
    "w2": Workload(Sizes(steps=500, batch=16, hidden=512), _w2, "dense noise into one layer, no optimiser"),
    "w3": Workload(Sizes(steps=25, batch=32, classes=10, density=0.03), _w3, "two convolutions and a readout"),
}


def make_task(name: str, sizes: Sizes, *, precision: str = "float32", seed: int = 0) -> Task:
    """Make the weights, input and targets of a workload from a seed."""
    require_choice("--workload", name, tuple(WORKLOADS))
    return WORKLOADS[name].make(name, sizes, _Random(seed, DTYPES[precision]))
