"""Sixteen runs on one task, whoever makes them: what is run, and what it takes."""

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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from benchmarks.gate import GateError
from benchmarks.sweep_snntorch import SPIKE_GRADS
from benchmarks.whole_run import CONF, TARGET
from benchmarks.whole_run_data import W1Like, task_words
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.training.build import build

SCRIPT = Path(__file__).resolve().parent / "sweep_snntorch.py"
STEPS = 100  # of training, in all epochs
SEEDS = 4
LIGHT, FULL, BASIC, REPLICAS = (
    "snnTorch, a process each",
    "same, Lightning imported",
    "sgbench, Hydra's launcher",
    "sgbench, replicas",
)
PR_SET_CHILD_SUBREAPER = 36


class Sizes(Protocol):
    """What says which batches a sweep sees."""

    @property
    def batch(self) -> int:
        """Samples of a step."""

    @property
    def hidden(self) -> int:
        """Hidden neurons."""

    @property
    def epochs(self) -> int:
        """Of each run."""


@dataclasses.dataclass(frozen=True)
class SweepSettings:
    """How the sweep is measured."""

    batch: int = 32
    hidden: int = 64
    rounds: int = 1
    workers: int = 2

    @property
    def epochs(self) -> int:
        """Return the number of epochs that make `STEPS` training steps."""
        return STEPS * self.batch // W1Like.sizes["train"]


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a whole sweep took, and its training losses by surrogate and seed, an entry an epoch."""

    cpu_s: float
    wall_s: float
    losses: dict[tuple[str, int], list[float]]


def sweep_words(settings: SweepSettings) -> list[str]:
    names = ",".join(f"snntorch/{name}" for name in SPIKE_GRADS)
    return [
        *task_words(settings.batch, settings.hidden, settings.epochs),
        f"surrogate={names}",
        f"seed={','.join(map(str, range(SEEDS)))}",
    ]


def contenders(settings: SweepSettings, folder: Path) -> dict[str, Callable[[], Taken]]:
    """Return the ways to run the sweep, by name; those of snnTorch read weights and batches from `folder`."""
    return {
        LIGHT: lambda: _snntorch(settings, folder, []),
        FULL: lambda: _snntorch(settings, folder, ["full"]),
        BASIC: lambda: _sgbench(settings, ["hydra/launcher=basic"]),
        REPLICAS: lambda: _sgbench(settings, ["hydra/launcher=replicas", f"hydra.launcher.workers={settings.workers}"]),
    }


def export(settings: Sizes, folder: Path, seeds: Iterable[int] = range(SEEDS), extra: Sequence[str] = ()) -> None:
    """Write initial weights and the batches of all epochs, for those that do not know sgbench."""
    for seed in seeds:
        words = [*task_words(settings.batch, settings.hidden, settings.epochs), f"seed={seed}", *extra]
        spec = compose(words, config_dirs=[CONF], allow_targets=[TARGET])
        parts = build(spec)
        parts.data.setup()
        hidden, readout = parts.network.hidden_layers[0], parts.network.readout
        weights = {"w1": hidden.weight, "b1": hidden.bias, "w2": readout.weight, "b2": readout.bias}
        arrays = {name: weight.detach().contiguous().numpy() for name, weight in weights.items()}
        np.savez(folder / f"weights_{seed}.npz", **arrays)
        data: dict[str, np.ndarray] = {}
        for epoch in range(settings.epochs):
            _add_batches(data, str(epoch), parts.data.epoch(epoch))
        with parts.data.last_step():
            for split in ("validation", "test"):
                _add_batches(data, split, parts.data.evaluation(split))
        np.savez(folder / f"data_{seed}.npz", **data)


def _add_batches(data: dict[str, np.ndarray], name: str, batches: Iterable[Batch]) -> None:
    """Add the joined batches of an epoch or a split: the step at which each channel fires (255: never), and classes."""
    times, targets = [], []
    for batch in batches:
        dense = batch.x if isinstance(batch.x, torch.Tensor) else batch.x.dense()  # [steps, batch, channels]
        times.append(torch.where(dense.any(0), dense.argmax(0), 255).to(torch.uint8).numpy())
        targets.append(batch.target.numpy())
    data[f"times_{name}"], data[f"target_{name}"] = np.concatenate(times), np.concatenate(targets)


def _snntorch(settings: SweepSettings, folder: Path, extra: Sequence[str]) -> Taken:
    """Train the sixteen points in a process of snnTorch each, as many at a time as there are workers."""
    points = list(itertools.product(SPIKE_GRADS, range(SEEDS)))
    waiting, running = list(points), {}
    losses = {}
    with Clock() as clock:
        while waiting or running:
            while waiting and len(running) < settings.workers:
                name, seed = waiting.pop(0)
                words = [folder, name, seed, settings.batch, settings.epochs, *extra]
                command = [sys.executable, str(SCRIPT), *map(str, words)]
                child = subprocess.Popen(command, stdout=subprocess.PIPE, env=_one_thread())  # noqa: S603
                running[name, seed] = child
            point = next((key for key, child in running.items() if child.poll() is not None), None)
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
    """Run the sweep by sgbench with further overrides; return what it took, with its losses."""
    taken, records = sgbench_sweep([*sweep_words(settings), *extra])
    losses = {}
    for record in records:
        name = record.method.choices["surrogate"].removeprefix("snntorch/")
        losses[name, record.seed] = [line.train_loss for line in record.curve]
    return dataclasses.replace(taken, losses=losses)


def sgbench_sweep(words: Sequence[str]) -> tuple[Taken, list[RunRecord]]:
    """Run a multirun in a process of its own; return what it took, and its records."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sgbench", "run", "-m", "--config-dir", str(CONF)]
        command += ["--allow-target", TARGET, *words, f"paths.runs_dir={folder}"]
        clock, _ = timed_process(command, "sgbench")
        records = [read_model(path, RunRecord) for path in Path(folder).rglob(RECORD)]
    return Taken(clock.cpu_s, clock.wall_s, {}), records


def timed_process(command: Sequence[str], name: str) -> tuple[Clock, str]:
    """Run a process on one core; return what it took and what it printed; a `GateError` with its name if it fails."""
    with Clock() as clock:
        done = subprocess.run(command, capture_output=True, text=True, env=_one_thread(), check=False)  # noqa: S603
    if done.returncode != 0:
        raise GateError(f"gate: {name} ended with exit code {done.returncode}: {done.stderr[-300:]}")
    return clock, done.stdout


def _one_thread() -> dict[str, str]:
    """Return the environment of a process that computes on one core and finds this folder."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


class Clock:
    """Measures wall time, and CPU time of all processes that end in its context [s]."""

    def __enter__(self) -> Clock:
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


def adopt_grandchildren() -> None:
    """Adopt processes whose parent ends before them, so that their time can be counted."""
    if not sys.platform.startswith("linux"):
        raise InputError("benchmarks sweep: counts the time of all processes as only Linux can")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
