"""`sweep`: sixteen runs as sixteen snnTorch processes, with Hydra's own launcher, and as replicas.

All start from the same weights, see the same batches in the same order, and score validation and test. What is
timed is everything: start of the processes, imports, training, scoring, records.
"""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.measure import Spread, ratios
from benchmarks.sweep_snntorch import SPIKE_GRADS
from benchmarks.whole_run import CONF, TARGET
from benchmarks.whole_run_data import W1Like
from sgbench.build import build
from sgbench.compose import compose
from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.trajectory import Batch

SCRIPT = Path(__file__).resolve().parent / "sweep_snntorch.py"
STEPS = 100  # of training, in all epochs
SEEDS = 4
LOSS_ALLOWED = 1e-3  # relative, of an epoch's mean: in float32 single spikes are lost to rounding
LIGHT, FULL, BASIC, REPLICAS = (
    "snnTorch, a process each",
    "same, Lightning imported",
    "sgbench, Hydra's launcher",
    "sgbench, replicas",
)
AIMS = {FULL: 14.0, BASIC: 5.0}
PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass(frozen=True)
class SweepSettings:
    """How the sweep is measured."""

    batch: int = 32
    hidden: int = 64
    rounds: int = 1
    workers: int = 2

    @property
    def epochs(self) -> int:
        """So that all make 100 steps."""
        return STEPS * self.batch // W1Like.sizes["train"]


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a whole sweep took, and its training losses by surrogate and seed, an entry an epoch."""

    cpu_s: float
    wall_s: float
    losses: dict[tuple[str, int], list[float]]


def compare(settings: SweepSettings) -> dict[str, Any]:
    """Run all four in turn.

    Raises:
        GateError: two of them come to different losses.
        InputError: the batch size does not divide the data.
    """
    if settings.epochs * W1Like.sizes["train"] != STEPS * settings.batch:
        raise InputError(
            f"--batch={settings.batch}: {STEPS} steps have to be whole epochs; 32, 64, 96, 128 are"
        )
    _adopt_grandchildren()
    found: dict[str, list[Taken]] = {}
    load_before = report.load_average()
    with tempfile.TemporaryDirectory() as folder:
        _export(settings, Path(folder))
        for turn in range(settings.rounds):
            timed = list(_contenders(settings, Path(folder)).items())
            for name, once in timed if turn % 2 == 0 else timed[::-1]:
                found.setdefault(name, []).append(once())
    _gate({name: taken[0].losses for name, taken in found.items()})
    return {
        "command": "sweep",
        "sizes": {"steps": 100, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "load_before": load_before,
        "load_after": report.load_average(),
        "runs": len(SPIKE_GRADS) * SEEDS,
        "training_steps": STEPS,
        "sweeps": {name: _entry(taken, found[REPLICAS]) for name, taken in found.items()},
    }


def _words(settings: SweepSettings) -> list[str]:
    """One network on one task; surrogate and seed come on top."""
    return [
        "dataset=w1_like",
        "encoder=latency",
        "loss=max_over_time",
        "network.bias=true",
        "neuron.beta=0.9",
        "readout.beta=0.9",
        "init.gain=4.2",  # so that a few per cent fire
        "optimizer.lr=0.001",
        "protocol.name=w1_like_v1",
        "protocol.steps=100",
        f"protocol.batch_size={settings.batch}",
        f"protocol.hidden=[{settings.hidden}]",
        f"protocol.epochs={settings.epochs}",
        "trainer.progress=false",
    ]


def _contenders(settings: SweepSettings, folder: Path) -> dict[str, Callable[[], Taken]]:
    return {
        LIGHT: lambda: _snntorch(settings, folder, []),
        FULL: lambda: _snntorch(settings, folder, ["full"]),
        BASIC: lambda: _sgbench(settings, ["hydra/launcher=basic"]),
        REPLICAS: lambda: _sgbench(
            settings, ["hydra/launcher=replicas", f"hydra.launcher.workers={settings.workers}"]
        ),
    }


def _export(settings: SweepSettings, folder: Path) -> None:
    """Initial weights and the batches of all epochs, for those that do not know sgbench."""
    for seed in range(SEEDS):
        spec = compose([*_words(settings), f"seed={seed}"], config_dirs=[CONF], allow_targets=[TARGET])
        parts = build(spec)
        parts.data.setup()
        hidden, readout = parts.network.hidden_layers[0], parts.network.readout
        weights = {"w1": hidden.weight, "b1": hidden.bias, "w2": readout.weight, "b2": readout.bias}
        arrays = {name: weight.detach().contiguous().numpy() for name, weight in weights.items()}
        np.savez(folder / f"weights_{seed}.npz", **arrays)
        data: dict[str, np.ndarray] = {}
        for epoch in range(settings.epochs):
            _add(data, str(epoch), parts.data.epoch(epoch))
        for split in ("validation", "test"):
            _add(data, split, parts.data.evaluation(split))
        np.savez(folder / f"data_{seed}.npz", **data)


def _add(data: dict[str, np.ndarray], name: str, batches: Sequence[Batch] | Iterator[Batch]) -> None:
    times, targets = [], []
    for batch in batches:
        dense = batch.x if isinstance(batch.x, torch.Tensor) else batch.x.dense()
        times.append(torch.where(dense.any(0), dense.argmax(0), 255).to(torch.uint8).numpy())
        targets.append(batch.target.numpy())
    data[f"times_{name}"], data[f"target_{name}"] = np.concatenate(times), np.concatenate(targets)


def _snntorch(settings: SweepSettings, folder: Path, extra: Sequence[str]) -> Taken:
    """Sixteen processes, as many at a time as there are workers."""
    points = list(itertools.product(SPIKE_GRADS, range(SEEDS)))
    waiting, running = list(points), {}
    losses = {}
    with _Clock() as clock:
        while waiting or running:
            while waiting and len(running) < settings.workers:
                name, seed = waiting.pop(0)
                words = [folder, name, seed, settings.batch, settings.epochs, *extra]
                command = [sys.executable, str(SCRIPT), *map(str, words)]
                child = subprocess.Popen(command, stdout=subprocess.PIPE, env=_one_thread())  # noqa: S603
                running[name, seed] = child
            point = next((each for each, child in running.items() if child.poll() is not None), None)
            if point is None:
                time.sleep(0.01)
                continue
            child = running.pop(point)
            if child.returncode != 0:
                raise GateError(f"gate: {SCRIPT.name} ended with exit code {child.returncode}")
            losses[point] = json.loads(child.stdout.read())["losses"]
            child.stdout.close()
    return Taken(clock.cpu_s, clock.wall_s, losses)


def _sgbench(settings: SweepSettings, extra: Sequence[str]) -> Taken:
    surrogates = ",".join(f"snntorch/{name}" for name in SPIKE_GRADS)
    seeds = ",".join(map(str, range(SEEDS)))
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *_words(settings),
            *extra,
            f"paths.runs_dir={folder}",
            f"surrogate={surrogates}",
            f"seed={seeds}",
        ]
        command = [sys.executable, "-m", "sgbench", "run", "-m", "--config-dir", str(CONF)]
        command += ["--allow-target", TARGET, *words]
        with _Clock() as clock:
            done = subprocess.run(command, capture_output=True, text=True, env=_one_thread(), check=False)  # noqa: S603
        if done.returncode != 0:
            raise GateError(f"gate: sgbench ended with exit code {done.returncode}: {done.stderr[-300:]}")
        losses = {}
        for path in Path(folder).rglob(RECORD):
            record = read_model(path, RunRecord)
            name = record.method.choices["surrogate"].removeprefix("snntorch/")
            losses[name, record.seed] = [line.train_loss for line in record.curve]
    return Taken(clock.cpu_s, clock.wall_s, losses)


def _one_thread() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


class _Clock:
    """Wall time, and CPU time of all processes that ended inside."""

    def __enter__(self) -> _Clock:
        self.wall_s, self.cpu_s = time.perf_counter(), _children_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self.wall_s
        while True:  # a process whose parent has ended came to us, and counts only once it is waited for
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        self.cpu_s = _children_s() - self.cpu_s


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _adopt_grandchildren() -> None:
    """Processes whose parent ends before them become ours, so that their time can be counted.

    Raises:
        InputError: not on Linux.
    """
    if not sys.platform.startswith("linux"):
        raise InputError("benchmarks sweep: counts the time of all processes as only Linux can")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _gate(losses: dict[str, dict[tuple[str, int], list[float]]]) -> None:
    """All have to train alike, and surrogates differently.

    Raises:
        GateError: an epoch's mean loss differs, or a run is missing.
    """
    base = losses[LIGHT]
    for name, own in losses.items():
        for point, expected in base.items():
            found = own.get(point, [])
            if len(found) != len(expected) or not np.allclose(found, expected, rtol=LOSS_ALLOWED, atol=0):
                raise GateError(
                    f"gate: {name}, {point[0]} seed {point[1]}: training losses {found}, but {expected} in "
                    f"{LIGHT}; the times mean nothing"
                )


def _entry(own: Sequence[Taken], replicas: Sequence[Taken]) -> dict[str, Any]:
    cpu_s, wall_s = [each.cpu_s for each in own], [each.wall_s for each in own]
    ours_cpu_s, ours_wall_s = [each.cpu_s for each in replicas], [each.wall_s for each in replicas]
    return {
        "rounds": {"cpu_s": cpu_s, "wall_s": wall_s},
        "cpu_s": dataclasses.asdict(Spread.of(cpu_s)),
        "wall_s": dataclasses.asdict(Spread.of(wall_s)),
        "times_replicas_cpu": dataclasses.asdict(ratios(cpu_s, ours_cpu_s)),
        "times_replicas_wall": dataclasses.asdict(ratios(wall_s, ours_wall_s)),
    }


def show(tree: dict[str, Any]) -> str:
    """The table."""
    rows = []
    for name, entry in tree["sweeps"].items():
        cpu, wall = entry["cpu_s"], entry["wall_s"]
        ratio, wall_ratio = entry["times_replicas_cpu"], entry["times_replicas_wall"]
        aim = f">= {AIMS[name]:g}" if name in AIMS else ""
        rows.append(
            [
                name,
                *(f"{cpu[key]:.1f}" for key in ("low", "median", "high")),
                f"{wall['median']:.1f}",
                f"{ratio['median']:.2f}",
                aim,
                f"{wall_ratio['median']:.2f}",
            ]
        )
    head = ["a whole sweep", "CPU s: min", "median", "max", "wall s", "x replicas, CPU", "aim", "wall"]
    return "\n".join(
        [
            f"{tree['runs']} runs of {tree['training_steps']} training steps: {report.sizes_line(tree['sizes'])}; "
            f"{tree['settings']['workers']} processes at a time, one thread each",
            report.head_line(tree),
            f"load average before {tree['load_before'][0]:.2f}, after {tree['load_after'][0]:.2f}",
            "",
            report.table(head, rows),
        ]
    )
