"""Expand a block of a study into the Hydra overrides of its runs."""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.study.definition import CellGrid, Draw, RandomSettings, Study, StudyBlock, Word

DIGITS = 3
"""Significant digits of a drawn number, so that overrides stay short."""
Cell = dict[str, Word]
Settled = Mapping[str, Mapping[str, Sequence[Cell]]]
"""The best cells by block and task, chosen on validation."""


@dataclass(frozen=True)
class StudyPoint:
    """Describes one run of a study."""

    block: str  # name of its block
    task: str  # name in the study
    cell: Cell  # settings, by key, that distinguish it from other runs of its task and seed
    seed: int
    words: tuple[str, ...]  # Hydra overrides


def points(study: Study, name: str, settled: Settled) -> list[StudyPoint]:
    """List all runs of a block, task by task and seed by seed, so that neighbours share their batches.

    Raises:
        InputError: the best settings of an earlier block that it needs are missing.
    """
    block = study.blocks[name]
    points: list[StudyPoint] = []
    for task in block.tasks:
        reference = task_reference(study, name, task, settled)
        cells = [
            cell for grid in block.grids for cell in _cells_with_seeds(block, grid, task, reference, settled)
        ]
        for seed in sorted({seed for _, seeds in cells for seed in seeds}):
            for cell in (cell for cell, seeds in cells if seed in seeds):
                overrides = [*study.tasks[task].words, *overrides_of({**reference, **cell}), f"seed={seed}"]
                points.append(StudyPoint(name, task, cell, seed, tuple(overrides)))
    return points


def task_reference(study: Study, name: str, task: str, settled: Settled) -> Cell:
    """Collect the base settings of a task in a block: the study's, then the best ones of its reference block.

    Raises:
        InputError: the reference block has no best settings yet.
    """
    return {**study.tasks[task].reference, **_reference(study.blocks[name], task, settled)}


def _reference(block: StudyBlock, task: str, settled: Settled) -> Cell:
    """Return the best setting of a block's reference block on a task; empty if that block lacks the task."""
    if block.reference is None:
        return {}
    if block.reference not in settled:
        raise InputError(f"block {block.reference} has settled nothing yet; run it first")
    return dict(settled[block.reference].get(task, [{}])[0])


def _settled_cells(name: str, task: str, settled: Settled) -> Sequence[Cell]:
    """Return the best cells of a block on a task; raise an InputError if it has not run."""
    cells = settled.get(name, {}).get(task)
    if not cells:
        raise InputError(f"block {name} has not settled on a cell for task {task}; run it first")
    return cells


def _cells_with_seeds(
    block: StudyBlock, grid: CellGrid, task: str, reference: Cell, settled: Settled
) -> Iterator[tuple[Cell, tuple[int, ...]]]:
    """Yield every cell of a grid on one task, with its seeds."""
    if grid.tasks is not None and task not in grid.tasks:
        return
    seeds = (grid.seeds or block.seeds).values
    more = grid.ranges.get(task, {})
    settings: Sequence[Cell] = [{}] if block.settings is None else random_settings(block.settings, task, more)
    starts: Sequence[Cell] = grid.cells or [{}]
    if grid.best_of is not None:
        starts = _settled_cells(grid.best_of, task, settled)
    starts = [start for start in starts if all(start.get(key) in of for key, of in grid.where.items())]
    for setting, start in itertools.product(settings, starts):
        base = {**setting, **start}
        choices: dict[str, list[Word]] = {key: list(values) for key, values in grid.values.items()}
        for key, factors in grid.factors.items():
            number = {**reference, **base}.get(key)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise InputError(f"task {task}: no number is settled for {key}, on which factors act")
            choices[key] = [rounded(number * factor) for factor in factors]
        for values in itertools.product(*choices.values()):
            yield {**base, **dict(zip(choices, values, strict=True))}, seeds


def random_settings(
    settings: RandomSettings, task: str, more: Mapping[str, Draw] | None = None
) -> list[Cell]:
    """Draw the random settings of one task, which depend only on the file.

    Args:
        settings: their count, seed and ranges.
        task: name of the task; each task has its own draws.
        more: ranges of some cells. Ranges of equal keys replace those of `settings` at the same random numbers; a
            further key does not change the values of others.

    >>> ranges = {"optimizer.lr": Draw(low=0.001, high=0.1)}
    >>> first, second = random_settings(RandomSettings(count=2, seed=1, ranges=ranges), "T1")
    >>> first == second, first == random_settings(RandomSettings(count=1, seed=1, ranges=ranges), "T1")[0]
    (False, True)
    """
    more = more or {}
    common = {**settings.ranges, **settings.by_task.get(task, {})}
    replaced = {key: more.get(key, draw) for key, draw in common.items()}
    added = {key: draw for key, draw in more.items() if key not in common}
    seed = [settings.seed, zlib.crc32(task.encode())]
    drawn = _draws(replaced, settings.count, seed)
    for key, draw in added.items():
        values = _draws({key: draw}, settings.count, [*seed, zlib.crc32(key.encode())])
        drawn = [{**one, **value} for one, value in zip(drawn, values, strict=True)]
    return drawn


def _draws(ranges: Mapping[str, Draw], count: int, seed: Sequence[int]) -> list[Cell]:
    """Draw `count` values from every range."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    return [{key: _drawn(draw, random.random()) for key, draw in ranges.items()} for _ in range(count)]


def _drawn(draw: Draw, share: float) -> Word:
    """Map a share between 0 and 1 to a value of a range or of a list."""
    if draw.values is not None:
        return draw.values[int(share * len(draw.values))]
    low, high = draw.low or 0.0, draw.high or 0.0
    if draw.scale == "log":
        return rounded(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
    return rounded(low + share * (high - low))


def rounded(value: float) -> float:
    """Round a number to three significant digits, as it is written into overrides.

    >>> rounded(0.0123456), rounded(12345.0)
    (0.0123, 12300.0)
    """
    return float(f"{value:.{DIGITS}g}")


def overrides_of(values: Mapping[str, Word]) -> list[str]:
    """Write settings as Hydra overrides, choices (`neuron=lif`) before their values (`neuron.beta=0.9`)."""
    return [f"{key}={_text(value)}" for key, value in sorted(values.items(), key=lambda pair: "." in pair[0])]


def _text(value: Word) -> str:
    """Write a value as in a Hydra override."""
    if isinstance(value, str):
        return value
    return f"{value:.12g}" if isinstance(value, float) else json.dumps(value)
