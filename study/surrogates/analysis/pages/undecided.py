"""What would decide the open hypotheses: more seeds of their cells, what they cost, and the chance."""

from collections.abc import Iterable, Mapping

from study.reporting.pages.text import StudyPage, table
from study.reporting.plan import TRIES, PlanLine
from study.surrogates.analysis.comparisons import DRAWS, REGISTERED, SECOND_LOOK

NAME, TITLE = "undecided.md", "What would decide the open hypotheses"

LOOKED_TWICE = "none: open after a second look, and a third is not registered"


def _chance(line: PlanLine) -> str:
    """Write a plan's chance; that of a second look is counted in draws, since nearly all are not all."""
    if line.claim in REGISTERED and line.runs:
        return f"{REGISTERED[line.claim]} of {DRAWS}"
    return "-" if line.chance is None or not line.runs else f"{100 * line.chance:.0f} %"


def page(lines: Iterable[PlanLine], claims: Mapping[str, str]) -> StudyPage:
    """Tabulate the plan of every open hypothesis, the cheapest first."""
    rows = [
        [
            claims[line.claim],
            line.what.replace(SECOND_LOOK, "registered second look,") if line.runs else LOOKED_TWICE,
            f"{line.runs:,}",
            f"{line.hours:.1f}",
            _chance(line),
        ]
        for line in sorted(lines, key=lambda line: line.hours)
    ]
    return StudyPage(
        NAME,
        TITLE,
        (
            "No verdict rests on these runs. They are more seeds of the cells that a hypothesis compares. Those of "
            "a second look are registered in amendment 13 of [the registration](../preregistration.md). They count "
            "when all of a block are stored. The others would be registered before they run. Core-hours are by the "
            "seconds that the study's file states. The chance is that the verdict is then no longer open, before "
            "the correction for all hypotheses. It is found by drawing the stored seeds again "
            f"{TRIES} times, so that it is known to some 6 points. Of a second look it is as registered: {DRAWS} "
            "draws, after the correction. "
            "`python -m study plan surrogates` prints the same.",
            table(["hypothesis", "more seeds", "runs", "core-h", "chance"], rows),
        ),
    )
