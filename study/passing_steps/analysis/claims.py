"""The four claims of the second study, decided as its registration says.

A claim is a number a task. Over tasks the one-sided limits of a t-interval are held against the claim's border. At
each look it is confirmed, refuted or open; a claim that the first look decides keeps its verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.statistics.pairs import Floats
from sgbench.study_runner.scores import StudyScores
from study.passing_steps.analysis.cells import FIXED, LOOKS, RESETS, TaskRuns, cell, over_shapes, tasks_of
from study.passing_steps.analysis.evidence import SHAPES
from study.reporting.verdicts import limits

Verdict = Literal["confirmed", "refuted", "open", "not decided"]
HALF_WIDTH = 0.5
"""Width at which the second claim about the reset is decided [thresholds]."""
NumberOfTask = Callable[[TaskRuns, Sequence[int]], Floats]
MIN_TASKS = 2


@dataclass(frozen=True)
class StudyClaim:
    """States one claim."""

    name: str  # in the registration
    says: str  # in words
    number: NumberOfTask  # of a task, by seed
    border: float  # what the mean over tasks is held against, in points
    below: bool  # whether it is confirmed by a mean below the border; otherwise by one above
    level: float  # of a look, one-sided
    after: str | None = None  # the claim that has to be confirmed first


@dataclass(frozen=True)
class ClaimLook:
    """Holds what one look at a claim found."""

    seeds: tuple[int, ...]  # that compare
    by_task: Mapping[str, float]  # mean of each task in points
    low: float  # lower one-sided limit of the mean over tasks
    high: float  # the upper one
    verdict: Verdict  # at this look

    @property
    def mean(self) -> float:
        return sum(self.by_task.values()) / len(self.by_task)


@dataclass(frozen=True)
class ClaimDecision:
    """Holds a claim with its looks, the last one of which decides."""

    claim: StudyClaim  # what was asked
    looks: tuple[ClaimLook, ...]  # in order; none where runs are missing
    verdict: Verdict  # the first that is not open, or the last one's
    why: str = ""  # what is missing, where nothing is decided


def loss_of_calibrated(task: TaskRuns, seeds: Sequence[int]) -> Floats:
    """Subtract R from the best of all widths and resets, shape by shape."""
    return over_shapes([task.difference(task.reference(shape), task.calibrated(shape), seeds) for shape in SHAPES])


def gain_over_fixed(task: TaskRuns, seeds: Sequence[int]) -> Floats:
    """Subtract the fixed setting from R."""
    fixed = cell(*FIXED, "attached")
    return over_shapes([task.difference(task.calibrated(shape), fixed, seeds) for shape in SHAPES])


def _gain_at_best_detached(task: TaskRuns, seeds: Sequence[int]) -> Floats:
    """Return for each seed what attaching the reset gains at the best detached width."""
    found = []
    for shape in SHAPES:
        best = task.best_of(shape, "detached")
        found.append(task.difference({**best, "neuron.reset_gradient": "attached"}, best, seeds))
    return over_shapes(found)


def _gain_at_half(task: TaskRuns, seeds: Sequence[int]) -> Floats:
    """Return for each seed what attaching the reset gains at a width of 0.5, averaged over shapes."""
    detached, attached = RESETS
    return over_shapes(
        [
            task.difference(cell(shape, HALF_WIDTH, attached), cell(shape, HALF_WIDTH, detached), seeds)
            for shape in SHAPES
        ]
    )


CLAIMS = (
    StudyClaim("P1", "R comes within 3 points of the best of all widths and resets", loss_of_calibrated, 3, True, 0.03),
    StudyClaim("P1b", "R is better than the fixed setting", gain_over_fixed, 0, False, 0.03, after="P1"),
    StudyClaim("P2a", "attaching does no harm at the best detached width", _gain_at_best_detached, -1, False, 0.015),
    StudyClaim("P2b", "attaching helps at width 0.5", _gain_at_half, 3, False, 0.015),
)


def look(claim: StudyClaim, by_task: Mapping[str, float], seeds: tuple[int, ...]) -> ClaimLook:
    """Decide a claim from one number a task."""
    low, high = limits(list(by_task.values()), claim.level)
    is_below, is_above = high < claim.border, low > claim.border
    verdict: Verdict = "open"
    if is_below or is_above:
        verdict = "confirmed" if is_below == claim.below else "refuted"
    return ClaimLook(seeds, by_task, low, high, verdict)


def decide(scores: StudyScores) -> list[ClaimDecision]:
    """Decide the claims in order; some are only decided where an earlier one is confirmed."""
    decisions: dict[str, ClaimDecision] = {}
    for claim in CLAIMS:
        before = None if claim.after is None else decisions[claim.after].verdict
        looks, why = _looks(claim, scores)
        verdict: Verdict = looks[-1].verdict if looks else "not decided"
        if before is not None and before != "confirmed":
            verdict, why = "not decided", f"it is decided only where {claim.after} is confirmed"
        decisions[claim.name] = ClaimDecision(claim, tuple(looks), verdict, why)
    return list(decisions.values())


def _looks(claim: StudyClaim, scores: StudyScores) -> tuple[list[ClaimLook], str]:
    """Compute the looks whose runs are all stored, none after one that decides; say what the next one lacks."""
    found: list[ClaimLook] = []
    for seeds in LOOKS:
        try:
            by_task = {task.task: float(claim.number(task, seeds).mean()) for task in tasks_of(scores)}
        except LookupError as error:
            return found, str(error)
        if len(by_task) < MIN_TASKS:
            return found, "two tasks are needed"
        found.append(look(claim, by_task, seeds))
        if found[-1].verdict != "open":
            return found, ""
    return found, ""
