"""Choose the shape, width, activity cost and bits with which a network keeps a budget of energy on a target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sgbench.energy.price import chosen_targets, load_targets, price
from sgbench.energy.text import joules
from sgbench.energy.validate import load_cases, validate
from sgbench.errors import InputError
from sgbench.recommendation.block import MeasuredTask
from sgbench.recommendation.budget_advice import Budget, BudgetAdvice, OwnAdvice, ShapeLoss, TaskAdvice, Trust
from sgbench.recommendation.fit import fit
from sgbench.recommendation.left_out import advise_elsewhere, leave_one_out, moved, reference_of
from sgbench.recommendation.priced import (
    PricedTask,
    failed_settings,
    front,
    holdable,
    most_bits,
    moved_nj,
    priced_task,
    real,
)
from sgbench.recommendation.summary import Shape, StudySummary
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget


def trust_in(target: str, config_dirs: Sequence[Path] = ()) -> Trust:
    """Count the predictions of an energy target that agree with published measurements."""
    verdicts = validate(load_cases(config_dirs), load_targets(config_dirs, everything=True))
    mine = [verdict for verdict in verdicts if verdict.target == target]
    ratios = [verdict.ratio for verdict in mine]
    return Trust(
        target,
        sum(verdict.inside for verdict in mine),
        len(mine),
        min(ratios, default=None),
        max(ratios, default=None),
        sum(verdict.inside for verdict in verdicts),
        len(verdicts),
    )


KINDS = (Shape(layers=1, recurrent=False, steps=100), Shape(layers=1, recurrent=True, steps=100))
"""Networks of the kinds that were measured under a budget."""


def shape_losses(summary: StudySummary, surrogates: Iterable[str]) -> tuple[ShapeLoss, ...]:
    """Yield the losses of shapes to the best one, each at its best width, for each kind of network with tasks."""
    found = []
    for kind in KINDS:
        try:
            study_fit = fit(summary.tasks, kind)
            best = study_fit.best("accuracy")
        except InputError:  # no task of the kind is stored
            continue
        least = study_fit.losses[best].plain_mean
        for surrogate in surrogates:
            keys = study_fit.in_order(surrogate)
            if keys:
                points = study_fit.losses[keys[0]].plain_mean - least
                found.append(ShapeLoss(study_fit.kind, surrogate, best[0], max(0.0, points)))
    return tuple(found)


def advise_budget(
    measured: Sequence[MeasuredTask],
    budget: Budget,
    *,
    own: tuple[OpCounts, float] | None = None,
    summary: StudySummary | None = None,
    config_dirs: Sequence[Path] = (),
) -> BudgetAdvice:
    """Recommend shape, width, activity cost and bits of weights under a budget of energy.

    Args:
        measured: tasks with their runs; `read_block` reads the shipped ones.
        budget: the limits to keep.
        own: operation counts and time step [s] of a finished run with real weights and without a cost on activity.
        summary: of a study of many shapes; None leaves out the losses of other shapes.
        config_dirs: folders with the user's own energy targets.

    Raises:
        InputError: no such target, a target without a total, or no setting keeps the budget on any task.
    """
    (prices,) = chosen_targets([budget.target], config_dirs).values()
    tasks = {task.title: priced_task(task, prices) for task in measured}
    limit = most_bits(prices, budget.bits)
    advice = tuple(_on_task(title, cells, limit, budget) for title, cells in tasks.items())
    if own is None:
        _require_some(advice, budget, limit)
    return BudgetAdvice(
        budget=budget,
        bits=limit,
        tasks=advice,
        left_out=leave_one_out(tasks, limit, {task.title: failed_settings(task) for task in measured}),
        own=None if own is None else _own(tasks, own, prices, limit, budget),
        trust=trust_in(budget.target, config_dirs),
        shapes=() if summary is None else shape_losses(summary, _shapes(measured)),
    )


def _shapes(measured: Sequence[MeasuredTask]) -> list[str]:
    """List the surrogates that were run."""
    return sorted({setting.surrogate for task in measured for setting in task.runs})


def _on_task(title: str, cells: PricedTask, limit: int | None, budget: Budget) -> TaskAdvice:
    """Choose the setting for one task, and the one with real weights to round after training."""
    own = holdable(cells, limit)
    chosen, from_real = budget.choose(own), budget.choose(real(cells))
    rounded = None
    if chosen is not None and from_real is not None:
        rounded = cells.get(from_real.setting.rounded(chosen.setting.bits))
    return TaskAdvice(title, chosen, rounded, front(own), tuple(own.values()))


def _require_some(advice: Sequence[TaskAdvice], budget: Budget, limit: int | None) -> None:
    """Refuse a budget that no measured network keeps; the error says which limit to change."""
    if any(one.chosen is not None for one in advice):
        return
    known = [(one.title, cell) for one in advice for cell in one.front]
    if not known:
        raise InputError(_too_few_bits(limit))
    title, least = min(known, key=lambda pair: pair[1].energy_nj.value)
    energy = joules(least.energy_nj.value)
    if budget.max_nj is not None and budget.max_nj < least.energy_nj.value:
        raise InputError(
            f"--max-nj {budget.max_nj:g}: the least of any measured network on {budget.target} is {energy} "
            f"({title}); allow {rounded_up(least.energy_nj.value):g}, or price a network of your own with sgbench "
            "energy price RUN"
        )
    within = [pair for pair in known if budget.max_nj is None or pair[1].energy_nj.value <= budget.max_nj]
    title, best = max(within, key=lambda pair: pair[1].validation.mean)
    limits = "" if budget.max_nj is None else f" within {budget.max_nj:g} nJ"
    raise InputError(
        f"--min-accuracy {budget.min_accuracy:g}: the best measured network{limits} on {budget.target} reaches "
        f"{100 * best.validation.mean:.1f} % ({title}); ask for less, or allow more energy"
    )


def rounded_up(energy_nj: float) -> float:
    """Round an energy [nJ] up to three significant digits, so that a setting keeps a budget of this size.

    >>> rounded_up(49.015), rounded_up(0.12341)
    (49.1, 0.124)
    """
    digits = 2 - math.floor(math.log10(energy_nj))
    return round(math.ceil(energy_nj * 10.0**digits) / 10.0**digits, digits)


def _too_few_bits(limit: int | None) -> str:
    return f"weights of {limit} bits: no measured network has so few; allow more with --bits"


def _own(
    tasks: Mapping[str, PricedTask],
    own: tuple[OpCounts, float],
    prices: EnergyTarget,
    limit: int | None,
    budget: Budget,
) -> OwnAdvice:
    """Recommend a setting for a user's own run, which is the reference."""
    if budget.max_nj is None:
        raise InputError("recommend --run: --max-nj is needed, the energy that your network may use")
    counts, dt_s = own
    estimate = price(counts, target=prices, dt_s=dt_s)
    if estimate.dynamic_nj is None:
        raise InputError(
            f"--target {prices.name}: gives no total for this run: {'; '.join(estimate.reasons)}"
        )
    needed, moving = estimate.dynamic_nj.value, moved_nj(counts, target=prices, dt_s=dt_s)
    left = budget.max_nj - (needed - moving)
    if left <= 0:
        raise InputError(
            f"--max-nj {budget.max_nj:g}: of the {joules(needed)} of this run {joules(needed - moving)} stay if no "
            "neuron sends a spike; make the network smaller or its sequences shorter"
        )
    compared = [cells for cells in tasks.values() if _moves(cells)]
    if not compared:
        raise InputError(
            f"--target {prices.name}: spikes of neurons cost nothing there, so no setting saves energy; "
            "make the network smaller or its sequences shorter"
        )
    candidates = list(holdable(compared[0], limit))
    advised = advise_elsewhere(compared, left / moving if moving else math.inf, candidates, moved)
    if advised is None:
        raise InputError(_too_few_bits(limit))
    return OwnAdvice(needed, moving, advised)


def _moves(cells: PricedTask) -> bool:
    """Return whether spikes of neurons need energy in a task's reference."""
    reference = reference_of(cells)
    return reference is not None and reference.moved_nj > 0
