"""Advice under a budget as plain values and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sgbench.recommendation.left_out import in_short
from sgbench.recommendation.priced import PricedSetting, PricedTask, front, holdable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.budget_front import BudgetPanel
    from sgbench.recommendation.budget_advice import BudgetAdvice


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
            "words": list(advice.own.advised.setting.overrides),
            "shares": list(advice.own.advised.shares),
            "loss_points": list(advice.own.advised.losses),
        },
        "trust": asdict(advice.trust),
        "shapes": [asdict(one) for one in advice.shapes],
    }


def _cell(one: PricedSetting | None) -> dict[str, Any] | None:
    """Convert a setting with its accuracy and energy to plain values; None stays None."""
    if one is None:
        return None
    return {
        **one.setting._asdict(),
        "words": list(one.setting.overrides),
        "validation": one.validation.mean,
        "accuracy": {"mean": one.test.mean, "low": one.test.low, "high": one.test.high},
        "energy_nj": asdict(one.energy_nj) if math.isfinite(one.energy_nj.value) else None,
    }


def figure_of(advice: BudgetAdvice) -> Figure:
    """Draw accuracy over energy of the measured settings, one panel for each task, with Pareto front and budget."""
    from sgbench.plots.budget_front import budget_figure

    panels = [_panel(task.title, task.measured, task.front, task.chosen) for task in advice.tasks]
    return budget_figure(
        panels,
        target=advice.budget.target,
        max_nj=advice.budget.max_nj,
        min_accuracy=advice.budget.min_accuracy,
    )


def panels_of(tasks: Mapping[str, PricedTask], limit: int | None) -> list[BudgetPanel]:
    """Make the panel of each task from the settings that fit on a target."""
    held = {title: holdable(cells, limit) for title, cells in tasks.items()}
    return [_panel(title, tuple(cells.values()), front(cells), None) for title, cells in held.items()]


def _panel(
    title: str, measured: Sequence[PricedSetting], best: Sequence[PricedSetting], chosen: PricedSetting | None
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
