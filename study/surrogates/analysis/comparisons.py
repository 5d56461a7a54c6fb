"""The comparisons that the registration of the study of surrogates names: shapes against one, on one task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sgbench.statistics.blocks import ErrorTerm
from sgbench.statistics.equivalence import Verdict
from sgbench.statistics.pairs import Floats, holm
from sgbench.statistics.solved import compare_shares
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import StudyTask
from sgbench.study_runner.scores import StudyScores
from study.reporting.pages.shapes import SHAPES
from study.reporting.run_table import RunTable, margin_of, run_table
from study.reporting.verdicts import HypothesisResult, Item
from study.surrogates.analysis.statistics.share_equivalence import share_verdict
from study.surrogates.analysis.statistics.verdicts import intersection_union, verdicts_against

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
