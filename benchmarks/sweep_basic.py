"""`basic_sweep`: a hundred tiny runs as replicas, against Hydra's basic launcher with snnTorch and Lightning.

Two learning rates, five slopes and ten seeds, each sweep as one command of its user. Both start from the same
weights, see the same batches in the same order, log every epoch, keep the checkpoint that validation selects and
test it. What is timed is everything, as in `sweep`.

With fewer `--basic-seeds`, some points of the script stand for all: the rest is reckoned at their mean beyond the
start of its process, which is timed apart and counted once.
"""

import csv
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.sweep_long import ALPHAS, RATES, LongSettings, Losses, gate, losses_of, words_of
from benchmarks.sweep_runs import Taken, adopt_grandchildren, export, sgbench_sweep, timed_process
from sgbench.errors import InputError, require_count

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
    basic_seeds: int = 10


def compare(settings: BasicSettings) -> dict[str, Any]:
    """Run the sweep by the script of plain packages and as replicas, and check that both learn alike."""
    require_count("--basic-seeds", settings.basic_seeds, low=1)
    if settings.basic_seeds > settings.seeds:
        raise InputError(f"--basic-seeds {settings.basic_seeds}: at most the {settings.seeds} seeds")
    adopt_grandchildren()
    load_before = report.load_average()
    long = LongSettings(settings.batch, settings.hidden, settings.epochs, settings.seeds, settings.workers, processes=0)
    with tempfile.TemporaryDirectory() as folder:
        export(settings, Path(folder), range(settings.basic_seeds))
        theirs, expected = _basic(settings, Path(folder))
    theirs = _of_all(theirs, _script("--cfg", "job"), settings)
    taken, records = sgbench_sweep(words_of(long))
    gate(long, losses_of(records), expected)
    return {
        "command": "basic_sweep",
        "sizes": {"steps": 100, "batch": settings.batch, "inputs": 700, "hidden": settings.hidden},
        "settings": dataclasses.asdict(settings),
        **report.conditions(load_before),
        "runs": len(long.points),
        "basic_runs": len(expected),
        "sweeps": {BASIC: _entry(theirs), REPLICAS: _entry(taken)},
        "times_replicas_cpu": theirs.cpu_s / taken.cpu_s,
        "times_replicas_wall": theirs.wall_s / taken.wall_s,
    }


def _basic(settings: BasicSettings, folder: Path) -> tuple[Taken, Losses]:
    """Run the script's multirun; return what it took, and by point the training loss of each epoch."""
    words = [
        f"lr={','.join(map(str, RATES))}",
        f"alpha={','.join(map(str, ALPHAS))}",
        f"seed={','.join(map(str, range(settings.basic_seeds)))}",
        *(f"{name}={getattr(settings, name)}" for name in ("batch", "epochs")),
        f"folder={folder}",
        f"hydra.sweep.dir={folder}/multirun",
        "hydra.sweep.subdir=${lr}_${alpha}_${seed}",
    ]
    taken = _script("-m", *words)
    losses: Losses = {}
    for path in (folder / "multirun").glob("*/metrics.csv"):
        lr, alpha, seed = path.parent.name.split("_")
        with path.open() as file:
            cells = [row["train_loss"] for row in csv.DictReader(file)]
        losses[float(lr), float(alpha), int(seed)] = [float(cell) for cell in cells if cell]
    return taken, losses


def _script(*words: str) -> Taken:
    """Run the script with these words and return what it took, without losses."""
    clock, _ = timed_process([sys.executable, "-W", "ignore", str(SCRIPT), *words], SCRIPT.name)
    return Taken(clock.cpu_s, clock.wall_s, {})


def _of_all(taken: Taken, start: Taken, settings: BasicSettings) -> Taken:
    """Return what all points take: as measured, or extrapolated from `taken` if that is of some seeds alone.

    `start`: what the script takes without a point, which counts once.
    """
    factor = settings.seeds / settings.basic_seeds
    if factor == 1:
        return taken
    cpu_s = start.cpu_s + factor * (taken.cpu_s - start.cpu_s)
    return Taken(cpu_s, start.wall_s + factor * (taken.wall_s - start.wall_s), {})


def _entry(taken: Taken) -> dict[str, float]:
    return {"cpu_s": taken.cpu_s, "wall_s": taken.wall_s}


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = [
        [name, f"{entry['cpu_s']:.1f}", f"{entry['wall_s']:.1f}", f"{entry['cpu_s'] / result['runs']:.3f}"]
        for name, entry in result["sweeps"].items()
    ]
    is_sample = result["basic_runs"] < result["runs"]
    sample = f"; the script ran {result['basic_runs']} of them, which stand for all" if is_sample else ""
    return "\n".join(
        [
            f"{result['runs']} runs of {result['settings']['epochs']} epochs: {report.sizes_line(result['sizes'])}; "
            f"replicas in {result['settings']['workers']} processes{sample}",
            report.head_line(result),
            f"load average before {result['load_before'][0]:.2f}, after {result['load_after'][0]:.2f}",
            "",
            report.table(["a whole sweep", "CPU s", "wall s", "CPU s a point"], rows),
            "",
            f"replicas are {result['times_replicas_cpu']:.1f} times cheaper, {result['times_replicas_wall']:.1f} times "
            f"faster; the aim is {AIM:g}",
        ]
    )
