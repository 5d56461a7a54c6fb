"""Neurons of the catalogue by name, and currents under which they fire; for the tests over every entry.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.layer import LayerRun
from sgbench.composition import catalogue
from sgbench.composition.compose import register_resolvers
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import construct

ENTRIES = catalogue.entries("neuron")
NAMES = tuple(ENTRIES)
SEVERAL = ("parallel", "gated", "compartments")  # families of which one neuron is more than one step of one potential
ELEMENTWISE = tuple(name for name in NAMES if ENTRIES[name].meta["family"] not in SEVERAL)
STEPS, BATCH, SIZE = 25, 3, 4


def surrogate() -> Surrogate:
    """Wide enough that no gradient is lost in its tails."""
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


@functools.cache
def recipe(name: str, dt_s: float = 0.001) -> tuple[str, dict[str, Any]]:
    """Target and default values of an entry at a time step, as `compose` makes them, in a tenth of its time."""
    register_resolvers()
    entry = ENTRIES[name]
    tree = OmegaConf.create({"protocol": {"steps": STEPS, "dt_s": dt_s}, "neuron": entry.parameters})
    return str(entry.target), OmegaConf.to_container(tree, resolve=True)["neuron"]  # type: ignore[index, call-overload]


def make(name: str, size: int | None = SIZE, *, step_s: float = 0.001, **changes: Any) -> Neuron:
    """An entry's neurons in float64, with the values of its YAML but for `changes`."""
    target, values = recipe(name, step_s)
    drawn = torch.Generator().manual_seed(5)
    made = construct("neuron", target, values | changes, surrogate=surrogate(), features=size, generator=drawn)
    return made.double()


class Driven(DenseLayer):
    """A layer that gets its current as it is."""

    def __init__(self, neuron: Neuron, recurrence: str = "none", gain: float = 0.0) -> None:
        super().__init__("hidden0", 1, SIZE, neuron, recurrence=recurrence)
        if self.recurrent is not None:
            random = torch.Generator().manual_seed(4)
            drawn = torch.randn(self.recurrent.shape, generator=random, dtype=torch.float64)
            self.recurrent.data.copy_(gain * drawn)

    def synapses(self) -> None:
        """None: the product is no matrix."""
        return None  # noqa: RET501 - the contract's return value

    def current(self, x: Tensor) -> Tensor:
        """x."""
        return x


def run(neuron: Neuron, current: Tensor, *, engine: str = "reference", state: Any = None) -> LayerRun:
    """A layer of these neurons on a given current; random ones draw from a generator that starts anew."""
    if hasattr(neuron, "surrogate"):
        neuron.surrogate.generator = torch.Generator().manual_seed(8)  # type: ignore[union-attr]
    return Engine(engine).unroll([Driven(neuron)], current, None if state is None else [state], keep_u=True)[0]


def noise(neuron: Neuron, steps: int = STEPS, seed: int = 1) -> Tensor:
    """Random currents of mean 0.3 and spread 1 for all that a neuron takes [T, B, currents N], in float64."""
    random = torch.Generator().manual_seed(seed)
    return 0.3 + torch.randn(steps, BATCH, neuron.currents * SIZE, generator=random, dtype=torch.float64)


@functools.cache
def gain_of(name: str) -> float:
    """Factor on `noise` at which a neuron sends now and then, by trial."""
    gain = 0.25
    while gain < 1000:
        neuron = make(name)
        if (run(neuron, gain * noise(neuron)).output != 0).double().mean() > 0.1:
            return gain
        gain *= 2
    raise AssertionError(f"{name} cannot be made to fire")


def drive(name: str, neuron: Neuron, steps: int = STEPS, seed: int = 1) -> Tensor:
    """Currents under which the entry's neurons send now and then."""
    return gain_of(name) * noise(neuron, steps, seed)


class Scales(NamedTuple):
    """What a test knows of an entry by its file."""

    linear: bool
    stochastic: bool


def declared(name: str) -> Scales:
    """What the YAML declares."""
    meta = ENTRIES[name].meta
    return Scales(bool(meta.get("linear")), bool(meta.get("stochastic")))
