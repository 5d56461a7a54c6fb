"""Published and measured figures side by side, as a table and as JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import ROUNDING, Judged

REPRODUCTION_FIELDS = ("name", "line", "sources", "differs", "reduced", "reason")
FIGURE_FIELDS = ("line", "published", "tolerance", "at_least", "at_most", "evidence", "revised")
HEAD = ("reproduction", "figure", "published", "ours", "seeds", "verdict", "revised", "minutes")


def rows(results: Sequence[ReproductionResult]) -> list[list[str]]:
    """Build one row of cells for each figure, as `HEAD` names them.

    Name and minutes of a reproduction are in its first row.
    """
    table_rows = []
    for result in results:
        for index, judged in enumerate(result.judged):
            is_first = index == 0
            table_rows.append(
                [
                    result.reproduction.name if is_first else "",
                    judged.figure.line,
                    judged.figure.theirs,
                    ours(judged),
                    str(judged.seeds) if judged.seeds else "-",
                    judged.verdict if judged.note is None else f"{judged.verdict}: {judged.note}",
                    judged.figure.revised or "",
                    ("-" if result.minutes is None else f"{result.minutes:.1f}") if is_first else "",
                ]
            )
    return table_rows


def ours(judged: Judged) -> str:
    """Write a measured figure and its standard deviation over seeds, with four decimals or a power of ten.

    A figure below 1e-12 has neither digits nor a deviation, since it is rounding that differs between processors.

    >>> from sgbench.reproduction.definition import Figure
    >>> figure = Figure(line="a", of=("b",), at_least=0.5, evidence="by hand")
    >>> ours(Judged(figure, 0.75, 0.01, 3, "agrees", None))
    '0.7500 ± 0.0100'
    >>> ours(Judged(figure, 4.2e-17, 3.4e-17, 3, "does not agree", None))
    '< 1e-12'
    """
    if judged.ours is None:
        return "-"
    value = _digits(judged.ours, judged.ours)
    if judged.deviation is None or _is_rounding(judged.ours):
        return value
    return f"{value} ± {_digits(judged.deviation, judged.ours)}"


def measured_text(values: Iterable[float]) -> str:
    """Write the measures of all seeds.

    >>> measured_text([0.5, 0.98765])
    '0.5000, 0.9877'
    """
    return ", ".join(_digits(value, value) for value in values)


def _is_rounding(value: float) -> bool:
    return 0 < abs(value) <= ROUNDING


def _digits(value: float, scale: float) -> str:
    if _is_rounding(scale):
        return f"< {ROUNDING:g}"
    is_small = 0 < abs(scale) < 1e-4  # noqa: PLR2004 - less has no digit among four decimals
    return f"{value:{'.1e' if is_small else '.4f'}}"


def as_tree(results: Sequence[ReproductionResult]) -> list[dict[str, Any]]:
    """Convert reproductions and their figures to plain values for JSON, whose keys stay the same."""
    return [
        {
            **result.reproduction.model_dump(mode="json", include={*REPRODUCTION_FIELDS}),
            "minutes": result.minutes,
            "methods": {name: list(ids) for name, ids in result.methods.items()},
            "figures": [
                {
                    **judged.figure.model_dump(mode="json", include={*FIGURE_FIELDS}),
                    "held_to": judged.figure.whose,
                    "ours": judged.ours,
                    "standard_deviation": judged.deviation,
                    "seeds": judged.seeds,
                    "by_seed": list(judged.by_seed),
                    "verdict": judged.verdict,
                    "note": judged.note,
                    "cause": judged.figure.cause,
                }
                for judged in result.judged
            ],
            "ablations": [
                {
                    **ablation.model_dump(mode="json", include={"line", "words", "asks", "found"}),
                    "figures": [
                        {
                            "line": judged.figure.line,
                            "ours": judged.ours,
                            "by_seed": list(judged.by_seed),
                            "verdict": judged.verdict,
                        }
                        for judged in changed.judged
                    ],
                }
                for ablation, _, changed in result.ablations
            ],
        }
        for result in results
    ]
