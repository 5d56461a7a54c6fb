"""How good the recommendation is on a task that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.fit import Goal, Place, fit, loss_by_seed, place_of
from sgbench.recommendation.summary import TaskSummary


@dataclass(frozen=True)
class HeldOut:
    """Holds what following the recommendation would have cost on a task that was left out."""

    task: str  # its name in the study
    title: str  # what it is called
    place: Place  # surrogate and width that the other tasks recommend
    # Points below the task's best cell, a number a seed; both are chosen without the test split.
    by_seed: tuple[float, ...]
    defaults: Mapping[str, float]  # the same of each surrogate as its library ships it, where it was run

    @property
    def regret(self) -> float:
        """Return the mean over seeds of the points below the task's best cell."""
        return float(np.mean(self.by_seed))


def held_out(tasks: Mapping[str, TaskSummary], goal: Goal = "accuracy") -> tuple[HeldOut, ...]:
    """Leave each task out, fit to the others of its kind, and look up what they advise; empty for a single task."""
    if len(tasks) < 2:  # noqa: PLR2004 - nothing is left to fit to
        return ()
    checks = []
    for name, task in tasks.items():
        others = {other: summary for other, summary in tasks.items() if other != name}
        try:
            place = fit(others, task.shape).best(goal)
        except InputError:  # none of the others has a cell
            continue
        cells = {place_of(cell): cell for cell in task.cells}
        if place in cells:
            by_seed = tuple(loss_by_seed(task, cells[place]))
            defaults = {cell.surrogate: float(np.mean(loss_by_seed(task, cell))) for cell in task.defaults}
            checks.append(HeldOut(name, task.title, place, by_seed, defaults))
    return tuple(checks)
