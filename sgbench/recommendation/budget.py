"""Choose the shape, width, activity cost and bits with which a network keeps a budget of energy on a target."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgbench.energy.price import chosen_targets, load_targets, price
from sgbench.energy.text import joules
from sgbench.energy.validate import load_cases, validate
from sgbench.errors import InputError
from sgbench.recommendation.block import MeasuredTask
from sgbench.recommendation.budget_advice import Budget, BudgetAdvice, OwnAdvice, TaskAdvice, Trust
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
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget


def trust_in(target: str, config_dirs: Sequence[Path] = ()) -> Trust:
    """Count the predictions of an energy target that agree with published measurements."""
    verdicts = validate(load_cases(config_dirs), load_targets(config_dirs, everything=True))
    of_target = [verdict for verdict in verdicts if verdict.target == target]
    ratios = [verdict.ratio for verdict in of_target]
    return Trust(
        target=target,
        held=sum(verdict.inside for verdict in of_target),
        of=len(of_target),
        lowest=min(ratios, default=None),
        highest=max(ratios, default=None),
        all_held=sum(verdict.inside for verdict in verdicts),
        all_of=len(verdicts),
    )


def advise_budget(
    measured: Sequence[MeasuredTask],
    budget: Budget,
    *,
    own: tuple[OpCounts, float] | None = None,
    config_dirs: Sequence[Path] = (),
) -> BudgetAdvice:
    """Recommend shape, width, activity cost and bits of weights under a budget of energy.

    `measured`: tasks with their runs; `read_block` reads the shipped ones. `budget`: the limits to keep. `own`:
    operation counts and time step [s] of the user's finished run, whose weights are not quantised and which has no cost
    on activity; None: no such run. `config_dirs`: folders with the user's own energy targets.
    """
    (prices,) = chosen_targets([budget.target], config_dirs).values()
    tasks = {task.title: priced_task(task, prices) for task in measured}
    limit = most_bits(prices, budget.bits)
    advice = tuple(_advise_on_task(title, settings, limit, budget) for title, settings in tasks.items())
    if own is None:
        _require_feasible(advice, budget, limit)
    return BudgetAdvice(
        budget=budget,
        bits=limit,
        tasks=advice,
        left_out=leave_one_out(tasks, limit, {task.title: failed_settings(task) for task in measured}),
        own=None if own is None else _advise_own(tasks, own, prices, limit, budget),
        trust=trust_in(budget.target, config_dirs),
    )


def _advise_on_task(title: str, settings: PricedTask, limit: int | None, budget: Budget) -> TaskAdvice:
    """Choose a task's best setting within the budget, and the real-valued one with its weights rounded afterwards."""
    fitting = holdable(settings, limit)
    chosen, chosen_real = budget.choose(fitting), budget.choose(real(settings))
    rounded = None
    if chosen is not None and chosen_real is not None:
        rounded = settings.get(chosen_real.setting.rounded(chosen.setting.bits))
    return TaskAdvice(title, chosen, rounded, front(fitting), tuple(fitting.values()))


def _require_feasible(advice: Sequence[TaskAdvice], budget: Budget, limit: int | None) -> None:
    """Raise an InputError that says which limit to change if no measured network keeps the budget on any task."""
    if any(task.chosen is not None for task in advice):
        return
    known = [(task.title, setting) for task in advice for setting in task.front]
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


def _advise_own(
    tasks: Mapping[str, PricedTask],
    own: tuple[OpCounts, float],
    prices: EnergyTarget,
    limit: int | None,
    budget: Budget,
) -> OwnAdvice:
    """Recommend a setting for a user's own run, which is the reference of the energy to save.

    `own`: operation counts and time step [s] of the run. `limit`: most bits of a weight; None: no limit.
    """
    if budget.max_nj is None:
        raise InputError("recommend --run: --max-nj is needed, the energy that your network may use")
    counts, dt_s = own
    estimate = price(counts, target=prices, dt_s=dt_s)
    if estimate.dynamic_nj is None:
        raise InputError(f"--target {prices.name}: gives no total for this run: {'; '.join(estimate.reasons)}")
    needed, of_spikes = estimate.dynamic_nj.value, moved_nj(counts, target=prices, dt_s=dt_s)
    left = budget.max_nj - (needed - of_spikes)
    if left <= 0:
        raise InputError(
            f"--max-nj {budget.max_nj:g}: of the {joules(needed)} of this run {joules(needed - of_spikes)} stay if "
            "no neuron sends a spike; make the network smaller or its sequences shorter"
        )
    references = ((settings, reference_of(settings)) for settings in tasks.values())
    compared = [settings for settings, one in references if one is not None and one.moved_nj > 0]
    if not compared:
        raise InputError(
            f"--target {prices.name}: spikes of neurons cost nothing there, so no setting saves energy; "
            "make the network smaller or its sequences shorter"
        )
    candidates = list(holdable(compared[0], limit))
    advised = advise_elsewhere(compared, left / of_spikes if of_spikes else math.inf, candidates, moved)
    if advised is None:
        raise InputError(_too_few_bits(limit))
    return OwnAdvice(needed, of_spikes, advised)
