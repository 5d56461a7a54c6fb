"""What would decide the open hypotheses: more seeds of their cells, what they cost, and the chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from study.reporting.pages.text import StudyPage, table
from study.reporting.plan import TRIES, PlanLine

NAME, TITLE = "undecided.md", "What would decide the open hypotheses"


def page(lines: Iterable[PlanLine], claims: Mapping[str, str]) -> StudyPage:
    """Tabulate the plan of every open hypothesis, the cheapest first.

    Args:
        lines: of the plan.
        claims: of the hypotheses in words, by name.
    """
    rows = [
        [
            claims[line.claim],
            line.what,
            f"{line.runs:,}",
            f"{line.hours:.1f}",
            "-" if line.chance is None else f"{100 * line.chance:.0f} %",
        ]
        for line in sorted(lines, key=lambda line: line.hours)
    ]
    return StudyPage(
        NAME,
        TITLE,
        (
            "None of these runs is made. They are more seeds of the cells that a hypothesis compares, and each "
            "would be registered before it runs. Core-hours are by the seconds that the study's file states. The "
            "chance is that the verdict is then no longer open, before the correction for all hypotheses. It is "
            f"found by drawing the stored seeds again {TRIES} times, so that it is known to some 6 points. "
            "`python -m study plan surrogates` prints the same.",
            table(["hypothesis", "more seeds", "runs", "core-h", "chance"], rows),
        ),
    )
