"""A budget of energy, and the advice that keeps it, both with their text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sgbench.energy.text import joules, joules_interval
from sgbench.errors import InputError, require_number
from sgbench.plots.style import Drawn
from sgbench.recommendation.left_out import CarriedAdvice, LeftOut, in_short
from sgbench.recommendation.priced import PricedSetting, PricedTask, choose, front, holdable
from sgbench.statistics.intervals import Summary
from sgbench.tables import NONE
from sgbench.tables.shown import ShownTable, screen_lines
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.plots.energy_front import BudgetPanel

NOT_TRIED = (
    "networks of more than 40 hidden neurons, or of several hidden layers",
    "sizes of the network, which move the energy more than all that is chosen here",
)


@dataclass(frozen=True)
class Trust:
    """Counts the predicted energies that agree with measurements, for one target and for all."""

    target: str  # name of the energy target
    held: int  # count of its predictions whose interval overlaps the measured one
    of: int  # count of all its predictions; 0 if nobody measured it
    lowest: float | None  # least ratio of predicted to measured energy; None without a prediction
    highest: float | None  # largest ratio
    all_held: int  # count of predictions of all targets that agree
    all_of: int  # count of predictions of all targets

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
class TaskAdvice:
    """Holds the setting for a budget on one measured task, and its alternatives."""

    title: str
    chosen: PricedSetting | None  # within the budget, by validation; None if no setting keeps it
    # The best setting with real weights, rounded afterwards to as many bits; None if it was not run.
    rounded: PricedSetting | None
    front: tuple[PricedSetting, ...]  # Pareto front of `measured`, the cheapest first
    measured: tuple[PricedSetting, ...]  # all settings that fit on the target


@dataclass(frozen=True)
class OwnAdvice:
    """Holds the advice for a user's own run, which is the reference."""

    reference_nj: float  # dynamic energy of an inference of the run
    moved_nj: float  # the part due to spikes of its neurons, which is all that settings change
    advised: CarriedAdvice  # chosen by its share of that part


@dataclass(frozen=True)
class Budget:
    """Holds the limits on energy and accuracy of a network."""

    target: str  # name of an energy target, e.g. "loihi1"
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


@dataclass(frozen=True, repr=False)
class BudgetAdvice(Drawn, ShownTable):
    """Holds the settings with which a network keeps a budget, and the evidence for them."""

    budget: Budget  # the limits to keep
    bits: int | None  # most bits of a weight on the target; None: any number
    tasks: tuple[TaskAdvice, ...]  # advice on each measured task
    left_out: tuple[LeftOut, ...]  # for each task, the advice from the other tasks evaluated on it
    own: OwnAdvice | None  # advice for a user's own run
    trust: Trust  # in the target's joules

    @property
    def lines(self) -> list[str]:
        """Return the advice as sentences: limits, what to take, how it did on tasks left out, and what is not known."""
        sentences = [_limits(self)]
        if self.own is not None:
            sentences += _own_lines(self)
        else:
            sentences += [line for task in self.tasks for line in _task_lines(task, self)]
        sentences += [_left_out_text(check) for check in self.left_out]
        sentences.append(in_short(self.budget.target, self.left_out))
        return [*sentences, str(self.trust), *(f"Not known: {limit}." for limit in NOT_TRIED)]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        return "\n".join(screen_lines(self.lines))

    def table(self) -> Table:
        """Return what to take on each task, with its accuracy and energy."""
        rows = []
        for title, chosen in ((task.title, task.chosen) for task in self.tasks):
            if chosen is None:
                rows.append((title, "nothing fits", NONE, NONE))
            else:
                words = " ".join(chosen.setting.overrides)
                rows.append((title, words, share_text(chosen.test), joules_interval(chosen.energy_nj)))
        return plain_table(self.budget.target, [("task", "take", "accuracy", "energy"), *rows], text_columns=2)

    def table_notes(self) -> list[str]:
        return [_limits(self), *_own_lines(self), in_short(self.budget.target, self.left_out), str(self.trust)]

    def figure(self) -> Figure:
        from sgbench.plots.energy_front import budget_figure

        panels = [panel_of(task.title, task.measured, task.front, task.chosen) for task in self.tasks]
        limits = {"max_nj": self.budget.max_nj, "min_accuracy": self.budget.min_accuracy}
        return budget_figure(panels, target=self.budget.target, **limits)


def _limits(advice: BudgetAdvice) -> str:
    """Say which budget was asked for, and how settings were chosen."""
    budget = advice.budget
    bits = "any number of bits" if advice.bits is None else f"at most {advice.bits} bits"
    limits = [] if budget.max_nj is None else [f"at most {budget.max_nj:g} nJ an inference"]
    limits += [] if budget.min_accuracy is None else [f"at least {budget.min_accuracy:g} %"]
    seeds = min((setting.test.n for task in advice.tasks for setting in task.measured), default=0)
    over = "one seed, so without intervals" if seeds == 1 else f"{seeds} seeds with intervals of 95 %"
    return (
        f"{budget.target}: {', '.join(limits)}, weights of {bits}. Energy is dynamic, without a chip's static "
        f"power; settings are chosen by validation, accuracies are of the test, over {over}."
    )


