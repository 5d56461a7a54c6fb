"""The status of a study: stored, failed and missing runs of each block."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sgbench.errors import InputError
from sgbench.study_runner.cells import points
from sgbench.study_runner.definition import CellGrid, Study, StudyBlock, block_number
from sgbench.study_runner.scores import Score, StudyScores, read_scores, read_settled
from sgbench.study_runner.store import Store

HOUR_S = 3600.0


@dataclass(frozen=True)
class BlockState:
    """Holds the status of one block of a study."""

    number: int  # in the study's order, from 1, as `--block` takes it
    name: str
    block: StudyBlock
    runs: int  # count of planned runs
    stored: int  # count of those with a stored record
    failed: int  # count of stored runs that failed
    left_h: float  # time of the runs that are not stored [core-hours], estimated

    @property
    def cells(self) -> list[str]:
        numbers = [f"{self.runs:,}", f"{self.stored:,}", f"{self.failed:,}", f"{self.left_h:.1f}"]
        return [str(self.number), *numbers, str(len(self.block.tasks)), self.block.about]

    @property
    def tree(self) -> dict[str, Any]:
        """Convert the state to plain values for JSON."""
        return {
            "block": self.name,
            "tasks": list(self.block.tasks),
            "runs": self.runs,
            "stored": self.stored,
            "failed": self.failed,
            "left_core_hours": round(self.left_h, 3),
        }


def block_states(study: Study, names: Sequence[str], store: Store) -> list[BlockState]:
    """Read a store, and count the stored runs of each named block; see `states_of`."""
    return states_of(read_scores(study, read_settled(store.folder), store.entries()), names)


def states_of(scores: StudyScores, names: Sequence[str]) -> list[BlockState]:
    """Count the stored runs of each named block; a run that two blocks share counts for both."""
    study, states = scores.study, []
    for name in names:
        runs, hours = block_cost(study, name)
        stored = _stored(scores, name)
        share = max(0.0, 1 - len(stored) / runs)
        failed = sum(run.failed for run in stored)
        number = block_number(study, name)
        states.append(BlockState(number, name, study.blocks[name], runs, len(stored), failed, share * hours))
    return states


def _stored(scores: StudyScores, name: str) -> list[Score]:
    """List the stored runs of those that the block `name` plans."""
    purpose = scores.study.blocks[name].purpose
    try:
        planned = points(scores.study, name, scores.settled)
    except InputError:  # the best settings that it needs are missing, so it has no runs
        return []
    runs = [scores.cell(point.task, purpose, point.cell, start=name).get(point.seed) for point in planned]
    return [run for run in runs if run is not None]


def block_cost(study: Study, name: str) -> tuple[int, float]:
    """Count the planned runs of the block `name`, and estimate their time [core-hours] by its tasks' `run_s`."""
    block = study.blocks[name]
    runs, seconds = 0, 0.0
    for task in block.tasks:
        count = sum(_count_runs(block, grid, task) for grid in block.grids)
        runs += count
        seconds += count * study.tasks[task].run_s * block.run_s_factor
    return runs, seconds / HOUR_S


def cost_rows(study: Study, names: Sequence[str]) -> list[list[str]]:
    """Write the runs and core-hours of each named block as the rows of a table, with the sum of the hours so far.

    Withdrawn blocks are left out.
    """
    rows = [["block", "runs", "core-h", "sum", "tasks", "what it compares"]]
    total_h = 0.0
    for name in names:
        block = study.blocks[name]
        if block.withdrawn is not None:
            continue
        runs, hours = block_cost(study, name)
        total_h += hours
        numbers = [f"{runs:,}", f"{hours:.1f}", f"{total_h:.1f}", str(len(block.tasks))]
        rows.append([str(block_number(study, name)), *numbers, block.about])
    return rows


def _count_runs(block: StudyBlock, grid: CellGrid, task: str) -> int:
    """Count the planned runs of a grid on one task: settings x start cells x combinations of values x seeds."""
    if grid.tasks is not None and task not in grid.tasks:
        return 0
    starts = len(grid.cells) or grid.expected_starts
    combinations = math.prod([*map(len, grid.values.values()), *map(len, grid.factors.values())])
    settings = 1 if block.settings is None else block.settings.count
    return settings * starts * combinations * len((grid.seeds or block.seeds).values)
