"""`board`: how long `sgbench board build` takes over thousands of made-up records, and how much memory.

Each method is one of the published records of digits with another width of its surrogate and other scores.
"""

import dataclasses
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.measure import Spread
from sgbench.errors import InputError, SgbenchError
from sgbench.records.content import Scores
from sgbench.records.files import read_model, to_json
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord

PUBLISHED = Path(__file__).parents[1] / "leaderboards" / "digits_v1" / "records"
AIM_S, AIM_MB = 5.0, 500.0  # of 10,000 records
NARROWEST, STEP = 0.05, 0.001  # widths of the surrogate
LOOK_S = 0.05  # between two looks at the memory


@dataclasses.dataclass(frozen=True)
class BoardSettings:
    """How it is measured."""

    methods: int = 2000
    rounds: int = 5
    seed: int = 0


def compare(settings: BoardSettings) -> dict[str, Any]:
    """Measure the command in a process of its own, start included."""
    with tempfile.TemporaryDirectory() as folder:
        records = sum(1 for _ in write_records(Path(folder), settings))
        words = ["board", "build", "--from", "leaderboards", "--root", folder]
        load_before = report.load_average()
        walls = [timed(words)[0] for _ in range(settings.rounds)]
        _, peak_mb = timed(words, watch_memory=True)  # by itself, since watching takes time
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"load_before": load_before},
        "records": records,
        "wall_s": walls,
        "peak_mb": peak_mb,
    }


def write_records(root: Path, settings: BoardSettings) -> Iterator[Path]:
    """Write the made-up records of all methods below a folder of boards; yield the path of each."""
    patterns = _published()
    generator = random.Random(settings.seed)  # noqa: S311 - scores, no secrets
    for number in range(settings.methods):
        mean_accuracy = generator.uniform(0.7, 0.95)
        for pattern in patterns:
            record = _varied(pattern, NARROWEST + STEP * number, generator.gauss(mean_accuracy, 0.01))
            path = root / record.protocol / "records" / record.method_id / f"{record.seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(to_json(record))
            yield path


def _published() -> list[RunRecord]:
    """Read the records, one for each seed, of the first published method whose surrogate has a width."""
    for path in sorted(PUBLISHED.glob("*/0.json")):
        if read_model(path, RunRecord).method.parameters["surrogate"].get("width_fwhm"):
            return [read_model(seed_path, RunRecord) for seed_path in sorted(path.parent.glob("*.json"))]
    raise InputError(f"{PUBLISHED}: no record of a surrogate with a width")


def _varied(pattern: RunRecord, width: float, accuracy: float) -> RunRecord:
    """Copy a record with another width of its surrogate, the method id that follows from it, and another accuracy."""
    parameters = pattern.method.parameters
    changed = parameters | {"surrogate": parameters["surrogate"] | {"width_fwhm": width}}
    method = pattern.method.model_copy(update={"parameters": changed})
    update = {"method": method, "method_id": method_id(method), "test": _scored(pattern.test, accuracy)}
    return pattern.model_copy(update=update)


def _scored(scores: Scores | None, accuracy: float) -> Scores | None:
    """Copy scores with another accuracy, rounded to whole samples."""
    if scores is None:
        return None
    hits = min(scores.samples, max(0, round(accuracy * scores.samples)))
    return scores.model_copy(update={"accuracy": hits / scores.samples})


def timed(words: list[str], *, module: str = "sgbench", watch_memory: bool = False) -> tuple[float, float]:
    """Run a command; return its wall time [s] and the peak memory of all its processes [MB].

    The peak is 0 if it is not watched, or if the system does not report the memory of processes.
    """
    command = [sys.executable, "-m", module, *words]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        peak = 0.0
        while watch_memory and process.poll() is None:
            peak = max(peak, sum(_proportional_mb(member) for member in _family(process.pid)))
            time.sleep(LOOK_S)
        _, errors = process.communicate()
        wall_s = time.perf_counter() - start
    if process.returncode:
        raise SgbenchError(f"{module} {' '.join(words[:2])}: {errors.strip()}")
    return wall_s, peak


def _family(pid: int) -> list[int]:
    """List the ids of a process and of all its descendants."""
    family = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        family += [member for child in _text(path).split() for member in _family(int(child))]
    return family


def _proportional_mb(pid: int) -> float:
    """Return the memory of a process [MB], of which a page that n processes share counts as 1/n; 0 if it has ended."""
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _text(path: Path) -> str:
    """Read a file of a process; empty if the process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    spread = Spread.of(result["wall_s"])
    rows = [["start to end, s", f"{spread.median:.2f}", f"{spread.low:.2f}-{spread.high:.2f}", f"{AIM_S:g}"]]
    if result["peak_mb"]:
        rows.append(["memory of all processes, MB", f"{result['peak_mb']:.0f}", "", f"{AIM_MB:g}"])
    head = [f"board build, {result['records']} records", "median", "of rounds", "aim for 10,000"]
    return f"{report.table(head, rows)}\n\n{os.cpu_count()} cores"
