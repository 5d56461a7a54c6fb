"""The rule that follows from the claims, and what it loses, in sentences that hold for every outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sgbench.study_runner.scores import StudyScores
from sgbench.study_runner.status import states_of
from sgbench.tables import decimal_text
from study.passing_steps.analysis.cells import FIRST_LOOK, FIXED, LOOKS, tasks_of
from study.passing_steps.analysis.claims import ClaimDecision, ClaimLook
from study.reporting.verdicts import limits

FIXED_NAME, CALIBRATED_NAME = "attached, fixed setting", "attached, by passing steps"
"""The two ways to a setting of which one becomes the rule, as `sgbench recommend` calls them."""
TASK_LEVEL = 0.025
"""One-sided, of both limits of one task's own interval of 95 % over seeds."""
CLOSE = 3.0
"""Points of the first claim, below which the rule's own loss has to lie for the answer to say: take it."""
HARM = -2.0
"""Points that no task may be shown to lose where a default is to change."""
RECOMMENDED_NAME = "what `sgbench recommend` said before"
SHIPPED = {
    "snnTorch's atan as it ships": "snnTorch's default `atan`",
    "snnTorch's fast_sigmoid": "snnTorch's default `fast_sigmoid`",
}
"""Names of settings that a sentence says in other words."""
LIBRARY = "snnTorch"
"""With which the names of its defaults begin."""
PENDING = "Not decided yet"
SHOWN = 0.05
"""Points that a sentence with one digit shows."""


def percent(level: float) -> str:
    """Write the confidence of a limit, or of the interval between two of half the level.

    >>> percent(0.015), percent(0.03)
    ('98.5 %', '97 %')
    """
    return f"{100 * (1 - level):g} %"


def worst_task(decision: ClaimDecision, last: ClaimLook) -> tuple[str, float]:
    """Return the task whose number speaks most against a claim, and that number."""
    pick = max if decision.claim.below else min
    return pick(last.by_task.items(), key=lambda pair: pair[1])


def first_look_runs(scores: StudyScores) -> tuple[int, int]:
    """Count the stored and the planned runs of the first look."""
    states = states_of(scores, [name for name in FIRST_LOOK if name in scores.study.blocks])
    return sum(state.stored for state in states), sum(state.runs for state in states)


def rule_of(decisions: Sequence[ClaimDecision]) -> str | None:
    """Name the way that the registration's rule publishes; None before both claims about it are decided.

    The width by passing steps is the rule where it is confirmed to be better than the fixed setting. In every other
    case the fixed setting is, whatever it loses.
    """
    by_name = {one.claim.name: one for one in decisions}
    good, better = by_name["P1"], by_name["P1b"]
    if not good.looks or not better.looks:
        return None
    return CALIBRATED_NAME if better.verdict == "confirmed" else FIXED_NAME


def defaults_sentence(decisions: Sequence[ClaimDecision], scores: StudyScores) -> str:
    """Say whether a default changes, by the rule that was registered."""
    decision = next(one for one in decisions if one.claim.name == "P2a")
    asked = (
        "A default changes only if attaching is confirmed to do no harm and no task's own interval of 95 % over seeds "
        "lies wholly below -2 points."
    )
    if not decision.looks:
        return f"{asked} {PENDING}."
    if decision.verdict != "confirmed":
        return f"{asked} It is not confirmed, so that no default changes."
    seeds = decision.looks[-1].seeds
    harmed = [
        scores.study.tasks[task.task].title
        for task in tasks_of(scores)
        if limits(decision.claim.number(task, seeds).tolist(), TASK_LEVEL)[1] < HARM
    ]
    if harmed:
        return f"{asked} It is confirmed, and these tasks are harmed: {'; '.join(harmed)}. No default changes."
    return (
        f"{asked} Both hold, so recurrent experiments of version 2 may set `neuron.reset_gradient=attached`. They "
        "leave it to the word, since with another reset there published closed rows would become open."
    )


@dataclass(frozen=True)
class SettingLosses:
    """Holds what a setting loses to the best of 32 cells, task by task.

    `name`: in words. `losses`: in points of test accuracy by the title of a task; none where runs are missing. `seeds`:
    which runs they are of, in words.
    """

    name: str
    losses: Mapping[str, float]
    seeds: str

    @property
    def row(self) -> list[str]:
        if not self.losses:
            return [self.name, "not run", "-", "-"]
        worst = max(self.losses, key=lambda title: self.losses[title])
        numbers = list(self.losses.values())
        return [self.name, over_tasks(numbers), decimal_text(self.losses[worst], 1), worst]


