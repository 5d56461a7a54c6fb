"""Evaluate advice under a budget by leaving each task out, and compare it with rounding after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.recommendation.block import Setting
from sgbench.recommendation.priced import PricedSetting, PricedTask, choose, holdable, real

SAME_POINTS = 0.05
"""Losses that differ by less are equal in the printed digits."""


@dataclass(frozen=True)
class LeftOut:
    """Holds the result of advice from the other tasks on a task that was left out.

    Args:
        title: of the task.
        budget_nj: geometric mean of the least energy of a setting and the energy of the task's reference.
        advised: the advised setting, as measured on the task.
        best: the setting that the task's own validation chooses within the budget.
        rounded: the advised setting with real weights, rounded afterwards to as many bits as `advised` has.
    """

    title: str
    budget_nj: float
    advised: PricedSetting
    best: PricedSetting
    rounded: PricedSetting | None

    @property
    def keeps_budget(self) -> bool:
        """Return whether the advised setting needs no more than the budget."""
        return self.advised.energy_nj.value <= self.budget_nj

    @property
    def rounded_keeps_budget(self) -> bool:
        """Return whether rounding after training was run and needs no more than the budget."""
        return self.rounded is not None and self.rounded.energy_nj.value <= self.budget_nj

    @property
    def loss_points(self) -> float:
        """Return the points of test accuracy below the task's own choice."""
        return 100 * (self.best.test.mean - self.advised.test.mean)

    @property
    def rounded_loss_points(self) -> float | None:
        """Return the same for rounding after training; None if it was not run."""
        return None if self.rounded is None else 100 * (self.best.test.mean - self.rounded.test.mean)


@dataclass(frozen=True)
class CarriedAdvice:
    """Holds the advised setting for a network that was not measured."""

    setting: Setting
    shares: tuple[float, ...]  # its energy relative to the reference, on each measured task
    losses: tuple[
        float, ...
    ]  # its points of validation accuracy below the best setting, on each measured task

    @property
    def share(self) -> float:
        """Return the mean of the shares."""
        return float(np.mean(self.shares))


def whole(one: PricedSetting) -> float:
    """Return the dynamic energy of a setting [nJ]."""
    return one.energy_nj.value


def moved(one: PricedSetting) -> float:
    """Return the part of a setting's energy that is due to spikes of neurons [nJ]."""
    return one.moved_nj


def reference_of(settings: PricedTask) -> PricedSetting | None:
    """Return a task's reference: real weights, no cost on activity, the best width by validation."""
    free = [one for one in real(settings).values() if one.setting.activity_cost == 0]
    return max(free, key=lambda one: one.order) if free else None


def advise_elsewhere(
    tasks: Sequence[PricedTask],
    share: float,
    candidates: Sequence[Setting],
    energy: Callable[[PricedSetting], float] = whole,
) -> CarriedAdvice | None:
    """Choose the setting of least mean loss among those that need at most a share of the reference's energy.

    If none needs so little, choose the one that needs least.

    Args:
        tasks: measured tasks, each with a reference.
        share: largest share of the reference's energy.
        candidates: settings; those that a task lacks are left out.
        energy: function that returns the energy of a setting, e.g. `whole` or `moved`.
    """
    known = [
        _over(tasks, setting, energy) for setting in candidates if all(setting in task for task in tasks)
    ]
    if not known:
        return None
    fitting = [one for one in known if one.share <= share]
    if not fitting:
        return min(known, key=lambda one: (one.share, one.setting))
    return min(fitting, key=lambda one: (float(np.mean(one.losses)), one.share, one.setting))


def _over(
    tasks: Sequence[PricedTask], setting: Setting, energy: Callable[[PricedSetting], float]
) -> CarriedAdvice:
    """Compute a setting's share of the reference's energy and its loss on each task."""
    shares, losses = [], []
    for task in tasks:
        best = max(one.validation.mean for one in task.values())
        reference = reference_of(task)
        shares.append(math.nan if reference is None else energy(task[setting]) / energy(reference))
        losses.append(100 * (best - task[setting].validation.mean))
    return CarriedAdvice(setting, tuple(shares), tuple(losses))


