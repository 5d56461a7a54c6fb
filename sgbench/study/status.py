"""How far a study is: runs of each block that are stored, that failed and that are left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sgbench.study.definition import Block, Grid, Study
from sgbench.study.store import Store

HOUR_S = 3600.0


@dataclass(frozen=True)
class BlockState:
    """One block of a study."""

    name: str
    block: Block
    runs: int
    stored: int
    failed: int
    left_h: float

    @property
    def cells(self) -> list[str]:
        """The line of a table."""
        numbers = [f"{self.runs:,}", f"{self.stored:,}", f"{self.failed:,}", f"{self.left_h:.1f}"]
        return [self.name, " ".join(self.block.tasks), *numbers, self.block.about]

    @property
    def tree(self) -> dict[str, Any]:
        """The same with stable keys."""
        return {
            "block": self.name,
            "tasks": list(self.block.tasks),
            "runs": self.runs,
            "stored": self.stored,
            "failed": self.failed,
            "left_core_hours": round(self.left_h, 3),
        }


def block_states(study: Study, names: Sequence[str], store: Store) -> list[BlockState]:
    """Count what is stored of each block.

    Raises:
        InputError: the store is damaged.
    """
    stored = dict.fromkeys(study.blocks, 0)
    failed = dict.fromkeys(study.blocks, 0)
    for entry in store.entries():
        if entry.block in stored:
            stored[entry.block] += 1
            failed[entry.block] += entry.record.status == "failed"
    states = []
    for name in names:
        runs, hours = block_cost(study, name)
        share = max(0.0, 1 - stored[name] / runs)
        states.append(BlockState(name, study.blocks[name], runs, stored[name], failed[name], share * hours))
    return states


def block_cost(study: Study, name: str) -> tuple[int, float]:
    """Runs and core-hours of a block, by the seconds that its tasks state; known before anything is settled."""
    block = study.blocks[name]
    runs, seconds = 0, 0.0
    for task in block.tasks:
        count = sum(_runs(block, grid, task) for grid in block.grids)
        runs += count
        seconds += count * study.tasks[task].run_s * block.run_s_factor
    return runs, seconds / HOUR_S


def _runs(block: Block, grid: Grid, task: str) -> int:
    """Runs of a grid on one task; where it starts from settled cells, as many as the block settles by shapes."""
    if grid.tasks is not None and task not in grid.tasks:
        return 0
    starts = len(grid.cells) or grid.expected_starts
    combinations = math.prod([*map(len, grid.values.values()), *map(len, grid.factors.values())])
    settings = 1 if block.settings is None else block.settings.count
    return settings * starts * combinations * len((grid.seeds or block.seeds).values)
