"""`short_run`: the time of one whole `sgbench run` of a single epoch, from start to end of its process.

Beside it stand the same run where nothing has been compiled yet, and processes that do a part of it alone: start
Python, import torch, import all packages that a run needs. Each is started anew in turn.
"""

import dataclasses
import os
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
RUN, FIRST, HELP, TORCH = "sgbench run", "sgbench run, nothing compiled", "sgbench --help", "import torch"
PARTS = {
    "python": ("-c", "pass"), "import sgbench": ("-c", "import sgbench"), TORCH: ("-c", "import torch"),
    "import all packages of a run": ("-c", PACKAGES), HELP: ("-m", "sgbench", "--help"),
}  # fmt: skip
AIM_S = 2.0


@dataclasses.dataclass(frozen=True)
class ShortRunSettings:
    """How often each is run."""

    rounds: int = 5


def compare(settings: ShortRunSettings) -> dict[str, Any]:
    """Run each in turn; one round before the first is not counted, since loops may have to be compiled."""
    load_before = report.load_average()
    clocks: dict[str, list[Clock]] = {name: [] for name in (*PARTS, RUN, FIRST)}
    for turn in range(settings.rounds + 1):
        for name in clocks if turn % 2 == 0 else reversed(clocks):
            with tempfile.TemporaryDirectory() as folder:
                clock = _timed(_command(name, folder), folder if name == FIRST else None)
            clocks[name] += [clock] if turn > 0 else []
    times = {name: [clock.cpu_s for clock in own] for name, own in clocks.items()}
    return {
        "command": "short_run",
        "words": WORDS,
        "settings": dataclasses.asdict(settings),
        **report.conditions(load_before),
        "processes": {
            name: {
                "cpu_s": dataclasses.asdict(Spread.of(own)),
                "wall_s": dataclasses.asdict(Spread.of([clock.wall_s for clock in clocks[name]])),
                "times_import_torch": dataclasses.asdict(ratios(own, times[TORCH])),
                "rounds_s": own,
            }
            for name, own in times.items()
        },
    }


def _command(name: str, folder: str) -> list[str]:
    """Return the command of a run or of a part of one; `folder`: of the run's record."""
    if name in (RUN, FIRST):
        return [sys.executable, "-m", "sgbench", "run", *WORDS, f"paths.runs_dir={folder}"]
    return [sys.executable, *PARTS[name]]


def _timed(command: Sequence[str], caches: str | None) -> Clock:
    """Time a process, with empty caches of compiled loops in the folder `caches` unless it is None."""
    with Clock() as clock:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False,
            env=os.environ | ({"NUMBA_CACHE_DIR": caches, "SGBENCH_LOOPS": caches} if caches else {}),
        )  # fmt: skip
    if done.returncode:
        raise InputError(f"{' '.join(command[1:4])}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return clock


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    rows = []
    for name, entry in result["processes"].items():
        seconds = [f"{s['median']:.2f} ({s['low']:.2f} to {s['high']:.2f})" for s in (entry["cpu_s"], entry["wall_s"])]
        rows.append([name, *seconds, f"{entry['times_import_torch']['median']:.2f}"])
    return "\n".join(
        [
            f"sgbench run {' '.join(result['words'])}; at most {AIM_S:g} s of CPU is the aim",
            report.head_line(result),
            f"load average before {result['load_before'][0]:.2f}, after {result['load_after'][0]:.2f}",
            "",
            report.table(["a process", "CPU s", "wall s", f"CPU, times {TORCH}"], rows),
        ]
    )
