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
        written = sum(1 for _ in write_records(Path(folder), settings))
        load_before = report.load_average()
        walls = [_build(Path(folder))[0] for _ in range(settings.rounds)]
        peak_mb = _build(Path(folder), look=True)[1]  # looking takes time of its own
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"load_before": load_before},
        "records": written,
        "wall_s": walls,
        "peak_mb": peak_mb,
    }


def write_records(root: Path, settings: BoardSettings) -> Iterator[Path]:
    patterns = _published()
    generator = random.Random(settings.seed)  # noqa: S311 - scores, no secrets
    for number in range(settings.methods):
        usual = generator.uniform(0.7, 0.95)
        for pattern in patterns:
            record = _varied(pattern, NARROWEST + STEP * number, generator.gauss(usual, 0.01))
            path = root / record.protocol / "records" / record.method_id / f"{record.seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(to_json(record))
            yield path


def _published() -> list[RunRecord]:
    for path in sorted(PUBLISHED.glob("*/0.json")):
        if read_model(path, RunRecord).method.parameters["surrogate"].get("width_fwhm"):
            return [read_model(seed_path, RunRecord) for seed_path in sorted(path.parent.glob("*.json"))]
    raise InputError(f"{PUBLISHED}: no record of a surrogate with a width")


def _varied(pattern: RunRecord, width: float, accuracy: float) -> RunRecord:
    parameters = pattern.method.parameters
    changed = parameters | {"surrogate": parameters["surrogate"] | {"width_fwhm": width}}
    method = pattern.method.model_copy(update={"parameters": changed})
    update = {"method": method, "method_id": method_id(method), "test": _scored(pattern.test, accuracy)}
    return pattern.model_copy(update=update)


def _scored(scores: Scores | None, accuracy: float) -> Scores | None:
    if scores is None:
        return None
    hits = min(scores.samples, max(0, round(accuracy * scores.samples)))
    return scores.model_copy(update={"accuracy": hits / scores.samples})


def _build(root: Path, *, look: bool = False) -> tuple[float, float]:
    return timed(["board", "build", "--from", "leaderboards", "--root", str(root)], look=look)


def timed(words: list[str], *, module: str = "sgbench", look: bool = False) -> tuple[float, float]:
    """Seconds, and the peak of the memory of all processes [MB]: 0 if nobody looks, or the system does not tell."""
    command = [sys.executable, "-m", module, *words]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        peak = 0.0
        while look and process.poll() is None:
            peak = max(peak, sum(_proportional_mb(member) for member in _family(process.pid)))
            time.sleep(LOOK_S)
        complaint = process.communicate()[1].strip()
        wall_s = time.perf_counter() - start
    if process.returncode:
        raise SgbenchError(f"{module} {' '.join(words[:2])}: {complaint}")
    return wall_s, peak


def _family(pid: int) -> list[int]:
    family = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        family += [member for child in _text(path).split() for member in _family(int(child))]
    return family


def _proportional_mb(pid: int) -> float:
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _text(path: Path) -> str:
    """Nothing where a process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def show(tree: dict[str, Any]) -> str:
    spread = Spread.of(tree["wall_s"])
    rows = [["start to end, s", f"{spread.median:.2f}", f"{spread.low:.2f}-{spread.high:.2f}", f"{AIM_S:g}"]]
    if tree["peak_mb"]:
        rows.append(["memory of all processes, MB", f"{tree['peak_mb']:.0f}", "", f"{AIM_MB:g}"])
    head = [f"board build, {tree['records']} records", "median", "of rounds", "aim for 10,000"]
    return f"{report.table(head, rows)}\n\n{os.cpu_count()} cores"
