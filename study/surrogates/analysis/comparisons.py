"""The comparisons that the registration of the study of surrogates names, and a second look at what they leave open."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError, require_number
from sgbench.statistics.blocks import ErrorTerm, contrast, score_table
from sgbench.statistics.equivalence import Verdict, Word, verdict
from sgbench.statistics.pairs import Floats, holm
from sgbench.statistics.solved import ShareDifference, compare_shares, wilson
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import Purpose, StudyTask
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import SHAPES, RunTable, margin_of, run_table
from study.reporting.verdicts import HypothesisResult, Item
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


MAP = "A2"
"""The block of the regime map."""
LONG, LONG_MORE = "H", "H2"
"""The blocks of the map of long sequences: what was planned, and what followed from it."""
UNSEEN = "K"
"""The block of tasks that nobody had run when what is recommended for them was written down."""
LIBRARY_DEFAULTS = ("snntorch/atan", "snntorch/fast_sigmoid", "snntorch/sigmoid")
"""Surrogates as snnTorch ships them."""
REFERENCE = "atan"
LOOKS = (10, 20, 40)
COMPARED = ("task", "shape", "difference", "low", "high", "margin", "p differs", "p equal", "p beyond", "verdict")


@dataclass(frozen=True)
class Rules:
    """Holds margins and levels by which comparisons of a study are decided.

    `error`: of a comparison: that of the pair, with Holm's correction, or pooled over methods, with Dunnett's; `level`:
    of each hypothesis; `look_level`: of each look at the reporting seeds.
    """

    error: ErrorTerm = "paired"
    level: float = 0.05
    look_level: float = 0.0221


@dataclass(frozen=True)
class Compared:
    """Compares one method with the reference on one task."""

    task: str
    method: str
    verdict: Verdict
    seeds: int


def compared_scores(
    name: str, task: StudyTask, methods: Sequence[str], scores: Floats, reference: str, rules: Rules, *, level: float
) -> list[Compared]:
    """Compare accuracies with the reference, seeds as blocks.

    `name`: of the task. `task`: whose margin counts. `methods`: of the rows. `scores`: test accuracy in points
    [methods, seeds]. `reference`: one of the methods. `rules`: the error term. `level`: of the family of differences,
    and of each equality.
    """
    verdicts = verdicts_against(
        scores, margin_of(task), reference=methods.index(reference), error=rules.error, level=level
    )
    others = [method for method in methods if method != reference]
    return [Compared(name, method, verdict, scores.shape[1]) for method, verdict in zip(others, verdicts, strict=True)]


def compared_shares(
    name: str, task: StudyTask, methods: Sequence[str], solved: Floats, reference: str, *, level: float
) -> list[Compared]:
    """Compare shares of solved runs with the reference: Boschloo's test with Holm's correction.

    `methods`: of the rows; `solved`: whether each run solved the task [methods, seeds]; `level`: of the family of
    differences, and of each equality.
    """
    runs = solved.shape[1]
    counts = dict(zip(methods, solved.sum(axis=1).astype(int).tolist(), strict=True))
    others = [method for method in methods if method != reference]
    raw = [compare_shares(counts[method], runs, counts[reference], runs).p for method in others]
    return [
        Compared(
            name,
            method,
            share_verdict(
                *(counts[method], runs, counts[reference], runs), margin=margin_of(task), level=level, p_differs=p
            ),
            runs,
        )
        for method, p in zip(others, holm(np.array(raw)).tolist(), strict=True)
    ]


def compared_table(
    name: str, task: StudyTask, methods: Sequence[str], table: RunTable, reference: str, rules: Rules, *, level: float
) -> list[Compared]:
    if task.outcome == "solved":
        return compared_shares(name, task, methods, table.solved, reference, level=level)
    return compared_scores(name, task, methods, table.accuracy, reference, rules, level=level)


def own_best(scores: StudyScores, task: str, *, block: str = "A3a") -> dict[str, Cell]:
    """Find for each shape the cell that tuning has settled on; shapes without one are left out."""
    cells = scores.settled.get(block, {}).get(task, ())
    by_shape = {str(cell.get("surrogate")): dict(cell) for cell in cells}
    return {shape: by_shape[shape] for shape in SHAPES if shape in by_shape}


def looks(scores: StudyScores, task: str, cells: Sequence[Cell], *, start: str = "A3b") -> list[RunTable]:
    """Tabulate cells at each planned look, with the first 10, 20 ... reporting seeds, as far as all runs are stored."""
    seeds = scores.study.seeds["report"].values
    tables = []
    for count in LOOKS:
        table = run_table(scores, task, "report", cells, seeds[:count], start=start)
        if table.planned < count or not table.complete:
            break
        tables.append(table)
    return tables


def compared_look(
    scores: StudyScores, task: str, methods: Sequence[str], look: RunTable, reference: str, rules: Rules
) -> list[Compared]:
    return compared_table(task, scores.study.tasks[task], methods, look, reference, rules, level=rules.look_level)


def compared_tasks(
    scores: StudyScores,
    tasks: Sequence[str],
    cells_of: Callable[[str], Sequence[Cell]],
    methods: Sequence[str],
    reference: str,
    rules: Rules,
) -> tuple[list[Compared], dict[str, int], list[str]]:
    """Compare methods at the latest complete look of each task; return its seeds too, and the tasks without one.

    `cells_of`: returns a task's cells, one a method; none where they are not settled.
    """
    compared: list[Compared] = []
    seeds, lacking = {}, []
    for task in tasks:
        cells = cells_of(task)
        tables = looks(scores, task, cells) if cells else []
        if tables:
            seeds[task] = tables[-1].planned
            compared += compared_look(scores, task, methods, tables[-1], reference, rules)
        else:
            lacking.append(task)
    return compared, seeds, lacking


def compared_rows(comparisons: Sequence[Compared]) -> tuple[tuple[Item, ...], ...]:
    """Put comparisons into the lines of a table."""
    rows: list[tuple[Item, ...]] = []
    for one in comparisons:
        verdict = one.verdict
        ends = (verdict.difference, verdict.low, verdict.high, verdict.margin)
        rows.append((one.task, one.method, *ends, verdict.p_differs, verdict.p_equal, verdict.p_beyond, verdict.word))
    return tuple(rows)


def equality(result: HypothesisResult, comparisons: Sequence[Compared]) -> HypothesisResult:
    """Decide "equal on every task for every shape": by the largest p-value, and against it by Holm's smallest."""
    words = [one.verdict.word for one in comparisons]
    beyond = holm(np.array([one.verdict.p_beyond for one in comparisons]))
    largest = max(comparisons, key=lambda one: abs(one.verdict.difference) / one.verdict.margin)
    return replace(
        result,
        p_confirmed=intersection_union([one.verdict.p_equal for one in comparisons]),
        p_refuted=float(beyond.min()),
        why=(
            f"of {len(words)} comparisons {words.count('equal')} show equality within the margin, "
            f"{words.count('better') + words.count('worse')} a difference and {words.count('open')} neither; the "
            f"largest difference is {largest.verdict.difference:+.3g} ({largest.method} on {largest.task}, margin "
            f"{largest.verdict.margin:g})"
        ),
        header=COMPARED,
        rows=compared_rows(comparisons),
    )


