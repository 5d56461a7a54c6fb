"""How many tuned cells lie at the edge of the grid that chose them, beyond which nothing was tried."""

from collections.abc import Mapping
from typing import NamedTuple

from sgbench.errors import InputError
from sgbench.study_runner.cells import Cell, Settled, task_reference
from sgbench.study_runner.definition import Study, Word

TUNING = "A3a"
"""Block that tunes each shape around its best width of the map, with the learning rate."""
KEYS = ("width_fwhm", "optimizer.lr")


class EdgeCells(NamedTuple):
    """Counts settled cells at the edge of their grid: by width, by learning rate, by either; and all of them."""

    width: int
    rate: int
    either: int
    cells: int


def edge_cells(study: Study, settled: Settled) -> EdgeCells | None:
    if TUNING not in settled or TUNING not in study.blocks:
        return None
    (grid,) = study.blocks[TUNING].grids
    starts = settled.get(grid.best_of or "")
    if starts is None:
        return None
    at: list[tuple[bool, bool]] = []
    for task, cells in settled[TUNING].items():
        reference = task_reference(study, TUNING, task, settled)
        for cell in cells:
            number = {**reference, **_start(task, cell, starts)}
            by_width, by_rate = (_is_edge(cell[key], number[key], grid.factors[key]) for key in KEYS)
            at.append((by_width, by_rate))
    widths, rates = zip(*at, strict=True)
    return EdgeCells(sum(widths), sum(rates), sum(map(any, at)), len(at))


def _start(task: str, cell: Cell, starts: Mapping[str, object]) -> Cell:
    for one in starts.get(task, ()):  # type: ignore[attr-defined]
        if one["surrogate"] == cell["surrogate"]:
            return one
    raise InputError(f"task {task}: {cell['surrogate']} has no settled start")


def _is_edge(value: Word, start: Word, factors: tuple[Word, ...] | list[Word]) -> bool:
    nearest = min(factors, key=lambda factor: abs(float(value) / float(start) - float(factor)))  # type: ignore[arg-type]
    return nearest in (min(factors, key=float), max(factors, key=float))  # type: ignore[arg-type]


def sentence(study: Study, settled: Settled) -> list[str]:
    """Write how many settled cells lie at an edge; nothing before the block ran."""
    found = edge_cells(study, settled)
    if found is None:
        return []
    return [
        f"{found.either} of {found.cells} settled cells lie at the edge of the grid that chose them, {found.width} "
        f"by width and {found.rate} by learning rate. The grid was not followed outward, so that a better cell may "
        "lie beyond, and two seeds chose."
    ]
