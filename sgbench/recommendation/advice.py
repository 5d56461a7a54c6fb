"""Turn the fit of a study into a recommendation with its evidence, evaluated on tasks left out."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.fit import CLOSE_POINTS, GOALS, CellRegret, Goal, StudyFit, fit, loss_by_seed
from sgbench.recommendation.summary import CellKey, LaterTask, Shape, StudySummary, TaskSummary
from sgbench.recommendation.tries import FirstTries
from sgbench.tables import number_text


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
        """Return the mean over seeds of the points below the task's best cell."""
        return float(np.mean(self.by_seed))


def held_out(tasks: Mapping[str, TaskSummary], goal: Goal = "accuracy") -> tuple[HeldOut, ...]:
    """Leave each task of a study out, and evaluate on it the cell that the others recommend for its network.

    Tasks that lack that cell have no result, nor has a single task.
    """
    if len(tasks) < 2:  # noqa: PLR2004 - no other task is left
        return ()
    checks = []
    for name, task in tasks.items():
        others = {other: summary for other, summary in tasks.items() if other != name}
        try:
            key = fit(others, task.shape).best(goal)
        except InputError:  # the other tasks have no cell
            continue
        cells = {cell.key: cell for cell in task.cells}
        if key in cells:
            by_seed = tuple(loss_by_seed(task, cells[key]))
            defaults = {cell.surrogate: float(np.mean(loss_by_seed(task, cell))) for cell in task.defaults}
            checks.append(HeldOut(name, task.title, key, by_seed, defaults))
    return tuple(checks)


FEW_TASKS = 3  # least tasks for a prediction interval of a new one
DETACHED = "What the first study's recurrent tasks say of a detached reset, with ranges to search:"
"""The line between the first settings of a recurrent network and the advice for its kind."""
NOT_TRIED = ("convolutions", "batches above 256 samples", "anything on an accelerator")
SETTINGS = {"init.gain": "initial gain", "init.recurrent_gain": "recurrent gain", "clip_norm": "clipping"}


@dataclass(frozen=True)
class Recommendation:
    """Holds the recommended surrogate and settings, and the evidence for them."""

    goal: Goal
    kind: str  # of network, as text
    surrogate: str  # name in the catalogue
    width_fwhm: float  # the best known one [threshold units]
    widths: tuple[float, float]  # range that loses at most 2 points to it
    learning_rates: tuple[float, float]  # range that loses at most 2 points, over the tasks of the kind
    settings: Mapping[str, tuple[float, float]]  # ranges of further settings in the tasks' references, by key
    loss: CellRegret  # expected points below the best known cell
    to_try: tuple[tuple[str, ...], ...]  # settings in order, each as Hydra overrides, within the budget
    tasks: tuple[str, ...]  # behind the evidence, by their names in the study
    titles: tuple[str, ...]  # of these tasks
    held_out: tuple[HeldOut, ...]  # losses on tasks left out, if the kind has several
    later: tuple[LaterTask, ...]  # losses on tasks that were run after the recommendation was written down
    unknown: tuple[str, ...]  # limits of the evidence, as text
    shape: Shape
    tries: FirstTries | None = None  # first settings of a recurrent network, from the study of passing steps

    @property
    def lines(self) -> list[str]:
        """Write the recommendation in sentences."""
        sentences = [
            *self._starts,
            f"{self.kind}: take surrogate={self.surrogate} width_fwhm={self.width_fwhm:g}; "
            f"search widths {range_text(*self.widths)}, learning rates {range_text(*self.learning_rates)}.",
            self._expected,
        ]
        if self.settings:
            ranges = ", ".join(
                f"{SETTINGS.get(key, key)} {range_text(*ends)}" for key, ends in self.settings.items()
            )
            sentences.append(f"References of these tasks had: {ranges}.")
        sentences += [
            f"Try {number}: {' '.join(overrides)}" for number, overrides in enumerate(self.to_try, start=1)
        ]
        if self.held_out or not self.later:
            sentences.append(_held_out_text(self.held_out))
        sentences += [_later_text(task) for task in self.later]
        sentences += [f"Not known: {limit}." for limit in self.unknown]
        return sentences if self.tries is None else [*self.tries.lines, DETACHED, *sentences]

    @property
    def tree(self) -> dict[str, Any]:
        """Convert the recommendation to plain values for JSON, whose keys stay the same between releases.

        The keys are the names of the fields. For a recurrent network "tries" has the settings to try first, and a
        further key "recurrent_tries" has them as lines of text; for another one "tries" is None.
        """
        tree = {
            **asdict(replace(self, tries=None)),
            "later": [task.model_dump(mode="json") for task in self.later],
            "shape": self.shape.model_dump(mode="json"),
        }
        if self.tries is not None:
            tree |= {"tries": self.tries.tree, "recurrent_tries": self.tries.lines}
        return tree

    @property
    def _starts(self) -> list[str]:
        """Write one sentence on the spikes of layers before training; none if they were not measured."""
        if self.shape.start_spikes is None:
            return []
        sent = ", ".join(map(number_text, self.shape.start_spikes))
        return [f"spikes per neuron and inference at initialisation, by hidden layer: {sent}"]

    @property
    def is_alone(self) -> bool:
        """Return whether the only task of the kind chose this cell, so that its expected loss is unknown."""
        return len(self.tasks) == 1 and not self.loss.mean

    @property
    def _expected(self) -> str:
        """Write the expected loss, or that it is unknown since a single task chose the cell."""
        runs = f"{self.loss.seeds} seeds, {100 * self.loss.failed:.0f} % of runs failed"
        only = self.titles[0]
        if not self.is_alone:
            count = f"{len(self.tasks)} task{'s' * (len(self.tasks) > 1)}"
            return f"Expected loss against the best known: {loss_text(self.loss)} ({count}, {runs})."
        return (
            f"It is the best cell of '{only}', the only task of the kind, on the seeds that chose it ({runs}): "
            "what it loses on another task is not known."
        )

    def __str__(self) -> str:
        return "\n".join(self.lines)


