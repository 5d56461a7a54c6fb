"""The report on passing steps: verdicts, what each task lost, and what every single setting loses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sgbench.recommendation.tries import WAYS
from sgbench.records.files import to_json
from sgbench.study.cells import Cell
from sgbench.study.pages import budget
from sgbench.study.pages.text import StudyPage, few, interval, links, table
from sgbench.study.report import Report, ReportInput
from sgbench.study.scores import StudyScores
from sgbench.study.status import states_of
from sgbench.tables import decimal_text
from study.passing_steps.analysis import first_study
from study.passing_steps.analysis.cells import (
    DETACHED,
    FIRST_LOOK,
    FIXED,
    GRID,
    LOOKS,
    RESETS,
    TaskRuns,
    cell,
    tasks_of,
)
from study.passing_steps.analysis.claims import ClaimDecision, decide, limits
from study.passing_steps.analysis.evidence import SHAPES, WIDTHS

TITLE = "The reset's gradient and passing steps"
ESTIMATE_LEVEL = 0.025
"""One-sided, of both limits of an estimate's interval of 95 % over tasks."""


def make_report(given: ReportInput) -> Report:
    """Decide every claim and write the pages of the report.

    Args:
        given: of the study.
    """
    scores = given.findings.scores
    decisions = decide(scores)
    parts = [
        "What was asked, and how it is decided, stands in "
        f"[the registration](../{Path(given.findings.loaded.study.registration).name}). R: reset attached, "
        f"width by passing steps. F: {FIXED[0]} at {FIXED[1]:g}, reset attached. Numbers are points of test "
        "accuracy.",
        "## Verdicts",
        _so_far(scores),
        _verdicts(decisions),
        "## By task",
        _by_task(scores, decisions),
        "## Every single setting",
        _settings(scores),
    ]
    took = budget.page(given.findings)
    others, beside = [took], {}
    if given.root is not None:
        page, ways = first_study.pages(given.root)
        others, beside = [page, took], {WAYS: to_json(ways)}
    front = StudyPage("README.md", TITLE, (*parts, "## Pages", links(others)))
    return Report((front, *others), beside=beside)


def _verdicts(decisions: list[ClaimDecision]) -> str:
    """Tabulate the claims with their last look."""
    rows = []
    for decision in decisions:
        claim = decision.claim
        row = [claim.name, claim.says, decision.verdict]
        if decision.looks:
            last = decision.looks[-1]
            worst = max(last.by_task.values()) if claim.below else min(last.by_task.values())
            row += [
                interval(last.mean, last.low, last.high),
                decimal_text(worst, 1),
                f"{len(last.by_task)} tasks, {len(last.seeds)} seeds, limits at {claim.level:g}",
            ]
        else:
            row += ["-", "-", decision.why]
        rows.append(row)
    header = ["", "claim", "verdict", "mean (one-sided limits)", "worst task", "of"]
    notes = [f"- {one.claim.name}: {one.why}." for one in decisions if one.why and one.looks]
    return "\n\n".join([table(header, rows), *(["\n".join(notes)] if notes else [])])


def _so_far(scores: StudyScores) -> str:
    """Say how many of the runs that the first look needs are stored."""
    names = [name for name in FIRST_LOOK if name in scores.study.blocks]
    states = states_of(scores, names)
    stored, runs = (sum(getattr(state, of) for state in states) for of in ("stored", "runs"))
    return (
        f"The first look needs blocks {', '.join(names)}: {few(stored, runs)} runs are stored. "
        + ("" if stored == runs else "Until then nothing is decided. ")
        + "Seeds 200 to 204 choose, 205 to 209 compare."
    )


def _by_task(scores: StudyScores, decisions: list[ClaimDecision]) -> str:
    """Tabulate each claim's number of each task at its last look, or as far as a task's runs are stored."""
    rows = []
    for task in tasks_of(scores):
        numbers = [number_of(decision, task) for decision in decisions]
        texts = [None if number is None else decimal_text(number, 1) for number in numbers]
        rows.append([scores.study.tasks[task.task].title, *texts])
    return table(["task", *(decision.claim.name for decision in decisions)], rows)


def number_of(decision: ClaimDecision, task: TaskRuns) -> float | None:
    """Return a claim's number of a task at its last look; before the first one, None where runs are missing.

    Args:
        decision: of the claim.
        task: with its runs.
    """
    if decision.looks:
        return decision.looks[-1].by_task[task.task]
    try:
        return float(decision.claim.number(task, LOOKS[0]).mean())
    except LookupError:
        return None


def _settings(scores: StudyScores) -> str:
    """Tabulate what each single setting loses to a task's best cell, on the seeds of the first look."""
    try:
        losses = {name: [_loss(task, one) for task in tasks_of(scores)] for name, one in _single()}
        for shape in SHAPES:
            losses[f"R, {shape}"] = [_loss(task, task.calibrated(shape)) for task in tasks_of(scores)]
    except LookupError as error:
        return f"Not known yet: {error}."
    for shape in SHAPES:
        if DETACHED in scores.study.blocks:
            found = [
                _loss(task, task.calibrated(shape, DETACHED))
                for task in tasks_of(scores)
                if _has(task, shape)
            ]
            if len(found) == len(scores.study.blocks[GRID].tasks):
                losses[f"detached at its own target, {shape}"] = found
    ordered = sorted(losses.items(), key=lambda pair: sum(pair[1]))
    rows = [
        [
            name,
            interval(sum(found) / len(found), *limits(found, ESTIMATE_LEVEL)),
            decimal_text(max(found), 1),
        ]
        for name, found in ordered
    ]
    return table(["setting", "mean loss (95 % over tasks)", "largest loss"], rows)


def _has(task: TaskRuns, shape: str) -> bool:
    """Say whether the runs of the detached reset at its own target are stored."""
    try:
        task.accuracy(task.calibrated(shape, DETACHED), LOOKS[0])
    except LookupError:
        return False
    return True


def _single() -> Iterator[tuple[str, Cell]]:
    """Yield every setting of the grid by its name."""
    for reset in RESETS:
        for shape in SHAPES:
            for width in WIDTHS:
                yield f"{shape} {width:g}, {reset}", cell(shape, width, reset)


def _loss(task: TaskRuns, one: Cell) -> float:
    """Average the points that a cell loses to the better of both shapes' best cells."""
    best = task.best([task.reference(shape) for shape in SHAPES])
    return float(task.difference(best, one, LOOKS[0]).mean())
