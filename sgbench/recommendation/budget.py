"""Advice under a budget: which shape, width, activity cost and bits keep a network within an energy on a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgbench.energy.price import chosen_targets, price
from sgbench.energy.text import joules
from sgbench.errors import InputError, require_number
from sgbench.recommendation.block import MeasuredTask
from sgbench.recommendation.budget_text import lines_of
from sgbench.recommendation.left_out import (
    CarriedAdvice,
    LeftOut,
    advise_elsewhere,
    leave_one_out,
    moved,
    reference_of,
)
from sgbench.recommendation.moved import moved_nj
from sgbench.recommendation.priced import (
    PricedSetting,
    PricedTask,
    choose,
    front,
    holdable,
    most_bits,
    priced_task,
    real,
)
from sgbench.recommendation.shapes import ShapeLoss, shape_losses
from sgbench.recommendation.summary import StudySummary
from sgbench.recommendation.trust import Trust, trust_in
from sgbench.records.counts import OpCounts
from sgbench.records.energy import EnergyTarget


@dataclass(frozen=True)
class TaskAdvice:
    """Holds what fits a budget on one measured task."""

    title: str
    chosen: PricedSetting | None  # within the budget, by validation; None where nothing fits
    # Chosen among real weights and rounded afterwards to as many bits; None where it was not run.
    rounded: PricedSetting | None
    front: tuple[PricedSetting, ...]  # of what the target can hold, the cheapest first
    measured: tuple[PricedSetting, ...]  # all that the target can hold


@dataclass(frozen=True)
class OwnAdvice:
    """Holds what is advised for a run of the user's own, which is the reference."""

    reference_nj: float  # that the run needs
    moved_nj: float  # the part of it that spikes of its neurons cause, which is all that settings move
    advised: CarriedAdvice  # by its share of that part


@dataclass(frozen=True)
class Budget:
    """Holds what a network may need and what it has to reach.

    Raises:
        InputError: it says nothing, or a number is out of range.
    """

    target: str  # name of a price list, e.g. "loihi1".
    max_nj: float | None = None  # most dynamic energy of an inference [nJ]; None: no limit
    min_accuracy: float | None = None  # least accuracy [%]; None: no limit
    bits: int | None = None  # most bits of a weight; the target may have fewer. None: the target's.

    def __post_init__(self) -> None:
        if self.max_nj is None and self.min_accuracy is None:
            raise InputError("recommend --target: --max-nj or --min-accuracy is needed, e.g. --max-nj 50")
        if self.max_nj is not None:
            require_number("--max-nj", self.max_nj, low=0, open_low=True)
        if self.min_accuracy is not None:
            require_number("--min-accuracy", self.min_accuracy, low=0, high=100)
        if self.bits is not None and self.bits < 1:
            raise InputError(f"--bits {self.bits}: 1 or more are needed")

    def choose(self, settings: PricedTask) -> PricedSetting | None:
        """Choose among settings; see `choose`."""
        least = None if self.min_accuracy is None else self.min_accuracy / 100
        return choose(settings, max_nj=self.max_nj, min_accuracy=least)


@dataclass(frozen=True)
class BudgetAdvice:
    """Says which settings keep a network within a budget, and how sure that is."""

    budget: Budget  # that was asked for
    bits: int | None  # most bits of a weight on the target; None: any number
    tasks: tuple[TaskAdvice, ...]  # advice on each measured one
    left_out: tuple[LeftOut, ...]  # advice from the other tasks, held against each
    own: OwnAdvice | None  # advice for a run of the user's own
    trust: Trust  # in the price list's joules
    # What the shapes that were run lose to the best one of a study of many.
    shapes: tuple[ShapeLoss, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Write the advice in sentences."""
        return lines_of(self)

    def __str__(self) -> str:
        return "\n".join(self.lines)


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
        budget: to be kept.
        own: operation counts and time step [s] of a finished run with real weights and without a cost on activity.
        summary: of a study of many shapes; None: nothing is said of other shapes.
        config_dirs: folders with price lists of the user's own.

    Raises:
        InputError: no such target, a target without a total, or nothing fits on any task.
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
        left_out=leave_one_out(tasks, limit),
        own=None if own is None else _own(tasks, own, prices, limit, budget),
        trust=trust_in(budget.target, config_dirs),
        shapes=() if summary is None else shape_losses(summary, _shapes(measured)),
    )


def _shapes(measured: Sequence[MeasuredTask]) -> list[str]:
    """List the shapes that were run."""
    return sorted({setting.surrogate for task in measured for setting in task.runs})


def _on_task(title: str, cells: PricedTask, limit: int | None, budget: Budget) -> TaskAdvice:
    """Choose on one task, and beside it among real weights that are rounded afterwards."""
    own = holdable(cells, limit)
    chosen, from_real = budget.choose(own), budget.choose(real(cells))
    rounded = None
    if chosen is not None and from_real is not None:
        rounded = cells.get(from_real.setting.rounded(chosen.setting.bits))
    return TaskAdvice(title, chosen, rounded, front(own), tuple(own.values()))


def _require_some(advice: Sequence[TaskAdvice], budget: Budget, limit: int | None) -> None:
    """Refuse a budget that no measured network keeps, and say which limit to move."""
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
    """Round an energy up to three digits, so that a budget of as much is kept.

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
    """Recommend a setting for a run that is the reference."""
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
    """Return whether spikes of neurons cost something in a task's reference."""
    reference = reference_of(cells)
    return reference is not None and reference.moved_nj > 0
