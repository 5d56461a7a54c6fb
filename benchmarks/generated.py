"""`generated`: neurons that only their step defines, as a layer and in whole runs, on written loops and on `step`.

Whole runs are timed per training batch, from the start of an epoch to that of its validation, as Lightning drives
them; a layer by itself is given its currents, forward and backward. Both take turns in one process. What the loops
cost before the first step is measured in processes of their own, without a cache and with one.
"""

import dataclasses
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import sgbench
from benchmarks import gate, report
from benchmarks.gate import GateError
from benchmarks.measure import Clock, Spread, Times, limited, ratios
from benchmarks.sweep_long import ALLOWED_TIMED, DOUBLE
from benchmarks.whole_run import CONF, EpochClock
from benchmarks.whole_run_data import ThreeVariables, task_words
from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose as compose_spec
from sgbench.neurons.base import Neuron
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.memory import keep_freed_memory
from sgbench.training.runner import run_spec

ENGINES = ("generated", "reference")
NEURONS = ("adex", "izhikevich", "three_variables")
TARGETS = ["benchmarks.whole_run_data.W1Like", "benchmarks.whole_run_data.ThreeVariables"]
GAINS = {"adex": "2.1", "izhikevich": "2.1", "three_variables": "8.4"}
"""Of the weights at the start, so that some per cent of the hidden neurons fire."""
FIRST_STEP = """
import json, sys, time
import torch
from benchmarks.generated import Layer, driven, made
from benchmarks.measure import Clock
import fastspiking.generated_run, fastspiking.kernels.functions
layer, current, weights = Layer(made(sys.argv[1], 256)), *driven(sys.argv[1], 4, 4, 256)
clock = Clock()
for _ in range(2):
    layer.once("generated", current, weights)
    print(json.dumps(clock.read_ms()))
    clock = Clock()
"""


@dataclasses.dataclass(frozen=True)
class GeneratedSettings:
    """How it is measured."""

    steps: int = 100
    batch: int = 128
    hidden: int = 256
    epochs: int = 1
    threads: int = 1
    rounds: int = 3
    seed: int = 0


class Layer(nn.Module):
    """Neurons that are given their current."""

    recurrence, cut, recurrent, name = "none", False, None, "given"

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron

    def synapses(self) -> None:
        """None: there is no matrix."""

    def current(self, x: Tensor) -> Tensor:
        return x

    def feedback(self, s: Tensor) -> Tensor:
        return torch.zeros_like(s)

    def once(self, engine: str, current: Tensor, upstream: Tensor) -> Tensor:
        """Run forward, and backward from the gradient `upstream` of the spikes; return the spikes."""
        output = Engine(engine).unroll([self], current)[0].output
        if output is None:
            raise GateError(f"gate: engine {engine} hands out no spikes")
        output.backward(upstream)
        return output.detach()


def made(kind: str, size: int) -> Neuron:
    """Make a layer of `size` neurons of one of `NEURONS`."""
    surrogate = sgbench.create("surrogate/atan")
    if kind == "three_variables":
        return ThreeVariables(surrogate).float()
    return sgbench.create(f"neuron/{kind}", surrogate=surrogate, features=size).float()  # type: ignore[no-any-return]


