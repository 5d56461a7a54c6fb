"""`places`: what a point of a sweep costs on this machine, on SLURM and on Ray, and how much it leaves on disk.

Points are tiny on purpose (a few epochs of digits), so that what is round the training is most of it. Processor
time is that of the sweep's own process and its children, and of jobs what they report. Beyond its
training, in a process that runs already, a point costs what is left once the time of its epochs is taken off.
"""

import dataclasses
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.sweep_runs import adopt_grandchildren
from sgbench.composition.plan import plan
from sgbench.errors import InputError, require_choice
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.where import PLACES

WORDS = (
    "experiment=digits",
    "protocol.patience=null",
    "protocol.steps=6",
    "protocol.hidden=[8]",
    "protocol.batch_size=256",
    "surrogate=atan,triangle",
)
EPOCHS = 3
AIM_CPU_S = 2.0  # a point, in an array of replicas
AIM_BEYOND_S = 0.1  # a point, in a process that runs already
TOLD = re.compile(r"jobs took ([0-9.]+) s of processor time")


@dataclasses.dataclass(frozen=True)
class PlacesSettings:
    """How large the sweep is, and where it runs."""

    on: str = "local"
    seeds: int = 50
    workers: int = 2


def compare(settings: PlacesSettings) -> dict[str, Any]:
    """Run the same sweep on this machine and each cluster, with one worker and with as many as were asked for."""
    places = settings.on.split(",")
    for place in places:
        require_choice("--on", place, PLACES)
    adopt_grandchildren()
    load_before = report.load_average()
    beyond_s = beyond_training_s(settings.seeds)
    counts = sorted({1, settings.workers})
    rows = [_sweep(place, settings.seeds, count) for count in counts for place in places]
    return {
        "command": "places",
        "environment": report.environment(),
        "load_before": load_before,
        "load_after": report.load_average(),
        "points": 2 * settings.seeds,
        "beyond_training_s_a_point": beyond_s,
        "sweeps": rows,
    }


def beyond_training_s(seeds: int) -> float:
    """CPU time of a point in this process without its epochs: composing, building, scoring, record and weights [s]."""
    _in_process_s(1, EPOCHS)  # imports and compiled loops
    once_s, twice_s = (_in_process_s(seeds, epochs) for epochs in (EPOCHS, 2 * EPOCHS))
    return (2 * once_s - twice_s) / (2 * seeds)


def _in_process_s(seeds: int, epochs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        words = [*WORDS, f"protocol.epochs={epochs}", f"seed=range({seeds})", f"paths.runs_dir={folder}"]
        GroupWorker(list(enumerate(plan(words, multirun=True).specs)), lambda _: None, lambda: False).run()
        return time.process_time() - began_s


def _sweep(place: str, seeds: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        command = [
            *(sys.executable, "-m", "sgbench", "run", "-m", *WORDS),
            *(f"protocol.epochs={EPOCHS}", f"seed=range({seeds})"),
            *("hydra/launcher=replicas", f"hydra.launcher.on={place}", f"hydra.launcher.workers={workers}"),
            f"paths.runs_dir={folder}",
        ]
        before, began_s = _children_s(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        wall_s, cpu_s = time.perf_counter() - began_s, _children_s() - before
        if done.returncode:
            raise InputError(f"{place}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        match = TOLD.search(done.stdout)
        if match is not None and place == "slurm":  # its jobs are no children of ours
            cpu_s += float(match[1])
        records = [read_model(path, RunRecord) for path in Path(folder).rglob(RECORD)]
        size_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    points = len(records)
    return {
        "place": place,
        "workers": workers,
        "wall_s": wall_s,
        "cpu_s_a_point": cpu_s / points,
        "fit_and_test_s_a_point": sum(record.timing.fit_s + record.timing.test_s for record in records) / points,
        "bytes_a_point": size_bytes / points,
    }


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(tree: dict[str, Any]) -> str:
    """The table."""
    rows = [
        [
            entry["place"],
            str(entry["workers"]),
            f"{entry['wall_s']:.1f}",
            f"{entry['cpu_s_a_point']:.2f}",
            f"{entry['fit_and_test_s_a_point']:.2f}",
            f"{entry['bytes_a_point'] / 1024:.0f}",
        ]
        for entry in tree["sweeps"]
    ]
    head = ["place", "workers", "wall s", "CPU s a point", "of it training and test", "KiB a point on disk"]
    return "\n".join(
        [
            f"{tree['points']} tiny points; at most {AIM_CPU_S:g} s of CPU a point is the aim on a cluster",
            f"in a process that runs already, beyond training: {tree['beyond_training_s_a_point']:.3f} s of CPU a "
            f"point; at most {AIM_BEYOND_S:g} is the aim",
            report.head_line(tree),
            f"load average before {tree['load_before'][0]:.2f}, after {tree['load_after'][0]:.2f}",
            "",
            report.table(head, rows),
        ]
    )
