"""`basic_sweep`: a hundred tiny runs as replicas, against Hydra's basic launcher with snnTorch and Lightning.

Two learning rates, five slopes and ten seeds, all of them on both sides, each sweep as one command of its user.
Both start from the same weights, see the same batches in the same order, log every epoch, keep the checkpoint that
validation selects and test it. What is timed is everything, as in `sweep`.
"""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.gate import GateError
from benchmarks.sweep_long import ALPHAS, RATES, LongSettings, Losses, gate, losses_of, words_of
from benchmarks.sweep_runs import Clock, Taken, adopt_grandchildren, export, one_thread, sgbench_sweep

SCRIPT = Path(__file__).resolve().parent / "basic_lightning.py"
AIM = 5.0
BASIC, REPLICAS = "snnTorch and Lightning, basic launcher", "sgbench, replicas"


@dataclasses.dataclass(frozen=True)
class BasicSettings:
    """How it is measured."""

    batch: int = 128
    hidden: int = 64
    epochs: int = 1
    seeds: int = 10
    workers: int = 2


def compare(settings: BasicSettings) -> dict[str, Any]:
    """Run all points with Hydra's basic launcher, and all as replicas.

    Raises:
        GateError: they come to different losses.
    """
    adopt_grandchildren()
    load_before = report.load_average()
    long = LongSettings(processes=0, **dataclasses.asdict(settings))
    with tempfile.TemporaryDirectory() as folder:
        export(settings, Path(folder), range(settings.seeds))
        theirs, expected = _basic(settings, Path(folder))
    taken, records = sgbench_sweep(words_of(long))
    gate(long, losses_of(records), expected)
    return {
        "command": "basic_sweep",
        "sizes": {"steps": 100, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "load_before": load_before,
        "load_after": report.load_average(),
        "runs": len(long.points),
        "sweeps": {BASIC: _entry(theirs), REPLICAS: _entry(taken)},
        "times_replicas_cpu": theirs.cpu_s / taken.cpu_s,
        "times_replicas_wall": theirs.wall_s / taken.wall_s,
    }


def _basic(settings: BasicSettings, folder: Path) -> tuple[Taken, Losses]:
    """What the multirun of the script took, and its training losses by point, an entry an epoch."""
    words = [
        f"lr={','.join(map(str, RATES))}",
        f"alpha={','.join(map(str, ALPHAS))}",
        f"seed={','.join(map(str, range(settings.seeds)))}",
        *(f"{name}={getattr(settings, name)}" for name in ("batch", "epochs")),
        f"folder={folder}",
        f"hydra.sweep.dir={folder}/multirun",
        "hydra.sweep.subdir=${lr}_${alpha}_${seed}",
    ]
    with Clock() as clock:
        done = subprocess.run(  # noqa: S603 - this very Python
            [sys.executable, "-W", "ignore", str(SCRIPT), "-m", *words],
            capture_output=True,
            text=True,
            env=one_thread(),
            check=False,
        )
    if done.returncode != 0:
        raise GateError(f"gate: {SCRIPT.name} ended with exit code {done.returncode}: {done.stderr[-300:]}")
    losses: Losses = {}
    for path in (folder / "multirun").glob("*/metrics.csv"):
        lr, alpha, seed = path.parent.name.split("_")
        with path.open() as file:
            found = [row["train_loss"] for row in csv.DictReader(file)]
        losses[float(lr), float(alpha), int(seed)] = [float(each) for each in found if each]
    return Taken(clock.cpu_s, clock.wall_s, {}), losses


def _entry(taken: Taken) -> dict[str, float]:
    return {"cpu_s": taken.cpu_s, "wall_s": taken.wall_s}


def show(tree: dict[str, Any]) -> str:
    """The table, and by how much replicas are cheaper."""
    rows = [
        [
            name,
            f"{entry['cpu_s']:.1f}",
            f"{entry['wall_s']:.1f}",
            f"{entry['cpu_s'] / tree['runs']:.3f}",
        ]
        for name, entry in tree["sweeps"].items()
    ]
    return "\n".join(
        [
            f"{tree['runs']} runs of {tree['settings']['epochs']} epochs: {report.sizes_line(tree['sizes'])}; "
            f"replicas in {tree['settings']['workers']} processes",
            report.head_line(tree),
            f"load average before {tree['load_before'][0]:.2f}, after {tree['load_after'][0]:.2f}",
            "",
            report.table(["a whole sweep", "CPU s", "wall s", "CPU s a point"], rows),
            "",
            f"replicas are {tree['times_replicas_cpu']:.1f} times cheaper, {tree['times_replicas_wall']:.1f} times "
            f"faster; the aim is {AIM:g}",
        ]
    )
