"""The report on recipes: does the width that is best at a constant rate stay good under a cosine and SAM?"""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from sgbench.study_runner.status import states_of
from sgbench.tables import NONE, decimal_text, p_text
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
LEVEL = 0.025
"""What each side of an interval leaves out."""


def make_report(given: ReportInput) -> Report:
    scores = given.evidence.scores
    tasks = given.evidence.loaded.study.tasks
    state = [f"{one.name}: {one.stored} of {one.runs}" for one in states_of(scores, list(scores.study.blocks))]
    registration = Path(given.evidence.loaded.study.registration).name
    found = accuracies(given.entries)
    whole = {task: whole_seeds(found[task], WIDTHS) for task in tasks if task in found}
    usable = {task: seeds for task, seeds in whole.items() if len(seeds) >= FEWEST}
    losses = {way: [loss(task, found[task], way, seeds) for task, seeds in usable.items()] for way in OTHERS}
    claims = corrected([claim(way, losses[way], len(tasks)) for way in OTHERS])
    said = answer(claims, losses, len(tasks))
    titles = {name: task.title for name, task in tasks.items()}
    parts = [
        resets_text(entry.record for entry in given.entries),
        f"What was run, and how it is decided, stands in [the registration](../{registration}). "
        f"Stored runs by block: {'; '.join(state)}.",
        said,
        RATES,
        *(_claims(claims) if losses[OTHERS[0]] else ()),
        *(_losses(losses, titles) if losses[OTHERS[0]] else ()),
        *(_widths(found[task], titles[task], seeds) for task, seeds in usable.items()),
        *([f"## Departures\n\n{listed(given.evidence.deviations)}"] if given.evidence.deviations else []),
    ]
    page = StudyPage("README.md", TITLE, tuple(parts))
    guide = f"{parts[0]} {said}"
    return Report((page,), passages=(Passage(GUIDE, NAME, fill(guide, WIDTH)),))


def answer(claims: Sequence[HypothesisResult], losses: dict[str, list[WidthLoss]], tasks: int) -> str:
    """Say in a few sentences what was found, and how sure that is."""
    words = []
    for one in claims:
        found = losses[one.name]
        if not found:
            return "Too few runs are stored to say whether the best width carries over."
        worst = max(found, key=lambda each: each.mean)
        cost = f"{decimal_text(min(each.mean for each in found), 1)} to {decimal_text(worst.mean, 1)}"
        words.append(
            f"For {one.name}, the width that is best for {PLAIN} cost {cost} points on "
            f"{len(found)} of {tasks} tasks (below 0 it gained). "
            f"That it costs less than {MARGIN:g} is {one.verdict}."
        )
    seeds = min(len(each.points) for found in losses.values() for each in found)
    if any(one.p_confirmed is None for one in claims):
        words.append(
            f"These are estimates of {seeds} or more seeds a task; the tests need all {tasks} tasks with {PLANNED}."
        )
    return " ".join([*words, "Learning rates were not tuned anew."])


def _claims(claims: Sequence[HypothesisResult]) -> list[str]:
    rows = [
        [
            one.claim,
            one.verdict,
            one.seeds,
            *(NONE if p is None else p_text(p) for p in (one.p_confirmed, one.p_refuted, one.p_corrected)),
        ]
        for one in claims
    ]
    head = ["claim", "verdict", "seeds", "p of confirmed", "p of refuted", "corrected"]
    return [table(head, rows)]


def _losses(losses: dict[str, list[WidthLoss]], titles: dict[str, str]) -> list[str]:
    rows = []
    for found in losses.values():
        for one in found:
            low, high = limits(one.points, LEVEL)
            rows.append(
                [
                    titles[one.task],
                    one.way,
                    interval(one.mean, low, high),
                    _numbers(one.kept),
                    _numbers(one.own),
                    str(len(one.points)),
                ]
            )
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
    from scipy.stats import rankdata

    means = {
        way: [float(np.mean([runs[way][width][seed][1] for seed in seeds])) for width in runs[way]] for way in WAYS
    }
    rows = []
    for way, each in means.items():
        correlation = np.corrcoef(rankdata(means[PLAIN]), rankdata(each))[0, 1]
        agree = NONE if way == PLAIN else decimal_text(correlation, 2)
        best = chosen(runs[way], seeds)
        rows.append([way, *(decimal_text(mean, 1) for mean in each), f"{best:g}", agree])
    head = ["trained with", *(f"width {width:g}" for width in runs[PLAIN]), "best by validation", "rank correlation"]
    return (
        f"## {title}\n\nMean test accuracy of {len(seeds)} seeds in percent, and how its order over widths agrees "
        f"with that of {PLAIN}.\n\n{table(head, rows)}"
    )
