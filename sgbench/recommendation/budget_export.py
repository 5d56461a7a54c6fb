"""Advice under a budget as plain values and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sgbench.recommendation.budget_advice import panel_of
from sgbench.recommendation.left_out import in_short
from sgbench.recommendation.priced import PricedSetting, PricedTask, front, holdable

if TYPE_CHECKING:
    from sgbench.plots.budget_front import BudgetPanel
    from sgbench.recommendation.budget_advice import BudgetAdvice


def tree_of(advice: BudgetAdvice) -> dict[str, Any]:
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
                "front": [_cell(setting) for setting in task.front],
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
    }


def _cell(priced: PricedSetting | None) -> dict[str, Any] | None:
    if priced is None:
        return None
    return {
        **priced.setting._asdict(),
        "words": list(priced.setting.overrides),
        "validation": priced.validation.mean,
        "accuracy": {"mean": priced.test.mean, "low": priced.test.low, "high": priced.test.high},
        "energy_nj": asdict(priced.energy_nj) if math.isfinite(priced.energy_nj.value) else None,
    }


def panels_of(tasks: Mapping[str, PricedTask], limit: int | None) -> list[BudgetPanel]:
    fitting = {title: holdable(settings, limit) for title, settings in tasks.items()}
    return [panel_of(title, tuple(settings.values()), front(settings), None) for title, settings in fitting.items()]
