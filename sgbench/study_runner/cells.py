"""Expand a block of a study into the Hydra overrides of its runs."""

import itertools
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.study_runner.definition import CellGrid, RandomSettings, SettingRange, Study, StudyBlock, Word

DIGITS = 3  # significant digits of a drawn number, so that overrides stay short
Cell = dict[str, Word]
"""Maps keys of settings to values, e.g. `optimizer.lr` to 0.01."""
Settled = Mapping[str, Mapping[str, Sequence[Cell]]]
"""Maps the name of a block, then that of a task, to the best cells, chosen on validation."""


@dataclass(frozen=True)
class StudyPoint:
    """Describes one run of a study."""

    block: str  # name of its block
    task: str  # name in the study
    cell: Cell  # settings that distinguish it from other runs of its task and seed
    seed: int
    overrides: tuple[str, ...]  # of Hydra


def points(study: Study, name: str, settled: Settled) -> list[StudyPoint]:
    """List all runs of the block `name`, task by task and seed by seed, so that neighbours share their batches.

    `settled` holds the best cells of earlier blocks.
    """
    block = study.blocks[name]
    runs: list[StudyPoint] = []
    for task in block.tasks:
        reference = task_reference(study, name, task, settled)
        cells: list[tuple[Cell, tuple[int, ...]]] = []
        for grid in block.grids:
            cells += _cells_with_seeds(block, grid, task, reference, settled)
        for seed in sorted({seed for _, seeds in cells for seed in seeds}):
            for cell, seeds in cells:
                if seed in seeds:
                    settings = overrides_of({**reference, **cell})
                    overrides = (*study.tasks[task].words, *settings, f"seed={seed}")
                    runs.append(StudyPoint(name, task, cell, seed, overrides))
    return runs


def task_reference(study: Study, name: str, task: str, settled: Settled) -> Cell:
    """Return the base settings of a task in the block `name`.

    These are the task's own, with those of the best cell of the block's reference block in their place. A reference
    block without the task changes nothing.
    """
    base, block = dict(study.tasks[task].reference), study.blocks[name].reference
    if block is None:
        return base
    if block not in settled:
        raise InputError(f"block {block} has settled nothing yet; run it first")
    return {**base, **settled[block].get(task, [{}])[0]}


def _cells_with_seeds(
    block: StudyBlock, grid: CellGrid, task: str, reference: Cell, settled: Settled
) -> Iterator[tuple[Cell, tuple[int, ...]]]:
    """Yield each cell of a grid on one task, with the seeds that it is run with.

    The cells are all combinations of drawn settings, start cells, values and multiples of settled numbers.
    """
    if grid.tasks is not None and task not in grid.tasks:
        return
    seeds = (grid.seeds or block.seeds).values
    drawn = block.settings
    settings = [{}] if drawn is None else random_settings(drawn, task, grid.ranges.get(task, {}))
    starts: Sequence[Cell] = grid.cells or [{}]
    if grid.best_of is not None:
        starts = settled.get(grid.best_of, {}).get(task, ())
        if not starts:
            raise InputError(f"block {grid.best_of} has not settled on a cell for task {task}; run it first")
    starts = [start for start in starts if all(start.get(key) in allowed for key, allowed in grid.where.items())]
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


def random_settings(settings: RandomSettings, task: str, more: Mapping[str, SettingRange] | None = None) -> list[Cell]:
    """Draw the random settings of one task; equal arguments give equal settings.

    `task`: name of the task; each task has its own random numbers. `more`: ranges beside those of `settings`. A key of
    both takes this range, at the same random number. A further key does not change the values of others.

    >>> ranges = {"optimizer.lr": SettingRange(low=0.001, high=0.1)}
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
        drawn = [{**setting, **value} for setting, value in zip(drawn, values, strict=True)]
    return drawn


def _draws(ranges: Mapping[str, SettingRange], count: int, seed: Sequence[int]) -> list[Cell]:
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    return [{key: _value_at(draw, random.random()) for key, draw in ranges.items()} for _ in range(count)]


def _value_at(draw: SettingRange, share: float) -> Word:
    """Return the value of a setting at `share` (0 to 1) of its range."""
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
    if isinstance(value, str):
        return value
    return f"{value:.12g}" if isinstance(value, float) else json.dumps(value)