def share_text(share: Summary) -> str:
    """Write an accuracy in percent with its interval over seeds.

    >>> share_text(Summary(0.9, None, 1, "share"))
    '90.0 %'
    """
    if share.ends is None:
        return f"{100 * share.mean:.1f} %"
    low, high = share.ends
    return f"{100 * share.mean:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def setting_text(priced: PricedSetting) -> str:
    overrides = " ".join(priced.setting.overrides)
    return f"{overrides}: {share_text(priced.test)}, {joules_interval(priced.energy_nj)}"


def _task_lines(task: TaskAdvice, advice: BudgetAdvice) -> Iterator[str]:
    """Yield what to take on one task, with a warning where the test or the highest prices break the budget."""
    if task.chosen is None:
        yield f"{task.title}: nothing fits; {_nearest_text(task, advice)}."
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


def _nearest_text(task: TaskAdvice, advice: BudgetAdvice) -> str:
    """Say what comes nearest to the budget on a task where no setting keeps it."""
    if not task.front:
        return "no setting has weights of so few bits"
    most = math.inf if advice.budget.max_nj is None else advice.budget.max_nj
    cheapest = task.front[0]
    if cheapest.energy_nj.value > most:
        return f"its least energy is {joules(cheapest.energy_nj.value)}, at {share_text(cheapest.test)}"
    best = [setting for setting in task.front if setting.energy_nj.value <= most][-1]
    return (
        f"the best within the energy reaches {share_text(best.validation)} in validation, with "
        f"{joules(best.energy_nj.value)}"
    )


def needs_text(priced: PricedSetting) -> str:
    return joules(priced.energy_nj.value) if math.isfinite(priced.energy_nj.value) else "no run has a result"


def _left_out_text(check: LeftOut) -> str:
    """Say how the advice would have done on a task if it had not been measured."""
    verb = "kept" if check.keeps_budget else "broken"
    line = (
        f"Had nobody measured '{check.title}', our advice for {joules(check.budget_nj)} would have {verb} the budget "
        f"({needs_text(check.advised)}) and lost {check.loss_points:.1f} points"
    )
    if check.rounded is not None:
        over = "" if check.rounded_keeps_budget else ", over the budget"
        line += f", rounding afterwards {check.rounded_loss_points:.1f} ({needs_text(check.rounded)}{over})"
    return f"{line}."


def _own_lines(advice: BudgetAdvice) -> Iterator[str]:
    """Yield what to set in the user's own run, and whether that keeps the budget; nothing without a run."""
    own, most = advice.own, advice.budget.max_nj
    if own is None or most is None:
        return
    shares, losses = own.advised.shares, own.advised.losses
    yield (
        f"Your run needs {joules(own.reference_nj)}, of which {joules(own.moved_nj)} for spikes of its neurons; "
        "settings move no more than that. "
        f"Take {' '.join(own.advised.setting.overrides)}: on the measured tasks it needed "
        f"{100 * min(shares):.0f} to {100 * max(shares):.0f} % of that part and lost "
        f"{min(losses):.1f} to {max(losses):.1f} points."
    )
    left = most - (own.reference_nj - own.moved_nj)
    if own.reference_nj <= most:
        target = advice.budget.target
        bits = "" if advice.bits is None else f"; {target} has weights of at most {advice.bits} bits"
        yield f"Your run keeps the budget as it is{bits}."
    if own.advised.share * own.moved_nj > left:
        yield "No measured setting saves so much: make the network smaller or its sequences shorter."
    elif max(shares) * own.moved_nj > left:
        yield "On the measured task where it saved least, that would not keep the budget: measure your own run."


def panel_of(
    title: str, measured: Sequence[PricedSetting], best: Sequence[PricedSetting], chosen: PricedSetting | None
) -> BudgetPanel:
    """Return one task's panel of accuracy against energy, with the front and the choice marked."""
    from sgbench.plots.chart import Estimate
    from sgbench.plots.energy_front import BudgetPanel, BudgetPoint

    points = []
    for priced in measured:
        low, high = priced.test.ends or (priced.test.mean, priced.test.mean)
        kind = "real weights" if priced.setting.bits is None else f"{priced.setting.bits} bits"
        accuracy = Estimate(100 * priced.test.mean, 100 * low, 100 * high)
        points.append(BudgetPoint(kind, priced.energy_nj.value, accuracy, priced in best, priced is chosen))
    return BudgetPanel(title, tuple(points))


def tree_of(advice: BudgetAdvice) -> dict[str, Any]:
    """Convert the advice to plain values for JSON."""
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
    """Convert a priced setting to plain values for JSON, which has no infinite energy."""
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
