"""Estimate from a study's results which cell (surrogate, width, rate) loses least on networks of one kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.summary import CellKey, CellSummary, Shape, TaskSummary
from sgbench.statistics.intervals import summarise
from sgbench.statistics.random_effects import random_effects

Goal = Literal["accuracy", "spikes", "safety"]
GOALS: tuple[Goal, ...] = ("accuracy", "spikes", "safety")
CLOSE_POINTS = 2.0  # losses that differ by no more count as equal, as in the study [points]
MIN_SEEDS = 5  # seeds of each task from which a loss has an interval
LONG_STEPS = 1000  # time steps from which a sequence counts as long
SILENT = 1e-3  # spikes per neuron and inference below which a layer counts as silent before training


@dataclass(frozen=True)
class CellRegret:
    """Holds the loss of a cell to the best known one [points]."""

    mean: float  # over tasks
    low: float | None  # lower end of the 95 % interval of the mean; None with too few seeds
    high: float | None  # upper end
    # Lower end of the prediction interval of the loss on a new task of the kind; None below three tasks.
    predicted_low: float | None
    predicted_high: float | None  # upper end
    by_task: Mapping[str, float]  # mean loss over seeds, by task
    seeds: int  # least count of seeds over tasks
    failed: float  # share of failed runs

    @property
    def plain_mean(self) -> float:
        """Average over tasks with equal weights, so that cells are ranked by one measure."""
        return float(np.mean(list(self.by_task.values())))


@dataclass(frozen=True)
class StudyFit:
    """Holds the results of a study for networks of one kind."""

    kind: str  # of network, as text
    tasks: Mapping[str, TaskSummary]  # tasks of this kind
    losses: Mapping[CellKey, CellRegret]  # of each cell that all these tasks have
    # Mean over tasks of the logarithm of spikes, relative to the task's mean.
    log_spikes: Mapping[CellKey, float]

    def best(self, goal: Goal) -> CellKey:
        """Return the best cell for a goal, of those at the tasks' reference learning rate.

        Accuracy: the least mean loss. Spikes: the fewest spikes of all cells within 2 points of that. Safety: the
        least worst case, which is a cell's largest loss over tasks with failed runs counted as guessing.

        Raises:
            InputError: no cell is stored.
        """
        if not self.losses:
            raise InputError(f"{self.kind}: the study has no cell that all of its tasks share")
        means = {
            key: loss.plain_mean for key, loss in self.losses.items() if key[2] == 1
        }  # learning-rate factor
        if goal == "safety":
            return min(means, key=lambda key: (max(self.losses[key].by_task.values()), means[key], key))
        least = min(means, key=lambda key: (means[key], key))
        if goal == "accuracy":
            return least
        close = [key for key, mean in means.items() if mean <= means[least] + CLOSE_POINTS]
        return min(close, key=lambda key: (self.log_spikes.get(key, math.inf), key))

    def close_widths(self, surrogate: str) -> list[float]:
        """List the range of widths around a surrogate's best one whose mean loss is at most 2 points larger."""
        losses = {
            width: loss.plain_mean
            for (name, width, factor), loss in self.losses.items()
            if (name, factor) == (surrogate, 1)
        }
        widths = sorted(losses)
        best = min(losses, key=lambda width: losses[width])
        first = last = widths.index(best)
        while first > 0 and losses[widths[first - 1]] <= losses[best] + CLOSE_POINTS:
            first -= 1
        while last + 1 < len(widths) and losses[widths[last + 1]] <= losses[best] + CLOSE_POINTS:
            last += 1
        return widths[first : last + 1]

    def close_factors(self, surrogate: str, width: float) -> list[float]:
        """List the learning-rate factors that lose at most 2 points to the best one, at one width."""
        losses = {
            factor: loss.plain_mean
            for (name, other, factor), loss in self.losses.items()
            if (name, other) == (surrogate, width)
        }
        least = min(losses.values())
        return sorted(factor for factor, loss in losses.items() if loss <= least + CLOSE_POINTS)

    def in_order(self, surrogate: str) -> list[CellKey]:
        """List the cells of a surrogate, sorted by their mean loss."""
        cells = [(name, width, factor) for name, width, factor in self.losses if name == surrogate]
        return sorted(cells, key=lambda key: self.losses[key].plain_mean)