def equality_at_looks(
    result: HypothesisResult, compared: Sequence[Compared], seeds: Mapping[str, int], lacking: Sequence[str]
) -> HypothesisResult:
    """Decide by `equality` what `compared_tasks` has found; open where a task has no complete look."""
    said = ", ".join(f"{task} {count}" for task, count in seeds.items()) or "none"
    if lacking:
        return replace(result, seeds=f"{said}; no complete look at {', '.join(lacking)}")
    return equality(replace(result, seeds=said), compared)


STEPS = 60
SMALLEST = 1e-12  # p-value, below which the interval is not widened further


def share_verdict(
    solved_a: int,
    runs_a: int,
    solved_b: int,
    runs_b: int,
    *,
    margin: float,
    level: float = 0.05,
    p_differs: float | None = None,
) -> Verdict:
    r"""Return `equal` where two shares are shown equal within the margin, else a shown difference, else `open`.

    .. math:: p_\text{equal} = \min\{\alpha : -\Delta < L_{1 - 2\alpha}, \, U_{1 - 2\alpha} < \Delta\}, \quad
        p_\text{beyond} = \min\{\alpha : L_{1 - 2\alpha} > \Delta \text{ or } U_{1 - 2\alpha} < -\Delta\}

    L and U are the ends of Newcombe's interval of the difference, which does not collapse where all runs agree: ten
    of ten against ten of ten does not show equality within 0.2, eleven of eleven does.

    Source: Newcombe 1998, Statistics in Medicine 17(8), method 10; Schuirmann 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15(6), for the two one-sided tests.

    >>> share_verdict(10, 10, 10, 10, margin=0.2).word, share_verdict(11, 11, 11, 11, margin=0.2).word
    ('open', 'equal')
    >>> share_verdict(1, 10, 10, 10, margin=0.2).word
    'worse'
    """
    require_number("margin", margin, low=0, high=1, open_low=True)
    apart = compare_shares(solved_a, runs_a, solved_b, runs_b, confidence=1 - 2 * level)
    differs = apart.p if p_differs is None else p_differs
    p_equal = _smallest_level(apart, lambda low, high: -margin < low and high < margin)
    p_beyond = _smallest_level(apart, lambda low, high: low > margin or high < -margin)
    word: Word = "open"
    if p_equal <= level:
        word = "equal"
    elif differs <= level:
        word = "better" if apart.difference > 0 else "worse"
    return Verdict(word, apart.difference, apart.low, apart.high, margin, differs, p_equal, p_beyond, None)


