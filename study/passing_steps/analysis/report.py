"""The report on passing steps: the answer, verdicts, what each task lost, and what settings lose."""

from collections.abc import Iterable
from pathlib import Path

from sgbench.records.files import to_json
from sgbench.study_runner.scores import StudyScores
from sgbench.study_runner.store import Store, StoreEntry
from sgbench.tables import decimal_text
from study.passing_steps.analysis import activity, effects_page, first_study, mechanism, numbers, settings
from study.passing_steps.analysis.cells import FIRST_LOOK, FIXED, LOOKS, TaskRuns, tasks_of
from study.passing_steps.analysis.claims import ClaimDecision, decide
from study.passing_steps.analysis.evidence import PILOTS, first_entries
from study.passing_steps.analysis.words import answer_of, first_look_runs, percent, worst_task
from study.reporting.pages import budget
from study.reporting.pages.text import StudyPage, few, interval, links, table
from study.reporting.report import Report, ReportInput
from study.reporting.results import RESULTS

NAME, TITLE = "passing_steps", "The reset's gradient and passing steps"
OF_THE_FIRST = ("study/surrogates/manifest.json", "study/surrogates/summary.json")
"""Files of the first study whose runs are compared."""


def make_report(report_input: ReportInput) -> Report:
    """Write the study's report: verdicts, tables by task, and the pages of what was found later."""
    scores = report_input.evidence.scores
    decisions = decide(scores)
    taken = settings.unsearched(scores)
    losses = settings.losses_by_way(scores, taken)
    answer = answer_of(decisions, scores, losses)
    parts = [
        answer.sentences,
        f"[The registration](../{report_input.registration}) says what was asked, and how "
        "it is decided. Through an *attached* reset the gradient passes, through a *detached* one it doesn't. R is an "
        f"attached reset with a width by passing steps, F with {FIXED[0]} at {FIXED[1]:g}. Numbers are points of test "
        "accuracy.",
        "## Verdicts",
        " ".join(filter(None, [_so_far(scores), _repeat_text(report_input.folder, report_input.entries)])),
        _verdicts(decisions, scores),
        answer.defaults,
        "## By task",
        _by_task(scores, decisions),
        "## A cost of activity",
        *activity.verdict_text(report_input.evidence.loaded.study, report_input.entries),
        "## What settings lose",
        *settings.tables(scores, taken),
    ]
    others, beside = (
        [page for page in (mechanism.page(report_input.folder), budget.page(report_input.evidence)) if page],
        {},
    )
    singles = settings.singles(scores)[0]
    if report_input.root is not None and singles:
        stored = first_entries(report_input.root)
        results = numbers.results_of(
            report_input.root, scores, report_input.entries, stored, singles, losses, decisions
        )
        effect = effects_page.page(results.figures, singles, numbers.first_scores(report_input.root, stored))
        others = [effect, first_study.page_of(report_input.root, stored), *others]
        beside = {RESULTS: to_json(results)}
    front = StudyPage("README.md", TITLE, (*parts, "## Pages", links(others)))
    return Report((front, *others), beside=beside, reads=OF_THE_FIRST)


def _verdicts(decisions: list[ClaimDecision], scores: StudyScores) -> str:
    """Write the verdict of each claim with its last look."""
    rows = []
    for decision in decisions:
        claim = decision.claim
        row = [claim.name, claim.says, decision.verdict]
        if decision.looks:
            last = decision.looks[-1]
            worst, number = worst_task(decision, last)
            row += [
                interval(last.mean, last.low, last.high),
                f"{decimal_text(number, 1)}, {scores.study.tasks[worst].title}",
                f"{len(last.by_task)} tasks, {len(last.seeds)} seeds, limits of {percent(claim.level)}"
                f"{f'; {decision.why}' if decision.why else ''}",
            ]
        else:
            row += ["-", "-", decision.why]
        rows.append(row)
    header = ["", "claim", "verdict", "mean (one-sided limits)", "worst task", "of"]
    return table(header, rows)


def _so_far(scores: StudyScores) -> str:
    """Say how many runs of the first look are stored."""
    stored, runs = first_look_runs(scores)
    names = [name for name in FIRST_LOOK if name in scores.study.blocks]
    return (
        f"The first look needs blocks {', '.join(names)}: {few(stored, runs)} runs are stored. "
        + ("" if stored == runs else "A claim whose runs are missing is not decided. ")
        + "Seeds 200 to 204 choose, 205 to 209 compare; a claim that is open then is compared on 205 to 219."
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
    """Return a claim's number of one task at its last look, or at the first; None where runs are missing."""
    if decision.looks:
        return decision.looks[-1].by_task[task.task]
    try:
        return float(decision.claim.number(task, LOOKS[0]).mean())
    except LookupError:
        return None


AGAIN = "N"
"""Block of the pilots with runs that the commit of the second look made again: amendment 2 of the registration."""


def agreeing(again: Iterable[StoreEntry], entries: Iterable[StoreEntry]) -> tuple[int, int]:
    """Count repeated runs whose scores and counts equal those of the stored run to the bit, and all repeated runs."""
    made = {entry.key: entry.record for entry in again}
    stored = {entry.key: entry.record for entry in entries if entry.key in made}
    same = [
        (record.validation, record.test, record.counts)
        == (stored[key].validation, stored[key].test, stored[key].counts)
        for key, record in made.items()
        if key in stored
    ]
    return sum(same), len(made)


def _repeat_text(folder: Path, entries: Iterable[StoreEntry]) -> str:
    """Write how many runs agree; nothing where none was made again."""
    if not (folder / PILOTS).is_dir():
        return ""
    found = list(Store(folder / PILOTS, "passing_steps").entries([AGAIN]))
    if not found:
        return ""
    same, made = agreeing(found, entries)
    return (
        f"The second look ran from a later commit. Of {made} runs of the first look that this commit made again, "
        f"{same} agree in validation, test and counts to the bit."
    )
