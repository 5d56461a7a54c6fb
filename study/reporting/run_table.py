"""Hold the runs of several cells of a study on common seeds, with their scores as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.statistics.pairs import Floats
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import StudyTask
from sgbench.study_runner.scores import PERCENT, Score, StudyScores

SLOPE_AT_REST = {
    "triangle": 0.0,
    "gaussian": 0.06,
    "sigmoid": 0.11,
    "atan": 0.20,
    "fast_sigmoid": 0.30,
    "log_abs": 0.33,
}
"""The registered shapes along their axis: h(u = -1) at width 1 and peak 1."""
SHAPES = tuple(SLOPE_AT_REST)
LEARNS_POINTS = 50.0
"""Test accuracy above which a run has learnt something."""
MIN_SEEDS = 5
"""No interval is stated from fewer."""
REMEDY_WIDTHS = (0.05, 0.2, 0.5, 1.0, 4.0)
"""Widths at which remedies are tried, such as a cut gradient."""


DEFAULT_MARGIN = {"accuracy": 2.0, "solved": 0.2}
"""Default margin by outcome: in points of accuracy, and as a share of solved runs."""


@dataclass(frozen=True)
class RunTable:
    """Holds runs of several cells on those planned seeds that have a run of every cell."""

    cells: tuple[Cell, ...]  # one for each row
    seeds: tuple[int, ...]  # one for each column: the planned seeds with all runs
    runs: tuple[tuple[Score, ...], ...]  # one tuple for each cell, with one run for each seed
    planned: int  # count of planned seeds
    missing: int  # count of runs of planned seeds that are not stored

    @property
    def complete(self) -> bool:
        return not self.missing

    @property
    def accuracy(self) -> Floats:
        """Return test accuracy in points [cells, seeds]."""
        return self._numbers("accuracy")

    @property
    def validation(self) -> Floats:
        """Return validation accuracy in points [cells, seeds]."""
        return self._numbers("validation")

    @property
    def failed(self) -> np.ndarray:
        """Return whether each run failed [cells, seeds]."""
        return self._numbers("failed").astype(bool)

    @property
    def solved(self) -> np.ndarray:
        """Return whether each run solved its task [cells, seeds]."""
        return self._numbers("solved").astype(bool)

    @property
    def log_spikes(self) -> Floats:
        """Return the logarithm of spikes per inference, NaN without spikes [cells, seeds]."""
        return self._numbers("log_spikes")

    def _numbers(self, name: str) -> Floats:
        """Return one attribute of each run as a number [cells, seeds]; None becomes NaN."""
        table = np.array([[getattr(run, name) for run in row] for row in self.runs], dtype=float)
        return table.reshape(len(self.cells), len(self.seeds))


def run_table(
    scores: StudyScores,
    task: str,
    purpose: str,
    cells: Sequence[Cell],
    seeds: Sequence[int],
    *,
    start: str | None = None,
) -> RunTable:
    """Return the runs of several cells of a study on those of the planned `seeds` that all of them have.

    The other arguments are those of `StudyScores.cell`.
    """
    rows = [scores.cell(task, purpose, cell, start=start) for cell in cells]
    complete = tuple(seed for seed in seeds if all(seed in row for row in rows))
    missing = sum(seed not in row for row in rows for seed in seeds)
    runs = tuple(tuple(row[seed] for seed in complete) for row in rows)
    return RunTable(tuple(cells), complete, runs, len(seeds), missing)


def points_of(task: StudyTask, runs: RunTable) -> Floats:
    """Return the outcome of each run in points [cells, seeds].

    That is its test accuracy, or for a task with the outcome "solved" 100 for a solved run and 0 for another.
    """
    return PERCENT * runs.solved if task.outcome == "solved" else runs.accuracy


def margin_of(task: StudyTask) -> float:
    """Return the difference within which two methods count as equal, in points or as a share of solved runs."""
    return DEFAULT_MARGIN[task.outcome] if task.margin is None else task.margin
