"""Collect the stored runs of known surrogates, the shapes, that a candidate is judged against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.summary import CellSummary, Setting, StudySummary, TaskSummary
from sgbench.study_runner.definition import Study

SETS = {"quick": ("T1", "T2d1", "T2d4", "T4"), "whole": ("T1", "T2d1", "T2d4", "T3", "T4", "T5")}
"""Tasks of the study on which a candidate runs, by the name of the set."""
RECURRENT, DEEP, SHALLOW = "recurrent", "several layers", "one layer"


@dataclass(frozen=True)
class JudgedTask:
    """Describes a task with the stored runs of known shapes."""

    name: str  # in the study
    title: str  # for readers
    overrides: tuple[str, ...]  # of Hydra, for a run; they choose no surrogate
    reference: dict[str, Setting]  # base settings of the stored runs
    run_s: float  # CPU seconds of one run
    regime: str  # kind of network
    cells: tuple[CellSummary, ...]  # of the map at the reference learning rate, by shape and width
    own_best: tuple[CellSummary, ...]  # each known shape at its own best, on reporting seeds

    @property
    def rate(self) -> float:
        return float(self.reference["optimizer.lr"] or 0.0)

    @property
    def widths(self) -> tuple[float, ...]:
        return tuple(sorted({cell.width_fwhm for cell in self.cells if cell.width_fwhm is not None}))

    @property
    def map_seeds(self) -> tuple[int, ...]:
        return tuple(sorted(set.intersection(*(set(cell.seeds) for cell in self.cells))))

    @property
    def best_known(self) -> CellSummary:
        """Return the runs, at their own best setting, of the shape with the best validation score in the map."""
        best = max(self.cells, key=lambda cell: float(np.mean(cell.validation)))
        return next(cell for cell in self.own_best if cell.surrogate == best.surrogate)


def judged_tasks(study: Study, summary: StudySummary, names: Sequence[str]) -> tuple[JudgedTask, ...]:
    tasks = []
    for name in names:
        known, task = summary.tasks[name], study.tasks[name]
        tasks.append(
            JudgedTask(
                name=name,
                title=known.title,
                overrides=tuple(task.words),
                reference={key: value for key, value in known.reference.items() if key != "width_fwhm"},
                run_s=task.run_s,
                regime=regime_of(known),
                cells=tuple(cell for cell in known.cells if cell.lr_factor == 1),
                own_best=known.own_best,
            )
        )
    return tuple(tasks)


def titles(summary: StudySummary) -> dict[str, str]:
    return {name: task.title for name, task in summary.tasks.items() if task.own_best}


def named_tasks(text: str, titles: Mapping[str, str]) -> list[str]:
    """Return the names of the tasks in a text: titles, beginnings of one title each, or names, with commas.

    >>> named_tasks("Digits, one layer, T4", {"T2d1": "digits, one layer", "T4": "Braille letters, recurrent"})
    ['T2d1', 'T4']
    """
    whole = {key.lower(): name for name, title in titles.items() for key in (name, title)}
    names, rest = [], text.strip(" ,").lower()
    while rest:
        fits = [key for key in whole if rest == key or rest.startswith(f"{key},")]
        is_beginning = any(key.startswith(rest) for key in whole)
        part = max(fits, key=len) if fits else rest if is_beginning else rest.partition(",")[0].strip()
        found = {name for key, name in whole.items() if key == part or (not fits and key.startswith(part))}
        if len(found) != 1:
            many = "names several tasks" if found else "is no task"
            known = "; ".join(title for name, title in titles.items() if name in found or not found)
            raise InputError(f"--tasks {text}: '{part}' {many}; known are: {known}")
        names += found
        rest = rest[len(part) :].strip(" ,")
    return names


def regime_of(task: TaskSummary) -> str:
    if task.shape.recurrent:
        return RECURRENT
    return DEEP if task.shape.layers > 1 else SHALLOW