@dataclass(frozen=True)
class Answer:
    """Holds what the study says to somebody who asks which setting to take."""

    rule: str | None  # name of the way that is published; None: not decided
    sentences: str
    defaults: str  # whether a default may change


def answer_of(decisions: Sequence[ClaimDecision], scores: StudyScores, losses: Mapping[str, SettingLosses]) -> Answer:
    rule = rule_of(decisions)
    sentences = " ".join(_answer(rule, decisions, scores, losses))
    return Answer(rule, sentences, defaults_sentence(decisions, scores))


def _answer(
    rule: str | None, decisions: Sequence[ClaimDecision], scores: StudyScores, losses: Mapping[str, SettingLosses]
) -> list[str]:
    """Write the sentences of the answer: the rule, what it lost, and what is not shown."""
    if rule is None:
        stored, runs = first_look_runs(scores)
        return [f"{PENDING}: {stored:,} of the {runs:,} runs that a verdict needs are stored."]
    width = "a width by passing steps" if rule == CALIBRATED_NAME else f"`{FIXED[0]}` at {FIXED[1]:g}"
    lost = losses[rule].losses
    worst = max(lost, key=lambda title: lost[title])
    by_name = {one.claim.name: one for one in decisions}
    numbers = list(lost.values())
    low, high = limits(numbers, TASK_LEVEL)
    shown = "" if high < CLOSE else f" That this comes within {CLOSE:g} points of the best setting is not shown."
    said = [
        f"The registered rule for recurrent networks is {width}, with a gradient through the neurons' reset.{shown}",
        f"On {len(lost)} new tasks it lost {points(fmean(numbers))} points to each task's best of 32 settings (95 % "
        f"interval {points(low)} to {points(high)}), most on {worst} ({points(lost[worst])}; {losses[rule].seeds}).",
    ]
    if any(one.verdict == "open" and len(one.looks) < len(LOOKS) for one in (by_name["P1"], by_name["P1b"])):
        said.append("Runs with more seeds may change this rule.")
    return [*said, _beside(rule, by_name["P1"], by_name["P1b"]), *_shipped(losses), *_attaching(by_name)]


def _shipped(losses: Mapping[str, SettingLosses]) -> list[str]:
    """Say what the libraries' defaults and our recommendation lost."""
    shipped = {name: of for name, of in losses.items() if name.startswith(LIBRARY) or name == RECOMMENDED_NAME}
    said = [f"{SHIPPED.get(name, name)} {points(fmean(of.losses.values()))}" for name, of in shipped.items()]
    seeds = sorted({of.seeds for of in shipped.values()})
    return [f"There {', '.join(said)} points were lost ({'; '.join(seeds)})."] if said else []


def _attaching(by_name: Mapping[str, ClaimDecision]) -> list[str]:
    """Say what attaching the reset is shown to do at the best detached width, and at a wide one."""
    harm, gain = by_name["P2a"], by_name["P2b"]
    if harm.verdict not in ("confirmed", "refuted"):
        return []
    mean = harm.looks[-1].mean
    verb = "gains" if mean > 0 else "costs"
    line = f"The reset's gradient {verb} {points(abs(mean))} points at the width that is best without it"
    if gain.verdict != "confirmed":
        return [f"{line}."] if abs(mean) >= SHOWN else []
    return [f"{line}, and gains {points(gain.looks[-1].mean)} at a width of {FIXED[1]:g}."]


def _beside(rule: str, good: ClaimDecision, better: ClaimDecision) -> str:
    """Say why the other way is not the rule, or that it is worse."""
    mean = better.looks[-1].mean
    if rule == CALIBRATED_NAME:
        return f"It is better than the fixed setting, by {points(mean)} points."
    computed = "A width by passing steps"
    if better.verdict == "refuted":
        return f"{computed} is worse, by {points(-mean)} points."
    if better.verdict == "open":
        return f"{computed} is not shown to be better: the difference is {points(mean)} points."
    said = "is refuted" if good.verdict == "refuted" else "is not confirmed"
    return f"That a width by passing steps comes within {CLOSE:g} points of the best setting {said}."


def over_tasks(losses: Sequence[float]) -> str:
    """Write the mean of losses over tasks with its interval of 95 %."""
    low, high = limits(losses, TASK_LEVEL)
    return f"{points(fmean(losses))} points ({points(low)} to {points(high)})"


def points(value: float) -> str:
    """Write points with one digit behind the point, and what rounds to zero without a sign.

    >>> points(-0.04), points(1.25)
    ('0.0', '1.2')
    """
    return decimal_text(round(value, 1) + 0.0, 1)