def fit(tasks: Mapping[str, TaskSummary], shape: Shape) -> StudyFit:
    """Estimate the losses of all cells from a study's tasks with networks of the same kind as `shape`.

    Recurrent networks are of one kind if their sequences are short, and of another if they are long. Feed-forward
    networks with one hidden layer are of one kind. For a deeper one, the task is used whose layers fire most
    similarly before training, by the geometric mean of spikes per neuron. If these spikes were not measured, for
    the network or for all tasks, all deeper tasks are used.

    Raises:
        InputError: the study has no results for networks of the kind.
    """
    kind, of_kind = _same_kind(tasks, shape)
    stored = {name: task for name, task in of_kind.items() if task.cells}
    if not stored:
        raise InputError(f"{kind}: no block of the regime map is stored for such networks yet")
    shared = sorted(set.intersection(*({cell.key for cell in task.cells} for task in stored.values())))
    losses = {key: _loss(stored, key) for key in shared}
    return StudyFit(kind, stored, losses, _relative_spikes(stored, shared))


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
    """Average the natural logarithm of the spikes per neuron before training over hidden layers."""
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


def _loss(tasks: Mapping[str, TaskSummary], key: CellKey) -> CellRegret:
    """Combine the losses of one cell, which all tasks have, over tasks and seeds."""
    losses: dict[str, list[float]] = {}
    failed: list[bool] = []
    for name, task in tasks.items():
        cell = next(cell for cell in task.cells if cell.key == key)
        losses[name] = loss_by_seed(task, cell)
        failed += cell.failed
    by_task = {name: float(np.mean(values)) for name, values in losses.items()}
    seeds = min(map(len, losses.values()))
    mean, share = float(np.mean(list(by_task.values()))), float(np.mean(failed))
    if seeds < MIN_SEEDS:
        return CellRegret(mean, None, None, None, None, by_task, seeds, share)
    if len(losses) == 1:
        summary = summarise(next(iter(losses.values())))
        half = summary.half_width or 0.0
        return CellRegret(mean, mean - half, mean + half, None, None, by_task, seeds, share)
    return _over_tasks(losses, by_task, mean, seeds, share)


def _over_tasks(
    losses: Mapping[str, Sequence[float]],
    by_task: Mapping[str, float],
    mean: float,
    seeds: int,
    failed: float,
) -> CellRegret:
    """Combine the losses of several tasks by random effects, or by their plain mean if all seeds of a task agree.

    `losses` holds those of each seed by task. The other arguments are fields of the result that are known: the
    mean of each task, the mean of these, the least count of seeds, and the share of failed runs.
    """
    errors = [float(np.std(values, ddof=1)) / math.sqrt(len(values)) for values in losses.values()]
    if not all(error > 0 for error in errors):
        half = summarise(list(by_task.values())).half_width
        ends = (None, None) if half is None else (mean - half, mean + half)
        return CellRegret(mean, *ends, None, None, by_task, seeds, failed)
    effect = random_effects([by_task[name] for name in losses], errors)
    predicted = effect.predicted_low, effect.predicted_high
    return CellRegret(effect.mean, effect.low, effect.high, *predicted, by_task, seeds, failed)


def _relative_spikes(tasks: Mapping[str, TaskSummary], keys: Sequence[CellKey]) -> dict[CellKey, float]:
    """Map each cell to its log spikes relative to the task's mean, averaged over tasks.

    Cells without spikes on a task are left out.
    """
    relative: dict[CellKey, list[float]] = {}
    for task in tasks.values():
        means = {cell.key: _mean_spikes(cell) for cell in task.cells if cell.key in keys}
        known = [value for value in means.values() if value is not None]
        for key, value in means.items():
            if value is not None:
                relative.setdefault(key, []).append(value - float(np.mean(known)))
    return {key: float(np.mean(values)) for key, values in relative.items() if len(values) == len(tasks)}


def _mean_spikes(cell: CellSummary) -> float | None:
    """Average a cell's log spikes over seeds; None if a run lacks them."""
    values = [value for value in cell.log_spikes if value is not None]
    return float(np.mean(values)) if len(values) == len(cell.log_spikes) else None