def advise(
    summary: StudySummary, shape: Shape, *, goal: Goal = "accuracy", budget: int = 1
) -> Recommendation:
    """Recommend surrogate, width and settings for a network, from the results of a study.

    Args:
        summary: results of the study.
        shape: of the network.
        goal: "accuracy", "spikes" (the fewest within 2 points of the best accuracy) or "safety" (the smallest loss
            on the worst task).
        budget: count of settings that may be tried.

    Raises:
        InputError: an unknown goal, a budget below 1, or the study has no such network.
    """
    if goal not in GOALS:
        raise InputError(f"--for {goal}: {', '.join(GOALS)} are known")
    if budget < 1:
        raise InputError(f"--budget {budget}: 1 or more is needed")
    study_fit = fit(summary.tasks, shape)
    surrogate, width, _ = best = study_fit.best(goal)
    widths = study_fit.close_widths(surrogate)
    return Recommendation(
        goal=goal,
        kind=study_fit.kind,
        surrogate=surrogate,
        width_fwhm=width,
        widths=(widths[0], widths[-1]),
        learning_rates=_rate_range(study_fit, surrogate, width),
        settings=_setting_ranges(study_fit.tasks),
        loss=study_fit.losses[best],
        to_try=_to_try(study_fit, best, budget),
        tasks=tuple(study_fit.tasks),
        titles=tuple(task.title for task in study_fit.tasks.values()),
        held_out=held_out(study_fit.tasks, goal),
        later=tuple(_later_tasks(summary, study_fit.kind)) if goal == "accuracy" else (),
        unknown=_limits(study_fit, best, shape),
        shape=shape,
    )


def _rate_range(study_fit: StudyFit, surrogate: str, width: float) -> tuple[float, float]:
    """Compute the range of learning rates that lose at most 2 points: the tasks' references times close factors.

    Both ends are NaN if no reference has a learning rate.
    """
    rates = _reference_values(study_fit.tasks, "optimizer.lr")
    factors = study_fit.close_factors(surrogate, width)
    if not rates:
        return math.nan, math.nan
    return min(rates) * factors[0], max(rates) * factors[-1]


def _setting_ranges(tasks: Mapping[str, TaskSummary]) -> dict[str, tuple[float, float]]:
    """Map the keys of `SETTINGS` to their range over the tasks' references; keys without a value are left out."""
    values_by_key = {key: _reference_values(tasks, key) for key in SETTINGS}
    return {key: (min(values), max(values)) for key, values in values_by_key.items() if values}


