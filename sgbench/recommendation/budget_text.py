"""Advice under a budget in sentences, as plain values and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sgbench.energy.text import joules, joules_interval
from sgbench.recommendation.left_out import in_short
from sgbench.recommendation.priced import PricedSetting, PricedTask, front, holdable
from sgbench.statistics.intervals import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.budget_front import BudgetPanel
    from sgbench.recommendation.budget import BudgetAdvice, TaskAdvice
    from sgbench.recommendation.left_out import LeftOut

NOT_TRIED = (
    "networks of more than 40 hidden neurons, or of several hidden layers",
    "sizes of the network, which move the energy more than all that is chosen here",
)


def lines_of(advice: BudgetAdvice) -> list[str]:
    """Write what fits on each task, what holds for another one, and how far joules can be trusted."""
    budget = advice.budget
    bits = "any number of bits" if advice.bits is None else f"at most {advice.bits} bits"
    asked = [] if budget.max_nj is None else [f"at most {budget.max_nj:g} nJ an inference"]
    asked += [] if budget.min_accuracy is None else [f"at least {budget.min_accuracy:g} %"]
    said = [
        f"{budget.target}: {', '.join(asked)}, weights of {bits}. Energy is dynamic, without a chip's "
        f"static power; settings are chosen by validation, accuracies are of the test, over {_seeds(advice)}.",
    ]
    if advice.own is not None:
        said += _own(advice)
    else:
        said += [line for task in advice.tasks for line in _task(task, advice)]
    said += [_left_out(check) for check in advice.left_out]
    said.append(in_short(budget.target, advice.left_out))
    if advice.shapes:
        said.append(f"Shapes, by the study of surrogates: {'; '.join(map(str, advice.shapes))}.")
    return [*said, str(advice.trust), *(f"Not known: {what}." for what in NOT_TRIED)]


def _seeds(advice: BudgetAdvice) -> str:
    """Write how many seeds a setting has at least."""
    seeds = min((one.test.n for task in advice.tasks for one in task.measured), default=0)
    return "one seed, so without intervals" if seeds == 1 else f"{seeds} seeds with intervals of 95 %"


def share_text(share: Summary) -> str:
    """Write an accuracy in percent with its interval over seeds.

    >>> share_text(Summary(0.9, None, 1, "share"))
    '90.0 %'
    """
    if share.ends is None:
        return f"{100 * share.mean:.1f} %"
    low, high = share.ends
    return f"{100 * share.mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def setting_text(one: PricedSetting) -> str:
    """Write a setting as words of a run, with what it scored and needed."""
    return f"{' '.join(one.setting.words)}: {share_text(one.test)}, {joules_interval(one.energy_nj)}"


def _task(task: TaskAdvice, advice: BudgetAdvice) -> Iterator[str]:
    """Yield what fits on a task, or what its nearest settings need and reach."""
    if task.chosen is None:
        yield f"{task.title}: nothing fits; {_nearest(task, advice)}."
        return
    line = f"{task.title}: take {setting_text(task.chosen)}."
    least, test = advice.budget.min_accuracy, task.chosen.test
    if least is not None and 100 * test.mean < least:
        line += f" In the test that is below {least:g} %."
    elif least is not None and test.low is not None and 100 * test.low < least:
        line += f" The interval reaches below {least:g} %."
    most = advice.budget.max_nj
    if most is not None and task.chosen.energy_nj.high > most:
        line += f" At the highest prices it needs more than {most:g} nJ."
    yield line
    if task.rounded is not None:
        yield f"  trained with real weights and rounded afterwards: {setting_text(task.rounded)}."


def _nearest(task: TaskAdvice, advice: BudgetAdvice) -> str:
    """Describe the cheapest setting of a task, and the most accurate one within the energy."""
    if not task.front:
        return "no setting has weights of so few bits"
    least = task.front[0]
    if advice.budget.max_nj is not None and least.energy_nj.value > advice.budget.max_nj:
        return f"its least energy is {joules(least.energy_nj.value)}, at {share_text(least.test)}"
    best = [
        one
        for one in task.front
        if advice.budget.max_nj is None or one.energy_nj.value <= advice.budget.max_nj
    ][-1]
    return (
        f"the best within the energy reaches {share_text(best.validation)} in validation, with "
        f"{joules(best.energy_nj.value)}"
    )


def needs_text(one: PricedSetting) -> str:
    """Write the energy of a setting; one whose every run failed has none."""
    return joules(one.energy_nj.value) if math.isfinite(one.energy_nj.value) else "no run has a result"


def _left_out(check: LeftOut) -> str:
    """Write what the other tasks' advice gives on a task."""
    kept = "keeps" if check.keeps_budget else "breaks"
    line = (
        f"Out of sample, {check.title}, {joules(check.budget_nj)}: advice from the other tasks {kept} the budget "
        f"({needs_text(check.advised)}) and loses {check.loss_points:.1f} points"
    )
    if check.rounded is not None:
        over = "" if check.rounded_keeps_budget else ", over the budget"
        line += f"; rounded afterwards {check.rounded_loss_points:.1f} ({needs_text(check.rounded)}{over})"
    return f"{line}."


