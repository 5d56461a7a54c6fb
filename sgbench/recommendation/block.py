"""Read the stored runs behind advice under a budget: accuracy, operations and bits of each setting by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.recommendation.summary import shipped_path
from sgbench.records.consistency import even_guess
from sgbench.records.counts import OpCounts
from sgbench.records.files import ShardLine, parse_model, read_shard, shard_lines

STUDY = "chip"  # name of the study of these runs
SHARDS = "*.jsonl.xz"
COST, BITS, WIDTH = "regulariser.upper_strength", "weights.bits", "width_fwhm"
COST_OVERRIDES = ("regulariser=activity_bounds", "regulariser.upper_spikes=0")
"""Overrides of the cost on activity: the squared mean spikes of a layer, times a strength."""
ROUNDED, REAL = "rounded", "float"


class Setting(NamedTuple):
    """Names a surrogate, its width, the cost on activity, and the weights."""

    surrogate: str  # name in the catalogue
    width_fwhm: float  # [threshold units]
    activity_cost: float  # strength of the cost on a layer's squared mean spikes; 0: none
    weights: str  # "float", "rounded" after training, or the quantiser of training
    bits: int | None  # of a weight at inference; None: those of the protocol's precision

    @property
    def overrides(self) -> tuple[str, ...]:
        shape = (f"surrogate={self.surrogate}", f"{WIDTH}={self.width_fwhm:g}", f"weights={self.weights}")
        bits = (f"{BITS}={self.bits}",) if self.weights == ROUNDED else ()
        return (*shape, *bits, *COST_OVERRIDES, f"{COST}={self.activity_cost:g}")

    def rounded(self, bits: int | None) -> Setting:
        return self._replace(weights=ROUNDED, bits=bits)


@dataclass(frozen=True)
class MeasuredRun:
    """Holds one run of a setting."""

    seed: int
    validation: float  # accuracy from 0 to 1, by which settings are chosen
    test: float  # accuracy from 0 to 1
    counts: OpCounts | None  # operations on the test set; None for a failed run
    dt_s: float  # duration of a time step [s]


@dataclass(frozen=True)
class MeasuredTask:
    """Holds all runs on one task."""

    name: str  # in the study
    title: str  # for readers
    runs: Mapping[Setting, Sequence[MeasuredRun]] = field(repr=False)  # one run for each seed, by setting


def shipped_block() -> Path:
    """Return the folder of the stored runs, inside the wheel or in the checkout."""
    return shipped_path(STUDY, STUDY)


def read_block(folder: Path) -> tuple[MeasuredTask, ...]:
    """Read the measured tasks from the stored runs of a study's folder."""
    shards = sorted(folder.glob(SHARDS))
    if not shards:
        raise InputError(f"{folder}: no stored run is here; install sgbench from its wheel, or run in a checkout")
    lines = (
        parse_model(line, ShardLine, f"{path}:{number}")
        for path in shards
        for number, line in enumerate(shard_lines(path, read_shard(path)), start=1)
    )
    return tasks_of(lines)


def tasks_of(lines: Iterable[ShardLine]) -> tuple[MeasuredTask, ...]:
    """Group stored runs by task and setting, in the study's order of tasks."""
    definitions: Mapping[str, Any] = catalogue.entry("study", STUDY).parameters["tasks"]
    runs: dict[str, dict[Setting, list[MeasuredRun]]] = {}
    for line in lines:
        runs.setdefault(line.task, {}).setdefault(_setting(line), []).append(_run(line))
    return tuple(MeasuredTask(name, task["title"], runs[name]) for name, task in definitions.items() if name in runs)


def _setting(line: ShardLine) -> Setting:
    """Return the settings of a stored run. Bits are read from its method where the study did not vary them."""
    cell, method = line.cell, line.record.method
    bits: Any = cell.get(BITS) or method.parameters.get("weights", {}).get("bits")
    return Setting(
        surrogate=method.choices["surrogate"],
        width_fwhm=float(cell[WIDTH]),
        activity_cost=float(cell[COST]),
        weights=cell["weights"],
        bits=None if bits is None else int(bits),
    )


def _run(line: ShardLine) -> MeasuredRun:
    """Return a stored run's accuracies and counts; a failed run counts as guessing."""
    record = line.record
    guess = even_guess(record.classes) or 0.0
    validation, test = (
        guess if scores is None or scores.accuracy is None else scores.accuracy
        for scores in (record.validation, record.test)
    )
    return MeasuredRun(record.seed, validation, test, record.counts, record.method.protocol.dt_s)
