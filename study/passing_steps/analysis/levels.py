"""Three levels before training by passing steps: borders fixed on some tasks, and judged on the task left out."""

import itertools
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from sgbench.diagnosis.advice import Level, LevelBorders
from study.passing_steps.analysis.evidence import WIDTHS, TaskEvidence
from study.reporting.pages.text import table

CANDIDATES = (0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.7, 8, 11, 16, 22, 32, 45, 64, 90)
FINE, FAILS = 0.9, 0.5
"""Shares of the way from guessing to the task's best cell: from the first on fine, below the second failed."""
ORDER: tuple[Level, ...] = ("fine", "short dependencies only", "fails")
Cells = Sequence[tuple[float, Level]]
"""Passing steps of a cell, and the level that its runs reached."""


class LevelErrors(NamedTuple):
    """Holds how often borders err on a task that did not fix them: cells, wrong ones, wrong by two levels."""

    cells: int
    wrong: int
    far: int


def level_of(accuracy: float, best: float, guess: float) -> Level:
    """Return the level that a cell has reached, by its way from guessing to the best cell.

    >>> [level_of(accuracy, 90.0, 10.0) for accuracy in (82.0, 81.0, 50.0, 49.0)]
    ['fine', 'short dependencies only', 'short dependencies only', 'fails']
    """
    share = (accuracy - guess) / (best - guess)
    return "fine" if share >= FINE else "fails" if share < FAILS else "short dependencies only"


def cells_of(task: TaskEvidence, best: float, *, by_width: bool = False) -> Cells:
    return [
        (place[1] if by_width else task.steps[place], level_of(accuracy, best, task.guess))
        for place, accuracy in task.accuracy.items()
    ]


def fixed_borders(tasks: Sequence[Cells], candidates: Sequence[float] = CANDIDATES) -> LevelBorders:
    """Choose the borders with the least mean share of wrong levels over tasks, of equal ones the first."""

    def error(borders: LevelBorders) -> float:
        return fmean(fmean(borders.level(number) != level for number, level in cells) for cells in tasks)

    places = itertools.product((0.0, *candidates), candidates, candidates)
    rising = (LevelBorders(*place) for place in places if place[0] < place[1] <= place[2])
    return min(rising, key=lambda borders: round(error(borders), 9))


def judged(borders: LevelBorders, cells: Cells) -> LevelErrors:
    apart = [abs(ORDER.index(borders.level(number)) - ORDER.index(level)) for number, level in cells]
    return LevelErrors(len(apart), sum(one > 0 for one in apart), sum(one > 1 for one in apart))


def text(
    detached: Mapping[str, TaskEvidence], attached: Mapping[str, TaskEvidence], titles: Sequence[str]
) -> list[str]:
    """Write the borders, and how often they err on each task that is left out."""
    best = {name: max(task.best, attached[name].best) for name, task in detached.items()}
    known = {name: cells_of(task, best[name]) for name, task in detached.items()}
    widths = {name: cells_of(task, best[name], by_width=True) for name, task in detached.items()}
    rows, counts = [], {"steps": [0, 0, 0], "widths": [0, 0, 0]}
    for title, name in zip(titles, known, strict=True):
        row = [title]
        for kind, of, candidates in (("steps", known, CANDIDATES), ("widths", widths, WIDTHS)):
            borders = fixed_borders([cells for other, cells in of.items() if other != name], candidates)
            found = judged(borders, of[name])
            counts[kind] = [sum(pair) for pair in zip(counts[kind], found, strict=True)]
            row.append(f"{found.wrong} of {found.cells} ({found.far} by two levels)")
            if kind == "steps":
                row.append(", ".join(f"{border:g}" for border in borders))
        rows.append(row)
    borders = fixed_borders(list(known.values()))
    cells, wrong, far = counts["steps"]
    return [
        "Fine is a cell that comes nine tenths of the way from guessing to the task's best cell at either reset. "
        "One that does not come half the way fails. Between them it learns in part, here called short dependencies "
        f"only. By all five tasks fine is {borders.least:g} to {borders.fine:g} passing steps, and above "
        f"{borders.most:g} a network fails. `sgbench diagnose` says so of recurrent networks whose reset is "
        "detached.",
        f"Judged on a task that did not fix the borders, the level is wrong for {wrong} of {cells} cells, for "
        f"{far} of them by two levels. By width it is wrong for {counts['widths'][1]}.{_unlearnt(known, titles)}",
        table(["task left out", "wrong by passing steps", "borders", "wrong by width"], rows),
        "With the reset attached nearly all narrow cells are fine, so that there is little to tell.",
    ]


def _unlearnt(known: Mapping[str, Cells], titles: Sequence[str]) -> str:
    found = [
        title
        for title, cells in zip(titles, known.values(), strict=True)
        if all(level == "fails" for _, level in cells)
    ]
    return f" Every cell fails on: {'; '.join(found)}." if found else ""