def _smallest_level(apart: ShareDifference, holds: Callable[[float, float], bool]) -> float:
    """Find by bisection the smallest level at which a statement about the interval of a difference holds."""
    low, high = SMALLEST, 0.5 - SMALLEST
    if not holds(*_ends(apart, high)):
        return 1.0
    # The interval widens as the level falls, so what holds at a level holds at all higher ones.
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(*_ends(apart, middle)) else (middle, high)
    return high


def _ends(apart: ShareDifference, level: float) -> tuple[float, float]:
    """Return the limits of a difference of two shares (Newcombe's method, from Wilson's intervals)."""
    a, b = (wilson(share.count, share.runs, confidence=1 - 2 * level) for share in (apart.a, apart.b))
    difference = a.share - b.share
    return (
        difference - math.hypot(a.share - a.low, b.high - b.share),
        difference + math.hypot(a.high - a.share, b.share - b.low),
    )


SECOND_LOOK: Purpose = "second_look"
BLOCKS = {"H1": "I2", "H3": "I3", "H4": "I4"}
"""By hypothesis, the block with its new seeds."""
REGISTERED, DRAWS = {"H1": 191, "H3": 0, "H4": 198}, 200
"""In how many of the draws a second look decides, after the correction, as docs/preregistration.md states it."""


def with_new_seeds(scores: StudyScores, hypothesis: str, first: dict[str, RunTable]) -> dict[str, RunTable]:
    """Add the seeds of the second look to tables of the first one; without all of its runs there is none.

    `hypothesis`: that is looked at again.
    """
    name = BLOCKS[hypothesis]
    if name not in scores.study.blocks:
        return {}  # a study that extends this one has no second look
    block = scores.study.blocks[name]
    seeds = block.seeds.values
    tables = {}
    for place, table in first.items():
        task = place.partition(" ")[0]
        if task not in block.tasks:
            continue
        tables[place] = run_table(scores, task, SECOND_LOOK, list(table.cells), seeds, start=MAP)
    if not all(more.complete for more in tables.values()):
        return {}
    return {place: _joined(first[place], more) for place, more in tables.items()}


def looked_again(result: HypothesisResult, tables: dict[str, RunTable], rules: Rules) -> HypothesisResult:
    """Note that a hypothesis was looked at again with new seeds, at the level of that look."""
    counts = {place.partition(" ")[0]: len(table.seeds) for place, table in tables.items()}
    seeds = ", ".join(f"{task} {count}" for task, count in counts.items())
    block = BLOCKS[result.name]
    return replace(
        result,
        cells=f"{result.cells}; second look in {block}",
        seeds=seeds,
        level_factor=rules.level / rules.look_level,
    )


def _joined(first: RunTable, more: RunTable) -> RunTable:
    runs = tuple((*row, *new) for row, new in zip(first.runs, more.runs, strict=True))
    return RunTable(first.cells, (*first.seeds, *more.seeds), runs, first.planned + more.planned, 0)
