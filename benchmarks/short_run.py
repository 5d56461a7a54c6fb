"""`short_run`: the processor time of one whole `sgbench run` of a single epoch, from start to end of its process.

Beside it stand processes that do a part of it alone: start Python, import torch, import all packages that a run
needs. Each is started anew in turn.
"""

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks import report
from benchmarks.measure import Spread, ratios
from benchmarks.sweep_runs import Clock
from sgbench.errors import InputError

WORDS = ("experiment=digits", "protocol.epochs=1")
PACKAGES = "import hydra, numba, torch"
RUN, TORCH = "sgbench run", "import torch"
PARTS = {"python": "pass", TORCH: "import torch", "import all packages of a run": PACKAGES}
AIM_S = 2.0


@dataclasses.dataclass(frozen=True)
class ShortRunSettings:
    """How often each is run."""

    rounds: int = 5


def compare(settings: ShortRunSettings) -> dict[str, Any]:
    """Run each in turn; one round before the first is not counted, since loops may have to be compiled."""
    load_before = report.load_average()
    names = [*PARTS, RUN]
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(settings.rounds + 1):
        for name in names if turn % 2 == 0 else names[::-1]:
            with tempfile.TemporaryDirectory() as folder:
                cpu_s = _process_s(_command(name, folder))
            if turn > 0:
                times[name].append(cpu_s)
    return {
        "command": "short_run",
        "words": WORDS,
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "load_before": load_before,
        "load_after": report.load_average(),
        "processes": {
            name: {
                "cpu_s": dataclasses.asdict(Spread.of(own)),
                "times_import_torch": dataclasses.asdict(ratios(own, times[TORCH])),
                "rounds_s": own,
            }
            for name, own in times.items()
        },
    }


def _command(name: str, folder: str) -> list[str]:
    if name == RUN:
        return [sys.executable, "-m", "sgbench", "run", *WORDS, f"paths.runs_dir={folder}"]
    return [sys.executable, "-c", PARTS[name]]


def _process_s(command: Sequence[str]) -> float:
    with Clock() as clock:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise InputError(f"{' '.join(command[1:4])}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return clock.cpu_s


def show(tree: dict[str, Any]) -> str:
    """The table."""
    rows = []
    for name, entry in tree["processes"].items():
        cpu_s, ratio = entry["cpu_s"], entry["times_import_torch"]
        rows.append(
            [name, f"{cpu_s['median']:.2f} ({cpu_s['low']:.2f} to {cpu_s['high']:.2f})", f"{ratio['median']:.2f}"]
        )
    return "\n".join(
        [
            f"sgbench run {' '.join(tree['words'])}; at most {AIM_S:g} s of CPU is the aim",
            report.head_line(tree),
            f"load average before {tree['load_before'][0]:.2f}, after {tree['load_after'][0]:.2f}",
            "",
            report.table(["a process", "CPU s", f"times {TORCH}"], rows),
        ]
    )
