"""Verdicts of several methods against one reference, and of equality on all tasks."""

from collections.abc import Sequence

from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.statistics.blocks import ErrorTerm, contrast
from sgbench.statistics.equivalence import Verdict, verdict
from sgbench.statistics.score_table import score_table
from study.surrogates.analysis.statistics.many_to_one import against_reference


def verdicts_against(
    scores: ArrayLike, margin: float, *, reference: int = 0, error: ErrorTerm = "paired", level: float = 0.05
) -> tuple[Verdict, ...]:
    """Decide the verdict of each method against the reference, differences corrected for their number.

    Differences are Holm's or Dunnett's (see `many_to_one.against_reference`). Equality is at the level for each
    method by itself; that all of them are equal needs no correction (see `intersection_union`).

    `scores`: by method and seed [methods, seeds], complete, in the unit of the margin. `margin`: above 0. `reference`:
    row of the method that the others are compared with. `error`: `paired` or `pooled`. `level`: of the family of
    differences, and of each equality.

    >>> scores = [[80.0, 82.0, 81.0, 80.5], [84.0, 86.5, 85.0, 84.0], [80.0, 82.5, 80.5, 80.0]]
    >>> [result.word for result in verdicts_against(scores, 2.0)]
    ['better', 'equal']
    """
    table = score_table(scores)
    verdicts = []
    for row in against_reference(table, reference=reference, error=error, confidence=1 - level):
        weights = [0.0] * len(table)
        weights[row.method], weights[reference] = 1.0, -1.0
        verdicts.append(verdict(contrast(table, weights, error=error), margin, level=level, p_differs=row.p))
    return tuple(verdicts)


def intersection_union(p_values: Sequence[float]) -> float:
    r"""Return the p-value of "equal on every task": the largest of the tasks' p-values, without a correction.

    .. math:: p = \max_m p_m

    Source: Berger 1982, Technometrics 24(4), theorem 1.

    >>> intersection_union([0.01, 0.04, 0.02])
    0.04
    """
    if not p_values:
        raise InputError("p_values: at least one task is needed")
    return max(p_values)
