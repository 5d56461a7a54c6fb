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
    """Join the tasks of these names, as the study defines them, with the summary of their stored runs."""
    tasks = []
    for name in names:
        stored, task = summary.tasks[name], study.tasks[name]
        tasks.append(
            JudgedTask(
                name=name,
                title=stored.title,
                overrides=tuple(task.words),
                reference={key: value for key, value in stored.reference.items() if key != "width_fwhm"},
                run_s=task.run_s,
                regime=regime_of(stored),
                cells=tuple(cell for cell in stored.cells if cell.lr_factor == 1),
                own_best=stored.own_best,
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
    name_of = {key.lower(): name for name, title in titles.items() for key in (name, title)}
    names, unread = [], text.strip(" ,").lower()
    while unread:
        # A title may contain commas, so what is read next is the longest whole title, else all that may begin one.
        whole = [key for key in name_of if unread == key or unread.startswith(f"{key},")]
        is_beginning = any(key.startswith(unread) for key in name_of)
        word = max(whole, key=len) if whole else unread if is_beginning else unread.partition(",")[0].strip()
        matching = {name for key, name in name_of.items() if key == word or (not whole and key.startswith(word))}
        if len(matching) != 1:
            problem = "names several tasks" if matching else "is no task"
            choices = "; ".join(title for name, title in titles.items() if name in matching or not matching)
            raise InputError(f"--tasks {text}: '{word}' {problem}; known are: {choices}")
        names += matching
        unread = unread[len(word) :].strip(" ,")
    return names


def regime_of(task: TaskSummary) -> str:
    if task.shape.recurrent:
        return RECURRENT
    return DEEP if task.shape.layers > 1 else SHALLOW
