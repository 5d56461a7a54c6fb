"""Measures of each run, stored in a checkout so that pages are rebuilt without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from sgbench.records.base import Strict
from sgbench.records.consistency import even_guess
from sgbench.records.files import parse_model, read_bytes, write_atomic
from sgbench.records.record import RunRecord
from sgbench.reproduction.definition import Line, Measure

RUN_MEASURES: tuple[Measure, ...] = ("test_accuracy", "last_accuracy", "last_loss", "lowest_error")
DIGITS = 9  # significant digits of a stored measure


class ReproductionRun(Strict):
    """Holds the measures of one run, its method and seed, and its training time."""

    method: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    seed: Annotated[int, Field(ge=0)]
    measures: dict[Measure, float]  # those that the run has
    rank: float  # accuracy on validation, by which cells of a grid are selected
    total_s: Annotated[float, Field(ge=0)]  # wall time of training and test
    commit: Annotated[Line, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = None

    @property
    def key(self) -> RunKey:
        return self.method, self.seed


RunKey = tuple[str, int]


def measured_run(method: str, record: RunRecord) -> ReproductionRun:
    measures: dict[Measure, float] = {}
    for name in RUN_MEASURES:
        value = measured(record, name)
        if value is not None:
            measures[name] = float(f"{value:.{DIGITS}g}")
    rank = (record.validation.accuracy or 0.0) if record.validation else 0.0
    commit = record.provenance.commit
    return ReproductionRun(
        method=method,
        seed=record.seed,
        measures=measures,
        rank=float(f"{rank:.{DIGITS}g}"),
        total_s=round(record.timing.total_s, 1),
        commit=None if commit is None else commit[:12],
    )


def measured(record: RunRecord, measure: Measure) -> float | None:
    """Return one measure of a run; None if it lacks it.

    A run that diverged to NaN has the accuracy of guessing, and other failed runs have no measure. "last" is the
    last epoch on validation, and "lowest_error" is 1 minus the best validation accuracy of all epochs.
    """
    if record.status == "failed":
        has_diverged = record.failure is not None and record.failure.kind == "NonFiniteError"
        chance = even_guess(record.classes) if has_diverged else None
        if measure == "lowest_error" and chance is not None:
            return 1 - chance
        return None if measure == "last_loss" else chance
    if measure == "test_accuracy":
        return None if record.test is None else record.test.accuracy
    if not record.curve:
        return None
    if measure == "last_loss":
        return record.curve[-1].validation_loss
    if measure == "last_accuracy":
        return record.curve[-1].validation_accuracy
    accuracies = [epoch.validation_accuracy for epoch in record.curve if epoch.validation_accuracy is not None]
    return 1 - max(accuracies) if accuracies else None


def read_runs(path: Path) -> dict[RunKey, ReproductionRun]:
    lines = read_bytes(path).splitlines() if path.exists() else []
    runs = [parse_model(line, ReproductionRun, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    return {run.key: run for run in runs}


def write_runs(path: Path, runs: Mapping[RunKey, ReproductionRun]) -> None:
    lines = [runs[key].model_dump_json(exclude_none=True) + "\n" for key in sorted(runs)]
    write_atomic(path, "".join(lines).encode())
