"""Evaluate advice under a budget by leaving each task out, and compare it with rounding after training."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgbench.recommendation.block import Setting
from sgbench.recommendation.priced import PricedSetting, PricedTask, choose, holdable, real

ALIKE = 0.05  # energies of settings within this share of the least one leave a budget nothing to choose
SAME_POINTS = 0.05  # losses that differ by less are equal in the printed digits


@dataclass(frozen=True)
class LeftOut:
    """Holds the result of advice from the other tasks on a task that was left out."""

    title: str  # of the task
    budget_nj: float  # geometric mean of the least energy of a setting and the energy of the task's reference
    advised: PricedSetting  # the advised setting, as measured on the task
    best: PricedSetting  # the setting that the task's own validation chooses within the budget
    # the advised setting with real weights, rounded after training to as many bits as `advised` has; None if it was not
    # run
    rounded: PricedSetting | None
    spread: float  # largest energy of a setting that the target holds, relative to the least one

    @property
    def keeps_budget(self) -> bool:
        return self.advised.energy_nj.value <= self.budget_nj

    @property
    def rounded_keeps_budget(self) -> bool:
        """Return whether rounding after training was run and needs no more than the budget."""
        return self.rounded is not None and self.rounded.energy_nj.value <= self.budget_nj

    @property
    def loss_points(self) -> float:
        return 100 * (self.best.test.mean - self.advised.test.mean)

    @property
    def rounded_loss_points(self) -> float | None:
        """Return the points that rounding after training loses to the task's own choice; None if it was not run."""
        return None if self.rounded is None else 100 * (self.best.test.mean - self.rounded.test.mean)


@dataclass(frozen=True)
class CarriedAdvice:
    """Holds the advised setting for a network that was not measured."""

    setting: Setting
    shares: tuple[float, ...]  # its energy relative to the reference, on each measured task
    losses: tuple[float, ...]  # its points of validation accuracy below the best setting, on each task

    @property
    def share(self) -> float:
        return float(np.mean(self.shares))


def whole(priced: PricedSetting) -> float:
    return priced.energy_nj.value


def moved(priced: PricedSetting) -> float:
    return priced.moved_nj


def reference_of(settings: PricedTask) -> PricedSetting | None:
    """Return a task's reference, the best of its settings with real weights and without a cost on activity.

    None if it has no such setting.
    """
    free = [priced for priced in real(settings).values() if priced.setting.activity_cost == 0]
    return max(free, key=lambda priced: priced.order) if free else None


def advise_elsewhere(
    tasks: Sequence[PricedTask],
    share: float,
    candidates: Sequence[Setting],
    energy: Callable[[PricedSetting], float] = whole,
) -> CarriedAdvice | None:
    """Choose the setting of least mean loss among those that need at most a share of the reference's energy.

    If none needs so little, choose the one that needs least. Returns the setting with its shares and losses, or None if
    no candidate is left.
    """
    common = [setting for setting in candidates if all(setting in task for task in tasks)]
    known = [_on_tasks(tasks, setting, energy) for setting in common]
    if not known:
        return None
    fitting = [advice for advice in known if advice.share <= share]
    if not fitting:
        return min(known, key=lambda advice: (advice.share, advice.setting))
    return min(fitting, key=lambda advice: (float(np.mean(advice.losses)), advice.share, advice.setting))


def _on_tasks(tasks: Sequence[PricedTask], setting: Setting, energy: Callable[[PricedSetting], float]) -> CarriedAdvice:
    """Return the share of the reference's energy that a setting needs on each task, and the points it loses."""
    shares, losses = [], []
    for task in tasks:
        best = max(priced.validation.mean for priced in task.values())
        reference = reference_of(task)
        shares.append(math.nan if reference is None else energy(task[setting]) / energy(reference))
        losses.append(100 * (best - task[setting].validation.mean))
    return CarriedAdvice(setting, tuple(shares), tuple(losses))


