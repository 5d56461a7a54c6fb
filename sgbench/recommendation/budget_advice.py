"""What a budget of energy asks, and the advice that keeps it: values that write themselves in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.text import joules, joules_interval
from sgbench.errors import InputError, require_number
from sgbench.recommendation.left_out import CarriedAdvice, LeftOut, in_short
from sgbench.recommendation.priced import PricedSetting, PricedTask, choose
from sgbench.statistics.intervals import Summary

NOT_TRIED = (
    "networks of more than 40 hidden neurons, or of several hidden layers",
    "sizes of the network, which move the energy more than all that is chosen here",
)


@dataclass(frozen=True)
class Trust:
    """Counts predictions that hold, of one price list and of all."""

    target: str  # name of the price list
    held: int  # predictions of it whose interval meets the measured one
    of: int  # predictions of it; 0: nobody measured what it predicts
    lowest: float | None  # predicted over measured energy, the least; None without a prediction
    highest: float | None  # the largest
    all_held: int  # of all price lists
    all_of: int  # predictions of all

    def __str__(self) -> str:
        everywhere = f"of all price lists {self.all_held} of {self.all_of} hold"
        if self.lowest is None or self.highest is None:
            return (
                f"Trust in joules: no published measurement was held against {self.target}, so they rank settings "
                f"and say little of a meter; {everywhere}."
            )
        return (
            f"Trust in joules: {self.held} of {self.of} predictions of {self.target} hold against published "
            f"measurements, at {self.lowest:.2g} to {self.highest:.2g} times what was measured; {everywhere}."
        )


@dataclass(frozen=True)
class ShapeLoss:
    """Says what one shape at its best width loses to the best one in a kind of network."""

    kind: str  # of network, in words
    surrogate: str  # the shape
    best: str  # the best one
    points: float  # of test accuracy, mean over tasks

    def __str__(self) -> str:
        if self.surrogate == self.best:
            return f"{self.surrogate} is the best shape in {self.kind}"
        return f"{self.surrogate} loses {self.points:.1f} points to {self.best} in {self.kind}"


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