def driven(kind: str, steps: int, batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw currents under which neurons fire now and then, and gradients of their spikes, both [steps, batch, size]."""
    random = torch.Generator().manual_seed(0)
    scale = {"adex": 0.5, "izhikevich": 1.0, "three_variables": 1.0}[kind]
    current = scale * (torch.randn(steps, batch, size, generator=random) + 0.3)
    return current.requires_grad_(), torch.randn(steps, batch, size, generator=random)


def compare(settings: GeneratedSettings) -> dict[str, Any]:
    """Measure each neuron alone in a layer, in a whole run, and its first step, when loops are compiled."""
    with limited(settings.threads) as cores, tempfile.TemporaryDirectory() as folder:
        memory_kept = keep_freed_memory()
        load_before = report.load_average()
        neurons = {
            kind: {
                "layer": _layer(kind, settings),
                "run": _run(kind, settings, Path(folder)),
                "first_step": _first_step(kind, Path(folder)),
            }
            for kind in NEURONS
        }
    return {
        "command": "generated",
        "sizes": {"steps": settings.steps, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": {**dataclasses.asdict(settings), "freed_memory_kept": memory_kept, "cores": cores},
        **report.conditions(load_before),
        "neurons": neurons,
    }


def _layer(kind: str, settings: GeneratedSettings) -> dict[str, Any]:
    """Time a layer forward and backward on each engine, once both give equal spikes and gradients."""
    layer = Layer(made(kind, settings.hidden))
    current, upstream = driven(kind, settings.steps, settings.batch, settings.hidden)
    times = {name: Times() for name in ENGINES}
    spikes, gradients = {}, {}
    for name in ENGINES:  # also the warm-up
        spikes[name] = layer.once(name, current, upstream)
        current.grad = None
        layer.once(name, current, upstream)
        gradients[name], current.grad = current.grad, None
    differing = int((spikes["generated"] != spikes["reference"]).sum())
    ours, expected = gradients["generated"], gradients["reference"]
    error = ((ours - expected).abs().max() / expected.abs().max()).item()  # type: ignore[operator, union-attr]
    if differing or not error < 1e-5:  # noqa: PLR2004 - what the engine promises in float32; NaN is refused too
        raise GateError(f"gate: {kind}: {differing} other spikes, gradients off by {error:.1e}; nothing was timed")
    for turn in range(3 * settings.rounds):
        for name in ENGINES if turn % 2 == 0 else ENGINES[::-1]:
            clock = Clock()
            layer.once(name, current, upstream)
            times[name].add(*clock.read_ms())
            current.grad = None
    rate = spikes["reference"].mean().item()
    return {"firing_rate": rate, "gradient_error": error, **_entry(times)}


def _run(kind: str, settings: GeneratedSettings, folder: Path) -> dict[str, Any]:
    """Time whole runs on each engine per training batch, once both learn alike."""
    gate_in_double(kind, settings, folder)
    times = {name: Times() for name in ENGINES}
    losses, chosen = {}, {}  # training loss of the first epoch, and the engine that was taken
    for turn in range(-1, settings.rounds):  # the first is the warm-up
        gc.collect()
        for name in ENGINES if turn % 2 == 0 else ENGINES[::-1]:
            clock = EpochClock()
            with clock.ticking():
                record = _finished(_spec(kind, name, settings, folder))
            losses[name] = record.curve[0].train_loss
            chosen[name] = record.provenance.engine
            if turn >= 0:
                batches = 3200 / settings.batch  # of an epoch
                cpu_ms, wall_ms = statistics.fmean(clock.times.cpu_ms), statistics.fmean(clock.times.wall_ms)
                times[name].add(cpu_ms / batches, wall_ms / batches)
    _compare(kind, losses, ALLOWED_TIMED)
    return {"engines": chosen, "losses": losses, **_entry(times)}


def gate_in_double(kind: str, settings: GeneratedSettings, folder: Path) -> None:
    """Compare losses and gradients of every batch of an epoch in float64, each from equal weights.

    Two free runs part by a factor with every batch, until spikes differ: no two ways of rounding survive that.
    """
    sides = {name: build(_spec(kind, name, settings, folder, DOUBLE)) for name in ENGINES}
    for name, parts in sides.items():
        if name not in parts.engine.name:
            raise GateError(f"gate: {kind} runs on {parts.engine.name}, not on {name}: {parts.engine.reason}")
    ours, theirs = (sides[name].network for name in ENGINES)
    sides["reference"].data.setup()
    for place, batch in enumerate(sides["reference"].data.epoch(0)):
        starts = {name: _learnt(parts, batch) for name, parts in sides.items()}
        where = f"batch {place} in float64"
        gate.require(gate.compare(kind, where, starts["reference"], starts["generated"], torch.float64))
        sides["reference"].optimizer.step()
        for weight, moved in zip(ours.parameters(), theirs.parameters(), strict=True):
            weight.detach().numpy()[...] = moved.detach().numpy()  # without any counter of versions


def _learnt(parts: Parts, batch: Batch) -> gate.Start:
    """Compute the loss of a batch and the gradients of all weights."""
    parts.optimizer.zero_grad()
    (progress,) = parts.rule.gradients(parts.network, batch, parts.objective)
    named = parts.network.named_parameters()
    gradients = {name: weight.grad.clone() for name, weight in named if weight.grad is not None}
    return gate.Start([progress.loss.item()], gradients)


def _finished(spec: RunSpec) -> RunRecord:
    """Run what `spec` describes; a run that fails is an error."""
    record = run_spec(spec)
    if record.status != "finished":
        raise GateError(f"gate: the run failed: {record.failure}")
    return record


def _compare(what: str, losses: dict[str, float], allowed: float) -> None:
    """Check that the losses on both engines are equal up to a relative difference of `allowed`."""
    ours, theirs = losses["generated"], losses["reference"]
    if not abs(ours - theirs) <= allowed * abs(theirs):
        raise GateError(f"gate: {what}: mean losses {ours:.10f} and {theirs:.10f}")


def _spec(kind: str, engine: str, settings: GeneratedSettings, folder: Path, *more: str) -> RunSpec:
    """Compose a run with a neuron of one of `NEURONS`; `more`: further overrides."""
    words = task_words(settings.batch, settings.hidden, settings.epochs, settings.steps)
    words = [word for word in words if not word.startswith(("neuron.", "init.gain"))]
    words += [
        f"neuron={kind}",
        f"init.gain={GAINS[kind]}",
        f"seed={settings.seed}",
        f"engine={'auto' if engine == 'generated' else engine}",  # auto takes the written loops
        f"trainer.threads={settings.threads}",
        f"paths.runs_dir={folder}",
        "force=true",
        *more,
    ]
    return compose_spec(words, config_dirs=[CONF], allow_targets=TARGETS)


def _first_step(kind: str, folder: Path) -> dict[str, dict[str, float]]:
    """Measure how much longer the first step takes than the second, in a new process without a cache and with one."""
    environment = {**os.environ, "SGBENCH_LOOPS": str(folder / f"loops_{kind}"), "OMP_NUM_THREADS": "1"}
    first_steps = {}
    for name in ("cold", "from_cache"):
        done = subprocess.run(  # noqa: S603 - this very Python
            [sys.executable, "-c", FIRST_STEP, kind], env=environment, capture_output=True, text=True, check=True
        )
        first, second = (json.loads(line) for line in done.stdout.splitlines())
        first_steps[name] = {"cpu_ms": first[0] - second[0], "wall_ms": first[1] - second[1]}
    return first_steps


def _entry(times: dict[str, Times]) -> dict[str, Any]:
    """Return the times on each engine, and how many times faster the written loops are."""
    ours, theirs = (times[name].cpu_ms for name in ENGINES)
    return {
        "rounds": {name: dataclasses.asdict(own) for name, own in times.items()},
        "cpu_ms": {name: dataclasses.asdict(Spread.of(own.cpu_ms)) for name, own in times.items()},
        "times_reference": dataclasses.asdict(ratios(theirs, ours)),
    }


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = []
    for kind, ways in result["neurons"].items():
        for way in ("layer", "run"):
            entry = ways[way]
            ours, theirs = (entry["cpu_ms"][name]["median"] for name in ENGINES)
            ratio = entry["times_reference"]
            row = [f"{kind}, {way}", f"{theirs:.1f}", f"{ours:.1f}", f"{ratio['median']:.2f}"]
            rows.append([*row, f"[{ratio['low']:.2f}..{ratio['high']:.2f}]"])
    head = ["per batch", "reference, CPU ms", "generated", "times faster", "[min..max]"]
    first = [
        [kind, *(f"{ways['first_step'][name]['cpu_ms'] / 1000:.2f}" for name in ("cold", "from_cache"))]
        for kind, ways in result["neurons"].items()
    ]
    below = report.table(["before the first step", "cold, CPU s", "from the cache"], first)
    return f"{report.table(head, rows)}\n\n{below}"
