"""`formula`: a surrogate written as a formula beside the same shape by its name, on the fused engine.

Neurons that are given their currents, and a dense layer, forward and backward; both surrogates take turns in one
process. A round is some milliseconds, so what other processes do to caches is in most rounds. The least of them is
compared.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import sgbench
from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.generated import Layer
from benchmarks.measure import Spread, interleave, limited, ratios
from fastspiking.choose import Engine
from sgbench.networks.base import DenseLayer
from sgbench.training.memory import keep_freed_memory

SHAPES = {
    "atan": ("1/(1+(pi*a*u/2)**2)", 2.0),
    "fast_sigmoid": ("1/(1+abs(a*u))**2", 25.0),
    "gaussian": ("exp(-(a*u)**2)", 1.0),
    "sigmoid": ("4*sigmoid(-abs(a*u))*sigmoid(abs(a*u))", 4.0),
    "triangle": ("max(0, 1-abs(a*u))", 1.0),
}
"""By named shape, the formula that is equal to it, and the parameter a of both at the shape's own steepness."""
WAYS = ("named", "formula")
INPUTS, DENSITY = 700, 0.02
"""Of the dense layer, and the share of its inputs that are 1, as of `w1_ff`."""
ALLOWED = 1e-5
"""Of the largest gradient: what the engine promises in float32."""


@dataclasses.dataclass(frozen=True)
class FormulaSettings:
    """How it is measured."""

    steps: int = 100
    batch: int = 128
    hidden: int = 256
    rounds: int = 41
    threads: int = 1
    seed: int = 0


def compare(settings: FormulaSettings) -> dict[str, Any]:
    """Measure each shape by its name and as a formula."""
    with limited(settings.threads) as cores:
        keep_freed_memory()
        load_before = report.load_average()
        shapes = {name: _shape(name, settings) for name in SHAPES}
    return {
        "command": "formula",
        "settings": {**dataclasses.asdict(settings), "cores": cores},
        **report.conditions(load_before),
        "shapes": shapes,
    }


def _shape(name: str, settings: FormulaSettings) -> dict[str, Any]:
    """Measure one shape both ways, with neurons that are given their currents and in a dense layer."""
    text, a = SHAPES[name]
    surrogates = {
        "named": sgbench.create(f"surrogate/{name}", normalisation="peak1"),
        "formula": sgbench.create("surrogate/formula", formula=text, a=a, normalisation="peak1"),
    }
    neurons = {
        way: sgbench.create("neuron/leaky", surrogate=surrogate).float() for way, surrogate in surrogates.items()
    }
    random = torch.Generator().manual_seed(settings.seed)
    sizes = (settings.steps, settings.batch, settings.hidden)
    current = (0.3 * torch.randn(sizes, generator=random) + 0.1).requires_grad_()
    upstream = torch.randn(sizes, generator=random)
    events = (torch.rand((*sizes[:2], INPUTS), generator=random) < DENSITY).float()
    weight = torch.randn((settings.hidden, INPUTS), generator=random) / (INPUTS * DENSITY) ** 0.5

    def neurons_alone(way: str) -> Tensor:
        current.grad = None
        return _gradient(Layer(neurons[way]), current, upstream, current)

    def dense(way: str) -> Tensor:
        layer = DenseLayer("hidden0", INPUTS, settings.hidden, neurons[way]).float()
        layer.weight.data.copy_(weight)
        return _gradient(layer, events, upstream, layer.weight)

    return {
        "neurons": _compared(f"{name}, neurons", neurons_alone, settings.rounds),
        "dense": _compared(f"{name}, dense", dense, settings.rounds),
    }


def _gradient(layer: Any, x: Tensor, upstream: Tensor, leaf: Tensor) -> Tensor:
    """Run a layer on x, and backward from the gradient `upstream` of its spikes; return the gradient of a leaf."""
    output = Engine("fused").unroll([layer], x)[0].output
    if output is None:
        raise GateError("gate: engine fused hands out no spikes")
    output.backward(upstream)
    if leaf.grad is None:
        raise GateError("gate: there is no gradient")
    return leaf.grad


def _compared(what: str, step: Callable[[str], Tensor], rounds: int) -> dict[str, Any]:
    """Time both ways in turn, once their gradients, which `step` returns for a way, are equal."""
    named, formula = (step(way).clone() for way in WAYS)
    error = ((formula - named).abs().max() / named.abs().max()).item()
    if not error < ALLOWED:  # NaN is refused too
        raise GateError(f"gate: {what}: gradients off by {error:.1e}; nothing was timed")
    times = interleave({way: functools.partial(step, way) for way in WAYS}, rounds)
    return {
        "gradient_error": error,
        "rounds": {way: dataclasses.asdict(own) for way, own in times.items()},
        "cpu_ms": {way: dataclasses.asdict(Spread.of(own.cpu_ms)) for way, own in times.items()},
        "least_times_named": min(times["formula"].cpu_ms) / min(times["named"].cpu_ms),
        "times_named": dataclasses.asdict(ratios(times["formula"].cpu_ms, times["named"].cpu_ms)),
    }


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    head = ["forward and backward", "named, least CPU ms", "formula", "formula / named", "median of rounds"]
    rows = []
    for name, kinds in result["shapes"].items():
        for kind, entry in kinds.items():
            own = [f"{entry['cpu_ms'][way]['low']:.2f}" for way in WAYS]
            ratio = [f"{entry['least_times_named']:.3f}", f"{entry['times_named']['median']:.3f}"]
            rows.append([f"{name}, {kind}", *own, *ratio])
    return report.table(head, rows)
