"""The cell (surrogate, width, rate) that loses least on networks of one kind, and its loss on a task left out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.summary import CellKey, CellSummary, Shape, TaskSummary

LONG_STEPS = 1000  # time steps from which a sequence counts as long
SILENT = 1e-3  # spikes per neuron and inference below which a layer counts as silent before training


@dataclass(frozen=True)
class StudyFit:
    """Holds the mean loss over tasks of each cell that all tasks of one kind have [points]."""

    kind: str  # of network, as text
    tasks: Mapping[str, TaskSummary]  # of this kind, by name
    losses: Mapping[CellKey, float]

    def best(self) -> CellKey:
        """Return the cell that loses least over the study's tasks, at the settled learning rate."""
        if not self.losses:
            raise InputError(f"{self.kind}: the study has no cell that all of its tasks share")
        return min((key for key in self.losses if key[2] == 1), key=lambda key: (self.losses[key], key))


def fit(tasks: Mapping[str, TaskSummary], shape: Shape) -> StudyFit:
    """Average the losses of all cells over a study's tasks with networks of the same kind as `shape`.

    Recurrent networks are of one kind if their sequences are short, and of another if they are long. Feed-forward
    networks with one hidden layer are of one kind. For a deeper one, the task is used whose layers fire most
    similarly before training, by the geometric mean of spikes per neuron. If these spikes were not measured, for
    the network or for all tasks, all deeper tasks are used.
    """
    kind, of_kind = _same_kind(tasks, shape)
    stored = {name: task for name, task in of_kind.items() if task.cells}
    if not stored:
        raise InputError(f"{kind}: no block of the regime map is stored for such networks yet")
    cells = [{cell.key: cell for cell in task.cells} for task in stored.values()]
    shared = sorted(set.intersection(*map(set, cells)))
    losses = {
        key: float(
            np.mean([np.mean(loss_by_seed(task, own[key])) for task, own in zip(stored.values(), cells, strict=True)])
        )
        for key in shared
    }
    return StudyFit(kind, stored, losses)


def _same_kind(tasks: Mapping[str, TaskSummary], shape: Shape) -> tuple[str, dict[str, TaskSummary]]:
    """Return the kind of a network as text, and the tasks of this kind by name; see `fit`."""
    if shape.recurrent:
        return _same_length({name: task for name, task in tasks.items() if task.shape.recurrent}, shape)
    forward = {name: task for name, task in tasks.items() if not task.shape.recurrent}
    if shape.layers == 1:
        shallow = {name: task for name, task in forward.items() if task.shape.layers == 1}
        return "networks of one hidden layer", shallow
    deep = {name: task for name, task in forward.items() if task.shape.layers > 1}
    starts = {name: _log_start(task.shape) for name, task in deep.items() if task.shape.start_spikes}
    if not shape.start_spikes or not starts:
        return "networks of several hidden layers, start not measured", deep
    start = _log_start(shape)
    least = min(abs(other - start) for other in starts.values())
    nearest = {name: deep[name] for name, other in starts.items() if abs(other - start) == least}
    spikes = math.exp(np.mean([starts[name] for name in nearest]))
    return f"networks of several hidden layers that start with about {spikes:.2g} spikes a neuron", nearest


def _same_length(tasks: Mapping[str, TaskSummary], shape: Shape) -> tuple[str, dict[str, TaskSummary]]:
    """Return the kind as text, and the recurrent tasks with short or with long sequences, as those of `shape`.

    The border is the geometric mean of the longest short and the shortest long sequence. If all tasks are short, or
    all are long, all are returned.
    """
    short = {name: task for name, task in tasks.items() if task.shape.steps < LONG_STEPS}
    long = {name: task for name, task in tasks.items() if task.shape.steps >= LONG_STEPS}
    if short and long:
        longest = max(task.shape.steps for task in short.values())
        shortest = min(task.shape.steps for task in long.values())
        if shape.steps > math.sqrt(longest * shortest):
            return "recurrent networks over long sequences", long
    return "recurrent networks", short or long


def _log_start(shape: Shape) -> float:
    return float(np.mean([math.log(max(spikes, SILENT)) for spikes in shape.start_spikes or (0.0,)]))


def loss_by_seed(task: TaskSummary, cell: CellSummary) -> list[float]:
    """Compute by how many percentage points of test score a cell is below the best cell of its task, by seed.

    The list follows the cell's seeds, and leaves out those that the best cell lacks. If they share none, each seed
    of the cell is compared with the mean of the best cell. A cell is better in a seed where the value is negative.
    """
    best = task.best
    best_scores = dict(zip(best.seeds, best.score, strict=True))
    scores = dict(zip(cell.seeds, cell.score, strict=True))
    shared = [seed for seed in scores if seed in best_scores]
    if shared:
        return [best_scores[seed] - scores[seed] for seed in shared]
    return [float(np.mean(best.score)) - score for score in cell.score]


@dataclass(frozen=True)
class HeldOut:
    """Holds the loss of the recommendation on a task that was left out."""

    task: str  # its name in the study
    title: str  # for readers
    place: CellKey  # the cell that the other tasks recommend
    # Points of each seed below the task's best cell; both cells are chosen without the test split.
    by_seed: tuple[float, ...]
    # Mean points of each library's default surrogate below the task's best cell, by surrogate.
    defaults: Mapping[str, float]

    @property
    def regret(self) -> float:
        return float(np.mean(self.by_seed))


def held_out(tasks: Mapping[str, TaskSummary]) -> tuple[HeldOut, ...]:
    """Leave each task of a study out, and evaluate on it the cell that the others recommend for its network.

    Tasks that lack that cell have no result, nor has a single task.
    """
    if len(tasks) < 2:  # noqa: PLR2004 - no other task is left
        return ()
    checks = []
    for name, task in tasks.items():
        others = {other: summary for other, summary in tasks.items() if other != name}
        try:
            key = fit(others, task.shape).best()
        except InputError:  # the other tasks have no cell
            continue
        cells = {cell.key: cell for cell in task.cells}
        if key in cells:
            by_seed = tuple(loss_by_seed(task, cells[key]))
            defaults = {cell.surrogate: float(np.mean(loss_by_seed(task, cell))) for cell in task.defaults}
            checks.append(HeldOut(name, task.title, key, by_seed, defaults))
    return tuple(checks)
