"""Ours beside theirs: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged

HEAD = ("reproduction", "figure", "published", "ours", "seeds", "verdict", "minutes")


def rows(results: Sequence[ReproductionResult]) -> list[list[str]]:
    """Build one row a figure; what belongs to a reproduction stands in its first row."""
    table_rows = []
    for result in results:
        for place, judged in enumerate(result.judged):
            first = place == 0
            table_rows.append(
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
    return table_rows


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
