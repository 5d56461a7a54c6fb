"""Cells of the second study: the grid, R with the width that passing steps choose, and the fixed setting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.records.calibration import Reset
from sgbench.statistics.pairs import Floats
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS
from study.reporting.pages.text import cell_text

GRID, CALIBRATED, DETACHED = "G", "R", "D"
"""Blocks: the grid; R at the target of the attached reset; the same at that of the detached one."""
FIRST_LOOK = ("C", CALIBRATED, "B")
"""Blocks with all runs that the first look at the claims needs: amendment 1 of the registration."""
SECOND_LOOK = "B2"
"""Block with the runs that the second look at the open claims needs: amendment 2 of the registration."""
PURPOSE = "report"
RESETS: tuple[Reset, ...] = ("detached", "attached")
FIXED = ("atan", 0.5)
"""Shape and width of the fixed setting, reset attached: amendment 1 of the registration."""
CHOICE = "C"
"""Block that settles the best cell of each shape and reset."""
CHOOSING = tuple(range(200, 205))
LOOKS = (tuple(range(205, 210)), tuple(range(205, 220)))
"""Seeds that choose, and seeds that compare at each look."""
DIGITS = 9
"""Of a mean, so that equal ones are equal whatever the order of their seeds."""
RESET, SHAPE, WIDTH = "neuron.reset_gradient", "surrogate", "width_fwhm"


def cell(shape: str, width: float, reset: Reset) -> Cell:
    return {SHAPE: shape, WIDTH: width, RESET: reset}


def grid(shape: str, resets: Sequence[Reset] = RESETS) -> list[Cell]:
    """List the cells of a shape at every width, reset by reset."""
    return [cell(shape, width, reset) for reset in resets for width in WIDTHS]


@dataclass(frozen=True)
class TaskRuns:
    """Reads the runs of one task. `scores`: of the study; `task`: its name."""

    scores: StudyScores
    task: str

    def accuracy(self, of: Cell, seeds: Sequence[int]) -> Floats:
        """Return the test accuracies of a cell in points [seeds]."""
        runs = self.scores.cell(self.task, PURPOSE, of, start=GRID)
        missing = [seed for seed in seeds if seed not in runs]
        if missing:
            raise LookupError(f"{self.task}: {len(missing)} runs of {cell_text(of)} are not stored")
        return np.array([runs[seed].accuracy for seed in seeds])

    def best(self, cells: Sequence[Cell]) -> Cell:
        """Choose the cell with the best mean validation accuracy over the seeds that choose, or the first of such."""

        def mean_validation(cell: Cell) -> float:
            runs = self.scores.cell(self.task, PURPOSE, cell, start=GRID)
            if any(seed not in runs for seed in CHOOSING):
                raise LookupError(f"{self.task}: runs of {cell_text(cell)} are not stored")
            mean = sum(runs[seed].validation for seed in CHOOSING) / len(CHOOSING)
            return round(mean, DIGITS)

        return max(cells, key=mean_validation)

    def best_of(self, shape: str, reset: Reset) -> Cell:
        """Return the best width of a shape and reset: what block C has settled, else the best of the grid.

        Of equal means the block takes the lower validation loss. It is what later blocks have run, so that a tie
        cannot ask for runs that nobody planned.
        """
        for one in self.scores.settled.get(CHOICE, {}).get(self.task, ()):
            if (one.get(SHAPE), one.get(RESET)) == (shape, reset):
                return one
        return self.best(grid(shape, (reset,)))

    def reference(self, shape: str) -> Cell:
        """Return the best of all widths and resets of a shape; of equal ones the detached."""
        return self.best([self.best_of(shape, reset) for reset in RESETS])

    def calibrated(self, shape: str, block: str = CALIBRATED) -> Cell:
        """Return the cell of a shape whose width passing steps have chosen."""
        study = self.scores.study
        for cells in study.blocks[block].grids if block in study.blocks else ():
            for one in cells.cells:
                if cells.tasks is not None and self.task in cells.tasks and one[SHAPE] == shape:
                    return one
        raise LookupError(f"{self.task}: block {block} has no cell of {shape}")

    def difference(self, one: Cell, other: Cell, seeds: Sequence[int]) -> Floats:
        """Return one cell's accuracies minus another's by seed [seeds]."""
        return self.accuracy(one, seeds) - self.accuracy(other, seeds)


def tasks_of(scores: StudyScores) -> Iterator[TaskRuns]:
    if GRID not in scores.study.blocks:
        raise InputError(f"the study has no block {GRID}, of which its hypotheses are")
    for task in scores.study.blocks[GRID].tasks:
        yield TaskRuns(scores, task)


def over_shapes(differences: Sequence[Floats]) -> Floats:
    """Average differences by seed over the two shapes [seeds]."""
    if len(differences) != len(SHAPES):
        raise ValueError("one a shape is needed")
    return np.mean(differences, axis=0)
