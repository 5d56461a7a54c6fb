"""`delays`: one training step of `w1_ff` with a learnt delay at each synapse, beside the same step without delays."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

import sgbench
from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.measure import Spread, interleave, limited, ratios
from fastspiking.choose import Engine
from fastspiking.signals.spikes import SparseSpikes
from sgbench.networks.delayed import DelayedLayer
from sgbench.networks.layers import DenseLayer
from sgbench.training.memory import keep_freed_memory

DENSITY = 0.012
"""Share of input entries that are 1, as of `w1_ff`."""
WAYS = ("without delays", "with delays", "with delays, reference")
ALLOWED = 1e-5
"""Of the largest gradient: what the engine promises in float32."""


@dataclasses.dataclass(frozen=True)
class DelaysSettings:
    """The sizes of `w1_ff`, and how it is measured."""

    steps: int = 100
    batch: int = 128
    inputs: int = 700
    hidden: int = 256
    longest: int = 25
    rounds: int = 9
    threads: int = 1
    seed: int = 0


class _Step:
    """One step of Adam on all weights and delays of one hidden layer and a readout."""

    def __init__(self, settings: DelaysSettings, way: str, spikes: Tensor) -> None:
        surrogate = sgbench.create("surrogate/atan")
        sizes = ("hidden0", settings.inputs, settings.hidden)
        neuron = sgbench.create("neuron/leaky", beta=0.9, surrogate=surrogate)
        if way == "without delays":
            hidden = DenseLayer(*sizes, neuron)
        else:
            hidden = DelayedLayer(*sizes, neuron, max_delay_steps=settings.longest, kernel="gaussian", bias=False)
        readout = DenseLayer("readout", settings.hidden, 20, sgbench.create("neuron/leaky_readout", beta=0.9))
        random = torch.Generator().manual_seed(settings.seed)
        self.layers = [hidden.float(), readout.float()]
        for weight in (parameter for layer in self.layers for parameter in layer.parameters()):
            weight.data.normal_(std=0.1, generator=random)
        self.adam = torch.optim.Adam((p for layer in self.layers for p in layer.parameters()), 1e-3, fused=True)
        self.engine = Engine("reference" if way.endswith("reference") else "fused")
        self.input = spikes if way.endswith("reference") else SparseSpikes.of(spikes)

    def __call__(self) -> None:
        """Make one step of training."""
        self.adam.zero_grad()
        self.backward()
        self.adam.step()

    def gradients(self) -> list[Tensor]:
        """Compute the gradients of all weights and delays, once."""
        self.backward()
        return [p.grad.clone() for layer in self.layers for p in layer.parameters() if p.grad is not None]

    def backward(self) -> None:
        output = self.engine.unroll(self.layers, self.input)[-1].output
        if output is None:
            raise GateError("gate: the readout hands out no potential")
        output.mean(0).logsumexp(1).sum().backward()


def compare(settings: DelaysSettings) -> dict[str, Any]:
    """Time all ways in turn, once both engines give equal gradients of weights and delays."""
    with limited(settings.threads) as cores:
        keep_freed_memory()
        random = torch.Generator().manual_seed(settings.seed)
        shape = (settings.steps, settings.batch, settings.inputs)
        spikes = (torch.rand(shape, generator=random) < DENSITY).float()
        steps = {way: _Step(settings, way, spikes) for way in WAYS}
        error = _largest_error(steps[WAYS[1]].gradients(), steps[WAYS[2]].gradients())
        load_before = report.load_average()
        times = interleave(dict(steps), settings.rounds)
    plain = times[WAYS[0]].cpu_ms
    return {
        "command": "delays",
        "settings": {**dataclasses.asdict(settings), "cores": cores},
        **report.conditions(load_before),
        "events": int(spikes.sum()),
        "gradient_error": error,
        "rounds": {way: dataclasses.asdict(own) for way, own in times.items()},
        "cpu_ms": {way: dataclasses.asdict(Spread.of(own.cpu_ms)) for way, own in times.items()},
        "times_without": {way: dataclasses.asdict(ratios(own.cpu_ms, plain)) for way, own in times.items()},
    }


def _largest_error(fused: list[Tensor], reference: list[Tensor]) -> float:
    """Return the largest error of the gradients, relative to each one's largest entry; a `GateError` if too large."""
    error = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(fused, reference, strict=True))
    if not error < ALLOWED:
        raise GateError(f"gate: gradients with delays are off by {error:.1e}; nothing was timed")
    return error


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = [[way, *(f"{result[key][way]['median']:.1f}" for key in ("cpu_ms", "times_without"))] for way in WAYS]
    return report.table(["one training step", "CPU ms, median", "times one without"], rows)
