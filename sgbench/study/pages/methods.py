"""Methods compared with one of them, task by task: what pages on learning rules and on neuron models share."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.plots.estimate import Estimate
from sgbench.plots.study_methods import MethodPanel
from sgbench.statistics.intervals import summarise
from sgbench.statistics.solved import wilson
from sgbench.study.comparisons import Compared
from sgbench.study.findings import Findings
from sgbench.study.pages.text import interval, table
from sgbench.study.scores import RunTable

PERCENT = 100


def score_panel(findings: Findings, task: str, look: RunTable) -> MethodPanel:
    """Draw the score of each method on a task, a row of the table each: accuracy, or the share of solved runs."""
    title = f"{task}: {findings.title(task)}"
    if findings.loaded.study.tasks[task].outcome == "solved":
        shares = [wilson(int(row.sum()), len(row)) for row in look.solved]
        solved = tuple(Estimate(PERCENT * one.share, PERCENT * one.low, PERCENT * one.high) for one in shares)
        return MethodPanel(title, "runs solved, %", solved)
    means = [summarise(row.tolist()) for row in look.accuracy]
    values = tuple(
        Estimate(one.mean, *(one.mean if end is None else end for end in (one.low, one.high)))
        for one in means
    )
    return MethodPanel(title, "accuracy, %", values)


def told_apart(compared: Sequence[Compared]) -> str:
    """List for each method how its comparison with the reference ends on each task.

    Args:
        compared: of every method and task.
    """
    by_method: dict[str, list[str]] = {}
    for one in compared:
        by_method.setdefault(one.method, []).append(f"{one.verdict.word} on {one.task}")
    return "\n".join(f"- **{name}**: {', '.join(words)}." for name, words in by_method.items())


def difference_table(compared: Sequence[Compared], kind: str, reference: str) -> str:
    """Tabulate each method's difference to the reference.

    Args:
        compared: of every method and task.
        kind: what a method is, such as "rule".
        reference: what the others are compared with.
    """
    rows = []
    for one in compared:
        verdict = one.verdict
        digits = 2 if verdict.margin < 1 else 1
        rows.append(
            [
                *(one.task, one.method, interval(verdict.difference, verdict.low, verdict.high, digits)),
                *(f"{verdict.margin:g}", verdict.p_differs, verdict.p_equal, one.seeds, verdict.word),
            ]
        )
    header = ["task", kind, f"minus {reference}", "margin", "p differs", "p equal", "seeds", "verdict"]
    return table(header, rows)
