"""The claims' verdicts and the rule that follows from them, in sentences that hold for every outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from sgbench.study.scores import StudyScores
from sgbench.study.status import states_of
from sgbench.tables import decimal_text
from study.passing_steps.analysis.cells import FIRST_LOOK, FIXED, LOOKS, tasks_of
from study.passing_steps.analysis.claims import ClaimDecision, ClaimLook
from study.reporting.verdicts import limits

FIXED_NAME, CALIBRATED_NAME = "attached, fixed setting", "attached, by passing steps"
"""The two ways to a setting of which one becomes the rule, as `sgbench recommend` calls them."""
FIXED_TEXT = f"`{FIXED[0]}` at a width of {FIXED[1]:g}"
TASK_LEVEL = 0.025
"""One-sided, of both limits of one task's own interval of 95 % over seeds."""
CLOSE = 3.0
"""Points of the first claim, below which the rule's own loss has to lie for the answer to say: take it."""
HARM = -2.0
"""Points that no task may be shown to lose where a default is to change."""
RECOMMENDED_NAME = "what `sgbench recommend` said before"
SHIPPED = {
    RECOMMENDED_NAME: "the setting that `sgbench recommend` gave before our second study",
    "snnTorch's atan as it ships": "snnTorch's default `atan`",
    "snnTorch's fast_sigmoid": "snnTorch's default `fast_sigmoid`",
}
"""Names of settings that a sentence says in other words."""
LIBRARY = "snnTorch"
"""With which the names of its defaults begin."""
PENDING = "Not decided yet"


@dataclass(frozen=True)
class ClaimWords:
    """Says a claim in words, by its verdict."""

    confirmed: str  # a sentence that holds then, without its end
    refuted: str  # likewise
    asked: str  # the question, which begins with whether
    effect: str  # what the number is, with a pair of braces in its place


BY_STEPS = "a surrogate width computed from membrane potentials"
BEST = "3 points of the best setting"
NOT_REACHED = f"A computed width was to be tested against {FIXED_TEXT} only if it came within {BEST}."
"""Why the second claim is not tested."""
AT_BEST = "at the best width without this gradient"
AT_HALF = "at a surrogate width of 0.5"
ATTACHING = "a gradient through the neurons' reset"
SHOWN = 0.05
"""Points that a sentence with one digit shows."""
WORDS: Mapping[str, ClaimWords] = {
    "P1": ClaimWords(
        f"With a gradient through the reset, {BY_STEPS} comes within {BEST}",
        f"With a gradient through the reset, {BY_STEPS} does not come within {BEST}",
        f"whether, with a gradient through the reset, {BY_STEPS} comes within {BEST}",
        f"{BY_STEPS} loses {{}} points to the best setting",
    ),
    "P1b": ClaimWords(
        f"With a gradient through the reset, {BY_STEPS} is better than {FIXED_TEXT}",
        f"With a gradient through the reset, {BY_STEPS} is worse than {FIXED_TEXT}",
        f"whether, with a gradient through the reset, {BY_STEPS} beats {FIXED_TEXT}",
        f"{BY_STEPS} gains {{}} points over {FIXED_TEXT}",
    ),
    "P2a": ClaimWords(
        f"{ATTACHING} costs less than 1 point of accuracy {AT_BEST}",
        f"{ATTACHING} costs more than 1 point of accuracy {AT_BEST}",
        f"whether {ATTACHING} costs less than 1 point of accuracy {AT_BEST}",
        f"{ATTACHING} gains {{}} points of accuracy {AT_BEST}",
    ),
    "P2b": ClaimWords(
        f"{ATTACHING} gains more than 3 points of accuracy {AT_HALF}",
        f"{ATTACHING} gains less than 3 points of accuracy {AT_HALF}",
        f"whether {ATTACHING} gains more than 3 points of accuracy {AT_HALF}",
        f"{ATTACHING} gains {{}} points of accuracy {AT_HALF}",
    ),
}