def _own(advice: BudgetAdvice) -> Iterator[str]:
    """Yield what is advised for a run of the user's own."""
    own, most = advice.own, advice.budget.max_nj
    if own is None or most is None:
        return
    shares, losses = own.advised.shares, own.advised.losses
    yield (
        f"Your run needs {joules(own.reference_nj)}, of which {joules(own.moved_nj)} for spikes of its neurons; "
        "settings move no more than that. "
        f"Take {' '.join(own.advised.setting.words)}: on the measured tasks it needed {100 * min(shares):.0f} to "
        f"{100 * max(shares):.0f} % of that part and lost {min(losses):.1f} to {max(losses):.1f} points."
    )
    left = most - (own.reference_nj - own.moved_nj)
    if own.reference_nj <= most:
        bits = (
            ""
            if advice.bits is None
            else f"; {advice.budget.target} has weights of at most {advice.bits} bits"
        )
        yield f"Your run keeps the budget as it is{bits}."
    if own.advised.share * own.moved_nj > left:
        yield "No measured setting saves so much: make the network smaller or its sequences shorter."
    elif max(shares) * own.moved_nj > left:
        yield "On the measured task where it saved least, that would not keep the budget: measure your own run."


def tree_of(advice: BudgetAdvice) -> dict[str, Any]:
    """Convert advice to plain values."""
    return {
        "target": advice.budget.target,
        "max_nj": advice.budget.max_nj,
        "min_accuracy": advice.budget.min_accuracy,
        "bits": advice.bits,
        "tasks": [
            {
                "title": task.title,
                "chosen": _cell(task.chosen),
                "rounded": _cell(task.rounded),
                "front": [_cell(one) for one in task.front],
            }
            for task in advice.tasks
        ],
        "in_short": in_short(advice.budget.target, advice.left_out),
        "left_out": [
            {
                "title": check.title,
                "budget_nj": check.budget_nj,
                "advised": _cell(check.advised),
                "best": _cell(check.best),
                "rounded": _cell(check.rounded),
                "loss_points": check.loss_points,
                "rounded_loss_points": check.rounded_loss_points,
            }
            for check in advice.left_out
        ],
        "own": None
        if advice.own is None
        else {
            "reference_nj": advice.own.reference_nj,
            "moved_nj": advice.own.moved_nj,
            "words": list(advice.own.advised.setting.words),
            "shares": list(advice.own.advised.shares),
            "loss_points": list(advice.own.advised.losses),
        },
        "trust": asdict(advice.trust),
        "shapes": [asdict(one) for one in advice.shapes],
    }


def _cell(one: PricedSetting | None) -> dict[str, Any] | None:
    """Convert a setting with what it scored and needed to plain values."""
    if one is None:
        return None
    return {
        **one.setting._asdict(),
        "words": list(one.setting.words),
        "validation": one.validation.mean,
        "accuracy": {"mean": one.test.mean, "low": one.test.low, "high": one.test.high},
        "energy_nj": asdict(one.energy_nj) if math.isfinite(one.energy_nj.value) else None,
    }


def figure_of(advice: BudgetAdvice) -> Figure:
    """Draw accuracy against energy of the measured settings, a panel a task, with front and budget."""
    from sgbench.plots.budget_front import budget_figure

    panels = [_panel(task.title, task.measured, task.front, task.chosen) for task in advice.tasks]
    return budget_figure(
        panels,
        target=advice.budget.target,
        max_nj=advice.budget.max_nj,
        min_accuracy=advice.budget.min_accuracy,
    )


def panels_of(tasks: Mapping[str, PricedTask], limit: int | None) -> list[BudgetPanel]:
    """Make a panel of each task, of what a target can hold."""
    held = {title: holdable(cells, limit) for title, cells in tasks.items()}
    return [_panel(title, tuple(cells.values()), front(cells), None) for title, cells in held.items()]


def _panel(
    title: str,
    measured: Sequence[PricedSetting],
    best: Sequence[PricedSetting],
    chosen: PricedSetting | None,
) -> BudgetPanel:
    """Make the panel of one task."""
    from sgbench.plots.budget_front import BudgetPanel, BudgetPoint
    from sgbench.plots.estimate import Estimate

    points = []
    for one in measured:
        low, high = one.test.ends or (one.test.mean, one.test.mean)
        kind = "real weights" if one.setting.bits is None else f"{one.setting.bits} bits"
        accuracy = Estimate(100 * one.test.mean, 100 * low, 100 * high)
        points.append(BudgetPoint(kind, one.energy_nj.value, accuracy, one in best, one is chosen))
    return BudgetPanel(title, tuple(points))
