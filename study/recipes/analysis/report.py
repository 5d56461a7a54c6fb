"""The report on recipes: does the width that is best at a constant rate stay good under a cosine and SAM?"""

from collections.abc import Sequence
from textwrap import fill

import numpy as np

from sgbench.tables import NONE, decimal_text
from study.recipes.analysis.carried import (
    FEWEST,
    MARGIN,
    OTHERS,
    PLAIN,
    PLANNED,
    WAYS,
    Accuracies,
    WidthLoss,
    accuracies,
    chosen,
    claim,
    loss,
    whole_seeds,
)
from study.reporting.pages.text import StudyPage, interval, resets_text, table
from study.reporting.registration import listed
from study.reporting.report import Passage, Report, ReportInput
from study.reporting.verdicts import HypothesisResult, corrected, limits

TITLE = "Does the width carry over to a cosine schedule and to SAM?"
NAME = "recipes"
GUIDE = "docs/protocols.md"
"""The document that has the answer as a passage."""
WIDTH = 120
WIDTHS = 5
RATES = (
    "The learning rate was 0.005 on every task but the digits, and the registration says that it is the earlier "
    "studies'. For `order` and `store_recall` it is not: the [second study](../passing_steps/README.md) had settled on "
    "0.02 for the same networks, and a cosine halves the mean rate once more. So the widths found there belong to a "
    "rate that is too small."
)
HEADER = ["claim", "verdict", "seeds", "p of confirmed", "p of refuted", "corrected"]
LEVEL = 0.025
"""What each side of an interval leaves out."""


def make_report(report_input: ReportInput) -> Report:
    """Write the study's page: its answer, verdicts, what keeping the width costs, and means by width."""
    tasks = report_input.evidence.loaded.study.tasks
    runs = accuracies(report_input.entries)
    complete = {task: whole_seeds(runs[task], WIDTHS) for task in tasks if task in runs}
    usable = {task: seeds for task, seeds in complete.items() if len(seeds) >= FEWEST}
    losses = {way: [loss(task, runs[task], way, seeds) for task, seeds in usable.items()] for way in OTHERS}
    claims = corrected([claim(way, losses[way], len(tasks)) for way in OTHERS])
    message = answer(claims, losses, len(tasks))
    titles = {name: task.title for name, task in tasks.items()}
    rows = [[result.claim, result.verdict, result.seeds, *result.p_texts] for result in claims]
    parts = [
        resets_text(entry.record for entry in report_input.entries),
        f"What was run, and how it is decided, stands in [the registration](../{report_input.registration}). "
        f"Stored runs by block: {report_input.stored_text}.",
        message,
        RATES,
        *([table(HEADER, rows)] if losses[OTHERS[0]] else ()),
        *(_losses(losses, titles) if losses[OTHERS[0]] else ()),
        *(_widths(runs[task], titles[task], seeds) for task, seeds in usable.items()),
        *([f"## Departures\n\n{listed(report_input.evidence.deviations)}"] if report_input.evidence.deviations else []),
    ]
    page = StudyPage("README.md", TITLE, tuple(parts))
    guide = f"{parts[0]} {message}"
    return Report((page,), passages=(Passage(GUIDE, NAME, fill(guide, WIDTH)),))


def answer(claims: Sequence[HypothesisResult], losses: dict[str, list[WidthLoss]], tasks: int) -> str:
    """Write in a few sentences what keeping the width costs, and how sure that is; `tasks` counts those planned."""
    sentences = []
    for result in claims:
        measured = losses[result.name]
        if not measured:
            return "Too few runs are stored to say whether the best width carries over."
        points = [lost.mean for lost in measured]
        cost = f"{decimal_text(min(points), 1)} to {decimal_text(max(points), 1)}"
        sentences.append(
            f"For {result.name}, the width that is best for {PLAIN} cost {cost} points on "
            f"{len(measured)} of {tasks} tasks (below 0 it gained). "
            f"That it costs less than {MARGIN:g} is {result.verdict}."
        )
    seeds = min(len(lost.points) for measured in losses.values() for lost in measured)
    if any(result.p_confirmed is None for result in claims):
        sentences.append(
            f"These are estimates of {seeds} or more seeds a task; the tests need all {tasks} tasks with {PLANNED}."
        )
    return " ".join([*sentences, "Learning rates were not tuned anew."])


def _losses(losses: dict[str, list[WidthLoss]], titles: dict[str, str]) -> list[str]:
    """Write the table of what keeping the width costs, a row for each way of training and task."""
    rows = []
    for of_way in losses.values():
        for lost in of_way:
            points = interval(lost.mean, *limits(lost.points, LEVEL))
            widths = (_numbers(lost.kept), _numbers(lost.own))
            rows.append([titles[lost.task], lost.way, points, *widths, str(len(lost.points))])
    head = ["task", "trained with", "loss, points", f"width by {PLAIN}", "own width", "seeds"]
    return [
        "## What keeping the width costs",
        "Test accuracy at the way's own best width minus that at the width that is best for "
        f"{PLAIN}; both chosen by validation of the other seeds. In parentheses the limits of 95 %.",
        table(head, rows),
    ]


def _numbers(widths: Sequence[float]) -> str:
    return ", ".join(f"{width:g}" for width in sorted(set(widths)))


def _widths(runs: Accuracies, title: str, seeds: Sequence[int]) -> str:
    """Write a task's table of mean test accuracies, by way of training and width."""
    from scipy.stats import rankdata

    means = {}  # of test accuracy, the second number of a run, by width
    for way in WAYS:
        means[way] = [float(np.mean([by_seed[seed][1] for seed in seeds])) for by_seed in runs[way].values()]
    rows = []
    for way, by_width in means.items():
        correlation = np.corrcoef(rankdata(means[PLAIN]), rankdata(by_width))[0, 1]
        agree = NONE if way == PLAIN else decimal_text(correlation, 2)
        best = chosen(runs[way], seeds)
        rows.append([way, *(decimal_text(mean, 1) for mean in by_width), f"{best:g}", agree])
    head = ["trained with", *(f"width {width:g}" for width in runs[PLAIN]), "best by validation", "rank correlation"]
    return (
        f"## {title}\n\nMean test accuracy of {len(seeds)} seeds in percent, and how its order over widths agrees "
        f"with that of {PLAIN}.\n\n{table(head, rows)}"
    )