def _reference_values(tasks: Mapping[str, TaskSummary], key: str) -> list[float]:
    """List the numbers of one setting in the tasks' references, where they have it."""
    values = [task.reference.get(key) for task in tasks.values()]
    return [
        float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _to_try(study_fit: StudyFit, best: CellKey, budget: int) -> tuple[tuple[str, ...], ...]:
    """List at most `budget` settings of the best cell's surrogate as Hydra overrides, the best one first.

    Their learning rate is the geometric mean of the tasks' references, times the factor of the cell.
    """
    others = [key for key in study_fit.in_order(best[0]) if key != best]
    rates = _reference_values(study_fit.tasks, "optimizer.lr")
    settings = []
    for surrogate, width, factor in itertools.islice([best, *others], budget):
        overrides = [f"surrogate={surrogate}", f"width_fwhm={width:g}"]
        if rates:
            overrides.append(f"optimizer.lr={factor * float(np.exp(np.mean(np.log(rates)))):.3g}")
        settings.append(tuple(overrides))
    return tuple(settings)


def _limits(study_fit: StudyFit, best: CellKey, shape: Shape) -> tuple[str, ...]:
    """List, as text, what the evidence for the best cell says nothing of, for a network of a shape."""
    limits: list[str] = list(NOT_TRIED)
    steps = [task.shape.steps for task in study_fit.tasks.values()]
    if not min(steps) <= shape.steps <= max(steps):
        limits.insert(
            0, f"{shape.steps:,} steps (tasks of the kind have {range_text(min(steps), max(steps))})"
        )
    layers = [task.shape.layers for task in study_fit.tasks.values()]
    if shape.layers > max(layers):
        limits.insert(0, f"{shape.layers} hidden layers (tasks of the kind have up to {max(layers)})")
    if study_fit.losses[best].predicted_low is None:
        few, alike = "fewer than three tasks of the kind", "the seeds of one of the tasks all lose the same"
        reason = few if len(study_fit.tasks) < FEW_TASKS else alike
        limits.append(f"where the loss on a new task lies: {reason}")
    return tuple(limits)


def loss_text(loss: CellRegret) -> str:
    """Write an expected loss with its intervals, as far as it has them.

    >>> loss_text(CellRegret(1.24, 0.5, 2.0, None, None, {}, 5, 0.0))
    '1.2 points (0.5 to 2.0)'
    """
    text = f"{loss.mean:.1f} points"
    if loss.low is not None and loss.high is not None:
        text += f" ({loss.low:.1f} to {loss.high:.1f})"
    if loss.predicted_low is not None and loss.predicted_high is not None:
        text += f", on a new task {loss.predicted_low:.1f} to {loss.predicted_high:.1f}"
    return text


def _held_out_text(checks: Sequence[HeldOut]) -> str:
    """Write one sentence on the losses of the recommendation on tasks left out."""
    if not checks:
        return "No out-of-sample figure: the study has one task of this kind."
    regrets = "; ".join(f"{check.title} {check.regret:.1f}" for check in checks)
    close = sum(check.regret <= CLOSE_POINTS for check in checks)
    return (
        f"Out of sample (the same procedure without the task): loss against its best cell, in points: {regrets}; "
        f"{close} of {len(checks)} within {CLOSE_POINTS:g}."
    )


def _later_tasks(summary: StudySummary, kind: str) -> Iterator[LaterTask]:
    """Yield the tasks that were run after the recommendation and whose network is of a kind."""
    for task in summary.later.values():
        with contextlib.suppress(InputError):  # no task of its kind is stored
            if fit(summary.tasks, task.shape).kind == kind:
                yield task


def _later_text(task: LaterTask) -> str:
    """Write one sentence on the loss of the recommendation on a task that was run after it."""
    ends = "" if task.low is None or task.high is None else f" ({task.low:.1f} to {task.high:.1f})"
    return (
        f"On a task that nobody had run ({task.title}), recommended before its first run: loss against its best "
        f"cell {task.regret:.1f} points{ends}, {task.seeds} seeds."
    )


def range_text(low: float, high: float) -> str:
    """Write a range, or a single number where both ends are equal.

    >>> range_text(0.2, 2.0), range_text(1300, 1300)
    ('0.2 to 2', '1,300')
    """
    ends = number_text(low), number_text(high)
    return ends[0] if low == high else " to ".join(ends)
