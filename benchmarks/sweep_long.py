"""`long_sweep`: a hundred runs of thirty epochs as replicas, against a process of plain snnTorch each.

Two learning rates, five slopes and ten seeds. A few points, spread over all, are run as processes of snnTorch; all
do the same work, so the hundred take their mean a hundred times. What is timed is everything, as in `sweep`.
"""

import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.sweep_runs import SCRIPT, adopt_grandchildren, export, sgbench_sweep, timed_process
from benchmarks.whole_run_data import task_words
from sgbench.errors import InputError
from sgbench.records.record import RunRecord

RATES, ALPHAS = (0.001, 0.002), (0.5, 1.0, 2.0, 4.0, 8.0)
AIM = 25.0
GATED_EPOCHS = 4
"""Epochs of the gate in float64, where rounding turns no spike."""
ALLOWED_DOUBLE = 1e-9  # relative, of an epoch's mean loss in the gate
ALLOWED_TIMED = 3e-3  # the same in float32, of the first epoch of what is timed
DOUBLE = "protocol.precision=float64"
Losses = dict[tuple[float, float, int], list[float]]
"""By learning rate, alpha and seed, the mean training loss of each epoch."""


@dataclasses.dataclass(frozen=True)
class LongSettings:
    """How it is measured."""

    batch: int = 128
    hidden: int = 64
    epochs: int = 30
    seeds: int = 10
    workers: int = 2
    processes: int = 4

    @property
    def points(self) -> list[tuple[float, float, int]]:
        """List learning rate, alpha and seed of each run."""
        return list(itertools.product(RATES, ALPHAS, range(self.seeds)))

    @property
    def sampled(self) -> list[tuple[float, float, int]]:
        """Select `processes` of the points, evenly spread, that snnTorch runs."""
        places = np.linspace(0, len(self.points) - 1, self.processes).astype(int)
        return [self.points[place] for place in places]


def compare(settings: LongSettings) -> dict[str, Any]:
    """Run all points as replicas and some in processes of snnTorch, once both learn alike in float64."""
    if settings.processes > len(settings.points):
        raise InputError(f"--processes {settings.processes}: at most the {len(settings.points)} points")
    adopt_grandchildren()
    load_before = report.load_average()
    with tempfile.TemporaryDirectory() as folder:
        gate_in_double(settings, Path(folder))
        export(settings, Path(folder), sorted({seed for *_, seed in settings.sampled}))
        theirs = [train_alone(settings, point, Path(folder)) for point in settings.sampled]
    taken, records = sgbench_sweep(words_of(settings))
    expected = dict(zip(settings.sampled, (losses for _, losses in theirs), strict=True))
    gate(settings, losses_of(records), expected)
    alone_s = [cpu_s for cpu_s, _ in theirs]
    expected_s = statistics.fmean(alone_s) * len(settings.points)
    return {
        "command": "long_sweep",
        "sizes": {"steps": 100, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": dataclasses.asdict(settings),
        **report.conditions(load_before),
        "runs": len(settings.points),
        "snntorch_process_cpu_s": alone_s,
        "snntorch_all_cpu_s": expected_s,
        "replicas_cpu_s": taken.cpu_s,
        "replicas_wall_s": taken.wall_s,
        "times_replicas_cpu": expected_s / taken.cpu_s,
    }


def words_of(settings: LongSettings) -> list[str]:
    """Write the sweep of all points as overrides, with the launcher of replicas."""
    task = task_words(settings.batch, settings.hidden, settings.epochs)
    return [
        *(word for word in task if not word.startswith("optimizer.lr")),
        "surrogate=snntorch/atan",
        f"surrogate.alpha={','.join(map(str, ALPHAS))}",
        f"optimizer.lr={','.join(map(str, RATES))}",
        f"seed={','.join(map(str, range(settings.seeds)))}",
        "hydra/launcher=replicas",
        f"hydra.launcher.workers={settings.workers}",
    ]


def losses_of(records: Sequence[RunRecord]) -> Losses:
    """Map learning rate, alpha and seed of each record to its training losses."""
    losses: Losses = {}
    for record in records:
        parameters: Any = record.method.parameters
        point = (parameters["optimizer"]["lr"], parameters["surrogate"]["alpha"], record.seed)
        losses[point] = [line.train_loss for line in record.curve]
    return losses


def gate_in_double(settings: LongSettings, folder: Path) -> None:
    """Check that snnTorch and replicas reach equal losses in float64, over a few epochs of the sampled points."""
    short = dataclasses.replace(settings, epochs=GATED_EPOCHS)
    export(short, folder, sorted({seed for *_, seed in settings.sampled}), [DOUBLE])
    for lr, alpha, seed in settings.sampled:
        point = (lr, alpha, seed)
        words = [f"surrogate.alpha={alpha}", f"optimizer.lr={lr}", f"seed={seed}", DOUBLE]
        common = task_words(short.batch, short.hidden, short.epochs)
        _, records = sgbench_sweep([*common, "surrogate=snntorch/atan", *words, "hydra/launcher=replicas"])
        _, expected = train_alone(short, point, folder, "double")
        compare_losses(point, losses_of(records)[point], expected, ALLOWED_DOUBLE)


def train_alone(
    settings: LongSettings, point: tuple[float, float, int], folder: Path, *extra: str
) -> tuple[float, list[float]]:
    """Train a point in a process of snnTorch; return its CPU time [s] and the loss of each epoch."""
    lr, alpha, seed = point
    words = [SCRIPT, folder, "atan", seed, settings.batch, settings.epochs, lr, alpha, *extra]
    clock, output = timed_process([sys.executable, *map(str, words)], SCRIPT.name)
    return clock.cpu_s, json.loads(output)["losses"]


def gate(settings: LongSettings, ours: Losses, theirs: Losses) -> None:
    """Check that every run has left a record and that what is timed begins alike on both sides."""
    if set(ours) != set(settings.points):
        raise GateError(f"gate: {len(ours)} of {len(settings.points)} runs have left a record")
    for point, expected in theirs.items():
        compare_losses(point, ours[point][:1], expected[:1], ALLOWED_TIMED)


def compare_losses(
    point: tuple[float, float, int], ours: Sequence[float], theirs: Sequence[float], allowed: float
) -> None:
    """Compare the mean losses of a point's epochs, relative to those of snnTorch."""
    trained, expected = np.array(ours), np.array(theirs)
    if not np.max(np.abs(trained - expected) / np.abs(expected)) <= allowed:
        lr, alpha, seed = point
        raise GateError(f"gate: lr {lr}, alpha {alpha}, seed {seed}: losses {trained} and {expected}")


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    alone = ", ".join(f"{cpu_s:.1f}" for cpu_s in result["snntorch_process_cpu_s"])
    return "\n".join(
        [
            f"{result['runs']} runs of {result['settings']['epochs']} epochs: {report.sizes_line(result['sizes'])}",
            f"load average before {result['load_before'][0]:.2f}, after {result['load_after'][0]:.2f}",
            f"plain snnTorch, CPU s of {result['settings']['processes']} processes: {alone}; "
            f"all {result['runs']}: {result['snntorch_all_cpu_s']:.0f}",
            f"replicas: {result['replicas_cpu_s']:.1f} CPU s, {result['replicas_wall_s']:.1f} s; "
            f"{result['times_replicas_cpu']:.1f} times cheaper, the aim is {AIM:g}",
        ]
    )