def verdict_sentences(decision: ClaimDecision) -> str:
    """Write what a claim came to, with effect, limits and level; what it waits for where it is not decided."""
    words = WORDS[decision.claim.name]
    if not decision.looks:
        return f"{PENDING}: {words.asked}."
    effect = f"{_capital(_effect(decision))}."
    if decision.verdict == "not decided":
        return f"It was not tested {words.asked}. {NOT_REACHED} {effect}"
    if decision.verdict != "open":
        return f"{_capital(getattr(words, decision.verdict))}. {effect}"
    second = (
        f" Runs with the seeds {LOOKS[1][0]} to {LOOKS[1][-1]} may decide this question and are not stored yet."
        if len(decision.looks) == 1
        else " The registration of the study plans no further runs."
    )
    return f"It is open {words.asked}. {effect}{second}"


def _effect(decision: ClaimDecision) -> str:
    last = decision.looks[-1]
    return (
        f"on {len(last.by_task)} tasks with {len(last.seeds)} seeds, "
        f"{WORDS[decision.claim.name].effect.format(points(last.mean))} "
        f"({percent(2 * decision.claim.level)} interval {points(last.low)} to {points(last.high)})"
    )


def percent(level: float) -> str:
    """Write the confidence of a limit, or of the interval between two of half the level.

    >>> percent(0.015), percent(0.03)
    ('98.5 %', '97 %')
    """
    return f"{100 * (1 - level):g} %"


def worst_task(decision: ClaimDecision, last: ClaimLook) -> tuple[str, float]:
    """Return the task that speaks most against a claim, with its number."""
    pick = max if decision.claim.below else min
    return pick(last.by_task.items(), key=lambda pair: pair[1])