def leave_one_out(
    tasks: Mapping[str, PricedTask], limit: int | None, failed: Mapping[str, PricedTask] | None = None
) -> tuple[LeftOut, ...]:
    """Leave each task out, advise from the others, and evaluate the advice on it.

    The task left out sets the budget and scores the advice. It chooses nothing, so a setting without a measured
    energy on it may be advised.

    Args:
        tasks: priced settings by the task's title.
        limit: most bits of a weight; None: no limit.
        failed: settings that were run without a result, by the task's title.
    """
    checks = []
    for title, task in tasks.items():
        others = [other for name, other in tasks.items() if name != title and reference_of(other) is not None]
        own, reference = holdable(task, limit), reference_of(task)
        if not others or not own or reference is None:
            continue
        needed = whole(reference)
        least = min(one.energy_nj.value for one in own.values())
        budget = math.sqrt(least * max(needed, least))
        best = choose(own, max_nj=budget, min_accuracy=None)
        run = {**(failed or {}).get(title, {}), **task}
        advised, from_real = (
            advise_elsewhere(others, budget / needed, [setting for setting in known if setting in run])
            for known in (holdable(others[0], limit), real(others[0]))
        )
        if advised is None or best is None:
            continue
        rounded = None if from_real is None else run.get(from_real.setting.rounded(advised.setting.bits))
        checks.append(LeftOut(title, budget, run[advised.setting], best, rounded))
    return tuple(checks)


def in_short(target: str, checks: Sequence[LeftOut]) -> str:
    """Write a few sentences on the advice for tasks left out, compared with rounding after training."""
    if not checks:
        return f"Advice for {target} was held against no other task: too few were measured."
    met = sum(check.keeps_budget for check in checks)
    said = (
        f"On tasks from which it was not derived, advice for {target} kept the budget on {met} of "
        f"{len(checks)} tasks. "
        f"Compared with the setting that each task's own validation chooses within the budget, the advice lost "
        f"{_points([check.loss_points for check in checks])}."
    )
    run = [check for check in checks if check.rounded is not None]
    if not run:
        return f"{said} Rounding the weights after training was not run for comparison."
    where = "" if len(run) == len(checks) else f", where it was run ({len(run)} of {len(checks)} tasks),"
    rounded_kept = sum(check.rounded_keeps_budget for check in run)
    said += (
        f" Rounding the weights after training{where} kept the budget on {rounded_kept} of {len(run)} tasks and "
        f"lost {_points(_rounded_losses(run))}."
    )
    both = [check for check in run if check.keeps_budget and check.rounded_keeps_budget]
    return f"{said} {_where_both_kept(both)}"


def _where_both_kept(checks: Sequence[LeftOut]) -> str:
    """Compare advice with rounding after training on the tasks where both keep the budget."""
    if not checks:
        return "On no task did both keep the budget, so nothing says which of the two is better."
    own, rounded = [check.loss_points for check in checks], _rounded_losses(checks)
    differences = [other - loss for loss, other in zip(own, rounded, strict=True)]
    more, less = (sum(sign * each > SAME_POINTS for each in differences) for sign in (1, -1))
    return (
        f"Where both kept the budget ({len(checks)} task{'s' * (len(checks) > 1)}), the advice lost {_points(own)} "
        f"and rounding {_points(rounded)}. The advice lost more than rounding on {more} of these tasks, less on "
        f"{less}, and as much on {len(checks) - more - less}. So few tasks give an estimate and decide nothing."
    )


def _rounded_losses(checks: Sequence[LeftOut]) -> list[float]:
    """Collect the losses of rounding after training, where it was run [points]."""
    return [check.rounded_loss_points for check in checks if check.rounded_loss_points is not None]


def _points(losses: Sequence[float]) -> str:
    """Write the mean, the least and the largest of losses."""
    return f"{np.mean(losses):.1f} points on average ({min(losses):.1f} to {max(losses):.1f})"
