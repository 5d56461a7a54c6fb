"""Ours beside theirs: as a table, as JSON, as a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.tables import markdown

HEAD = ("reproduction", "figure", "published", "ours", "seeds", "verdict", "minutes")
COMMAND = "sgbench reproduce all --stored --update docs/reproductions.md"
SHOWN_METHODS = 4
WIDTH = 116


def rows(results: Sequence[ReproductionResult]) -> list[list[str]]:
    """Build one row a figure; what belongs to a reproduction stands in its first row."""
    found = []
    for result in results:
        for place, judged in enumerate(result.judged):
            first = place == 0
            found.append(
                [
                    result.reproduction.name if first else "",
                    judged.figure.line,
                    judged.figure.theirs,
                    ours(judged),
                    str(judged.seeds) if judged.seeds else "-",
                    judged.verdict if judged.note is None else f"{judged.verdict}: {judged.note}",
                    _minutes(result) if first else "",
                ]
            )
    return found


def ours(judged: Judged) -> str:
    """Write what was measured, with the standard deviation over seeds, by four digits or powers of ten.

    >>> from sgbench.reproduction.definition import Figure
    >>> figure = Figure(line="a", of=("b",), at_least=0.5, evidence="by hand")
    >>> ours(Judged(figure, 0.75, 0.01, 3, "agrees", None))
    '0.7500 ± 0.0100'
    """
    if judged.ours is None:
        return "-"
    small = 0 < abs(judged.ours) < 1e-4  # noqa: PLR2004 - the digits that the docstring names
    shape = ".1e" if small else ".4f"
    spread = "" if judged.deviation is None else f" ± {judged.deviation:{shape}}"
    return f"{judged.ours:{shape}}{spread}"


def _minutes(result: ReproductionResult) -> str:
    return "-" if result.minutes is None else f"{result.minutes:.1f}"


def as_tree(results: Sequence[ReproductionResult]) -> list[dict[str, Any]]:
    """Describe reproductions and their figures under stable keys."""
    return [
        {
            "name": result.reproduction.name,
            "line": result.reproduction.line,
            "sources": list(result.reproduction.sources),
            "differs": list(result.reproduction.differs),
            "reduced": result.reproduction.reduced,
            "reason": result.reproduction.reason,
            "minutes": result.minutes,
            "methods": {name: list(ids) for name, ids in result.methods.items()},
            "figures": [
                {
                    "line": judged.figure.line,
                    "published": judged.figure.published,
                    "tolerance": judged.figure.tolerance,
                    "at_least": judged.figure.at_least,
                    "at_most": judged.figure.at_most,
                    "evidence": judged.figure.evidence,
                    "ours": judged.ours,
                    "standard_deviation": judged.deviation,
                    "seeds": judged.seeds,
                    "verdict": judged.verdict,
                    "note": judged.note,
                }
                for judged in result.judged
            ],
        }
        for result in results
    ]


def as_page(results: Sequence[ReproductionResult]) -> str:
    """Write the page docs/reproductions.md from results."""
    verdicts = [judged.verdict for result in results for judged in result.judged]
    lines = [
        "# Published figures, and ours",
        "",
        f"Written from the records of runs by `{COMMAND}`; do not edit.",
        "`sgbench reproduce NAME` makes the runs again, `sgbench reproduce` lists them. Each is one file of",
        "`conf/experiment/reproduce/` with figure, tolerance and source; no tolerance was widened after a run.",
        "",
        f"Of {len(verdicts)} figures {verdicts.count('agrees')} agree, {verdicts.count('does not agree')} do not, "
        f"{verdicts.count('not measured')} are not measured.",
        "Ours is the mean over seeds ± one standard deviation; minutes are those of all runs, on a core that",
        "others used as well.",
        "",
        markdown(HEAD, rows(results), numbers=[2, 3, 4, 6]),
    ]
    for result in results:
        lines += ["", *_section(result)]
    return "\n".join(lines) + "\n"


def _section(result: ReproductionResult) -> list[str]:
    one = result.reproduction
    lines = [f"## {one.name}", "", one.line, "", *(f"- Source: {source}." for source in one.sources)]
    evidence: dict[str, list[str]] = {}
    for judged in result.judged:
        evidence.setdefault(judged.figure.evidence, []).append(judged.figure.line)
    lines += [f"- Evidence: {text} ({'; '.join(told)})." for text, told in evidence.items()]
    lines += [f"- Not as published: {each}." for each in one.differs]
    lines += [
        f"- {word}: {text}."
        for word, text in (("Reduced", one.reduced), ("Likely reason", one.reason))
        if text
    ]
    for name, ids in result.methods.items():
        more = "" if len(ids) <= SHOWN_METHODS else f" and {len(ids) - SHOWN_METHODS} more"
        words = " ".join(one.conditions[name])
        shown = ", ".join(f"`{each}`" for each in ids[:SHOWN_METHODS])
        lines.append(f"- Condition {name}{f' (`{words}`)' if words else ''}: methods {shown}{more}.")
    if result.commits:
        lines.append(f"- Runs of commit {', '.join(result.commits)}.")
    return [part for line in lines for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    """Wrap a line of prose to the page's width; an item's later lines are indented."""
    return textwrap.wrap(
        line,
        WIDTH,
        subsequent_indent="  " * line.startswith("- "),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