def leave_one_out(
    tasks: Mapping[str, PricedTask], limit: int | None, failed: Mapping[str, PricedTask] | None = None
) -> tuple[LeftOut, ...]:
    """Leave each task out, advise from the others, and evaluate the advice on it.

    The task left out sets the budget and scores the advice. It chooses nothing, so a setting without a measured energy
    on it may be advised. Returns one result for each task with a reference, a setting within the limit, and another
    task with a reference.
    """
    checks = []
    for title, task in tasks.items():
        others = [other for name, other in tasks.items() if name != title and reference_of(other) is not None]
        fitting, reference = holdable(task, limit), reference_of(task)
        if not others or not fitting or reference is None:
            continue
        needed = whole(reference)
        energies = [priced.energy_nj.value for priced in fitting.values()]
        least = min(energies)
        budget = math.sqrt(least * max(needed, least))
        best = choose(fitting, max_nj=budget, min_accuracy=None)
        was_run = {**(failed or {}).get(title, {}), **task}
        advised, advised_real = (
            advise_elsewhere(others, budget / needed, [setting for setting in candidates if setting in was_run])
            for candidates in (holdable(others[0], limit), real(others[0]))
        )
        if advised is None or best is None:
            continue
        rounded = None
        if advised_real is not None:
            rounded = was_run.get(advised_real.setting.rounded(advised.setting.bits))
        checks.append(LeftOut(title, budget, was_run[advised.setting], best, rounded, max(energies) / least))
    return tuple(checks)


def in_short(target: str, checks: Sequence[LeftOut]) -> str:
    """Write in a few sentences how advice from other tasks kept the budget, and what it lost."""
    if not checks:
        return f"Advice for {target} was held against no other task: too few were measured."
    within_budget = sum(check.keeps_budget for check in checks)
    text = (
        f"Advice for {target} from other tasks kept the budget on {within_budget} of {len(checks)} tasks and lost "
        f"{_points([check.loss_points for check in checks])} to the setting that each task's own validation chooses "
        f"within it. {_alike(checks)}"
    )
    run = [check for check in checks if check.rounded is not None]
    if not run:
        return f"{text}Rounding the weights after training was not run for comparison."
    where = "" if len(run) == len(checks) else f", where it was run ({len(run)} of {len(checks)} tasks),"
    rounded_kept = sum(check.rounded_keeps_budget for check in run)
    text += (
        f"Rounding the weights after training{where} kept the budget on {rounded_kept} of {len(run)} tasks and "
        f"lost {_points(_rounded_losses(run))}."
    )
    both = [check for check in run if check.keeps_budget and check.rounded_keeps_budget]
    return f"{text} {_where_both_kept(both)}"


def _alike(checks: Sequence[LeftOut]) -> str:
    """Say on how many tasks all settings need nearly the same energy; nothing where that is so on none."""
    same = [100 * (check.spread - 1) for check in checks if check.spread < 1 + ALIKE]
    if not same:
        return ""
    return (
        f"On {len(same)} of the {len(checks)} tasks all settings need the same energy to {max(same):.1f} %, so these "
        "can hardly test a budget. "
    )


def _where_both_kept(checks: Sequence[LeftOut]) -> str:
    """Compare the advice with rounding afterwards on the tasks where both kept the budget."""
    if not checks:
        return "On no task did both keep the budget, so nothing says which of the two is better."
    own, rounded = [check.loss_points for check in checks], _rounded_losses(checks)
    gains = [other - loss for loss, other in zip(own, rounded, strict=True)]
    more, less = (sum(sign * gain > SAME_POINTS for gain in gains) for sign in (-1, 1))
    return (
        f"Where both kept the budget ({len(checks)} task{'s' * (len(checks) > 1)}), the advice lost {_points(own)} "
        f"and rounding {_points(rounded)}; it lost more on {more}, less on {less}, and as much on "
        f"{len(checks) - more - less}. So few tasks decide nothing."
    )


def _rounded_losses(checks: Sequence[LeftOut]) -> list[float]:
    return [check.rounded_loss_points for check in checks if check.rounded_loss_points is not None]


def _points(losses: Sequence[float]) -> str:
    return f"{np.mean(losses):.1f} points ({min(losses):.1f} to {max(losses):.1f})"