def first_look_runs(scores: StudyScores) -> tuple[int, int]:
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
    decision = next(one for one in decisions if one.claim.name == "P2a")
    asked = (
        "A default changes only if a gradient through the reset is confirmed to do no harm and no task's own "
        "interval of 95 % over seeds lies wholly below -2 points."
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
        f"{asked} Both hold, so that recurrent experiments of version 2 may set "
        "`neuron.reset_gradient=attached`. They leave it to the word: published rows are held against what their "
        "experiment sets, and with another reset there the closed rows would become open."
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
        """Write the setting as the cells of a table."""
        if not self.losses:
            return [self.name, "not run", "-", "-"]
        worst = max(self.losses, key=lambda title: self.losses[title])
        numbers = list(self.losses.values())
        return [self.name, over_tasks(numbers), decimal_text(self.losses[worst], 1), worst]


@dataclass(frozen=True)
class Answer:
    """Holds what the study says to somebody who asks which setting to take."""

    rule: str | None  # name of the way that is published; None: not decided
    sentences: str  # the answer
    verdicts: tuple[str, ...]  # what each claim came to, a text a claim
    defaults: str  # whether a default may change


def answer_of(decisions: Sequence[ClaimDecision], scores: StudyScores, losses: Mapping[str, SettingLosses]) -> Answer:
    """Write the answer from the verdicts, the same for README, the pages and `sgbench recommend`."""
    rule = rule_of(decisions)
    verdicts = tuple(verdict_sentences(one) for one in decisions)
    sentences = " ".join(_answer(rule, decisions, scores, losses))
    return Answer(rule, sentences, verdicts, defaults_sentence(decisions, scores))


def _answer(
    rule: str | None, decisions: Sequence[ClaimDecision], scores: StudyScores, losses: Mapping[str, SettingLosses]
) -> list[str]:
    """Write the rule with its loss, what stands beside it, and what attaching is shown to cost."""
    if rule is None:
        stored, runs = first_look_runs(scores)
        asked = "A registered study asks whether recurrent networks need a gradient through the reset, and at which"
        return [f"{asked} width. {PENDING}: {stored:,} of the {runs:,} runs that a verdict needs are stored."]
    take = "choose the width by passing steps (`width_fwhm=auto`)" if rule == CALIBRATED_NAME else f"take {FIXED_TEXT}"
    lost = losses[rule].losses
    worst = max(lost, key=lambda title: lost[title])
    by_name = {one.claim.name: one for one in decisions}
    setting = BY_STEPS if rule == CALIBRATED_NAME else FIXED_TEXT
    numbers = list(lost.values())
    low, high = (points(limit) for limit in limits(numbers, TASK_LEVEL))
    said = [
        f"In recurrent networks {take}, with a gradient through the neurons' reset."
        if limits(numbers, TASK_LEVEL)[1] < CLOSE
        else f"The rule that was registered for recurrent networks is to {take}, with a gradient through the "
        "neurons' reset. "
        f"The study does not show that {setting} comes within {BEST}.",
        f"On {len(lost)} new tasks, {setting} with a gradient through the reset averaged "
        f"{points(fmean(numbers))} points below each task's best of 32 settings (95 % interval {low} to {high}).",
    ]
    if any(one.verdict == "open" and len(one.looks) < len(LOOKS) for one in (by_name["P1"], by_name["P1b"])):
        said.append("Runs with more seeds may change this rule.")
    return [
        *said,
        f'On the task "{worst}", {setting} lost most, {points(lost[worst])} points ({losses[rule].seeds}).',
        _beside(rule, by_name["P1"], by_name["P1b"]),
        *_shipped(losses),
        *_attaching(by_name["P2a"], by_name["P2b"]),
    ]


def _shipped(losses: Mapping[str, SettingLosses]) -> list[str]:
    return [
        f"On the {len(of.losses)} new tasks, {SHIPPED.get(name, name)} lost "
        f"{points(fmean(of.losses.values()))} points to the best setting ({of.seeds})."
        for name, of in losses.items()
        if name.startswith(LIBRARY) or name == RECOMMENDED_NAME
    ]


def _attaching(harm: ClaimDecision, gain: ClaimDecision) -> list[str]:
    """Say what attaching the reset is shown to do at the best detached width, and at a wide one."""
    if harm.verdict not in ("confirmed", "refuted"):
        return []
    mean = harm.looks[-1].mean
    verb, attaching = "gains" if mean > 0 else "costs", _capital(ATTACHING)
    line = f"{attaching} {verb} {points(abs(mean))} points of accuracy {AT_BEST}."
    if gain.verdict != "confirmed":
        return [line] if abs(mean) >= SHOWN else []
    wide = points(gain.looks[-1].mean)
    return [line, f"{attaching} gains {wide} points of accuracy {AT_HALF}."]


def _beside(rule: str, good: ClaimDecision, better: ClaimDecision) -> str:
    """Say why the other way is not the rule, or that it is worse."""
    mean = points(better.looks[-1].mean)
    if rule == CALIBRATED_NAME:
        return f"{_capital(BY_STEPS)} is better than {FIXED_TEXT}, by {mean} points."
    if better.verdict == "refuted":
        return f"{_capital(BY_STEPS)} is worse than {FIXED_TEXT}, by {points(-better.looks[-1].mean)} points."
    if better.verdict == "open":
        return f"{_capital(BY_STEPS)} is not shown to be better than {FIXED_TEXT}: the difference is {mean} points."
    said = "refutes" if good.verdict == "refuted" else "does not confirm"
    return f"The study {said} that {BY_STEPS} comes within {BEST}."


def over_tasks(losses: Sequence[float]) -> str:
    low, high = limits(losses, TASK_LEVEL)
    return f"{points(fmean(losses))} points ({points(low)} to {points(high)})"


def points(value: float) -> str:
    """Write points with one digit behind the point, and what rounds to zero without a sign.

    >>> points(-0.04), points(1.25)
    ('0.0', '1.2')
    """
    return decimal_text(round(value, 1) + 0.0, 1)


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
