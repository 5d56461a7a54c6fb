"""H1, H2, H3, H6 and H7 of the study of surrogates: each from scores to a result, as its registration says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sgbench.errors import InputError
from sgbench.statistics.blocks import contrast, number_array, score_table
from sgbench.statistics.equivalence import verdict
from sgbench.statistics.pairs import ROUNDING, holm
from sgbench.statistics.solved import wilson
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import LEARNS_POINTS, MIN_SEEDS, SHAPES, SLOPE_AT_REST, RunTable, run_table
from study.reporting.verdicts import HypothesisResult, Item, corrected, one_side
from study.surrogates.analysis.comparisons import (
    MAP,
    REFERENCE,
    Compared,
    Rules,
    compared_scores,
    compared_tasks,
    equality,
    equality_at_looks,
    intersection_union,
    looked_again,
    own_best,
    with_new_seeds,
)
from study.surrogates.analysis.hypotheses_recurrent import h4, h5
from study.surrogates.analysis.hypotheses_rules import h9


@dataclass(frozen=True)
class Trend:
    """Holds the slope of the score on the covariate; the ends are None where all seeds have the same slope."""

    slope: float  # in the unit of the scores for each unit of the covariate
    error: float
    low: float | None
    high: float | None
    p: float
    by_seed: tuple[float, ...]


def trend(scores: ArrayLike, covariate: ArrayLike, *, confidence: float = 0.95) -> Trend:
    r"""Fit one slope for each seed and test the mean slope over seeds.

    .. math:: b_j = \frac{\sum_i (x_i - \bar x) \, y_{ij}}{\sum_i (x_i - \bar x)^2}, \quad
        t = \frac{\bar b \sqrt n}{s_b}

    The slope is one contrast of the methods, so a test with one degree of freedom finds a trend that all pairs,
    corrected for their number, cannot. Slopes of seeds vary as they do, so unequal variances of the methods change
    nothing. It says whether the score goes up along the covariate, not that it goes up straight. A ratio, as of
    spikes, is a trend of logarithms.

    `scores`: by method and seed [methods, seeds], complete, in any unit. `covariate`: of each method [methods], such as
    the slope at rest; not all equal. `confidence`: of the interval.

    Source: Lorch & Myers 1990, Journal of Experimental Psychology: LMC 16(1), method 3 (one slope a replicate).

    >>> result = trend([[80.0, 81.0], [79.0, 81.0], [78.0, 80.0]], [0.0, 0.1, 0.2])
    >>> [round(slope, 6) for slope in result.by_seed], round(result.slope, 6)
    ([-10.0, -5.0], -7.5)
    """
    table = score_table(scores)
    places = number_array(covariate, name="covariate")
    if places.shape != (len(table),):
        raise InputError(f"covariate: one value for each of {len(table)} methods is needed, not {places.shape}")
    centred = places - places.mean()
    if np.ptp(places) <= ROUNDING:
        raise InputError(f"covariate: at least two different values are needed, all are {places[0]:g}")
    weights = centred / (centred @ centred)
    result = contrast(table, weights, confidence=confidence)
    return Trend(result.estimate, result.error, result.low, result.high, result.p, tuple((weights @ table).tolist()))


ONE_LAYER = ("T1", "T2d1", "T3")
RECURRENT = ("T4", "T5")
GAP_POINTS = 5.0


def map_table(scores: StudyScores, task: str, cells: Sequence[Cell], *, all_seeds: bool = False) -> RunTable:
    """Return the runs of cells on a task's map, with the seeds that all its cells have."""
    study = scores.study
    seeds = study.seeds["map"].values if all_seeds else study.blocks[MAP].seeds.values
    return run_table(scores, task, "map", cells, seeds, start=MAP)


def said(tables: dict[str, RunTable]) -> str:
    """Describe how many seeds there are and, where runs are missing, of which task."""
    if all(table.complete for table in tables.values()):
        return f"{min(table.planned for table in tables.values())}"
    lacking = {name: table.missing for name, table in tables.items() if not table.complete}
    return f"{sum(lacking.values()):,} runs missing ({', '.join(lacking)})"


def h1(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether the shape matters with one hidden layer at widths of 0.5 to 2."""
    widths = (0.5, 1.0, 2.0)
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": width} for shape in SHAPES for width in widths]
    tables = {task: map_table(scores, task, cells) for task in ONE_LAYER}
    result = HypothesisResult(
        name="H1",
        claim="With one hidden layer and no recurrence, at widths of 0.5 to 2, the shape does not matter.",
        cells="A2: T1, T2d1, T3; widths 0.5, 1, 2; six shapes",
        seeds=said(tables),
    )
    if not all(table.complete for table in tables.values()):
        return result

    def compared(tables: dict[str, RunTable], level: float) -> list[Compared]:
        comparisons: list[Compared] = []
        for task, table in tables.items():
            means = table.accuracy.reshape(len(SHAPES), len(widths), -1).mean(axis=1)
            of = scores.study.tasks[task]
            comparisons += compared_scores(task, of, SHAPES, means, REFERENCE, rules, level=level)
        return comparisons

    first = equality(result, compared(tables, rules.level))
    more = with_new_seeds(scores, "H1", tables)
    if first.alone != "open" or not more:
        return first
    again = looked_again(result, {**tables, **more}, rules)
    return equality(again, compared({**tables, **more}, rules.look_level))


def h2(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide which shapes learn with four layers that start quiet."""
    widths, shapes = (0.1, 0.5, 1.0), ("triangle", "atan", "fast_sigmoid", "log_abs")
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": width} for shape in shapes for width in widths]
    table = map_table(scores, "T2d4", cells, all_seeds=True)
    result = HypothesisResult(
        name="H2",
        claim="Four layers that start quiet: triangle at widths up to 1 does not learn; atan, fast_sigmoid and "
        "log_abs do.",
        cells="A2: T2d4; widths 0.1, 0.5, 1; triangle, atan, fast_sigmoid, log_abs",
        seeds=said({"T2d4": table}),
    )
    if not table.complete:
        return result
    learnt = (table.accuracy > LEARNS_POINTS).sum(axis=1).tolist()
    runs = len(table.seeds)
    claims, denials, rows = [], [], []
    for cell, count in zip(cells, learnt, strict=True):
        above = cell["surrogate"] != "triangle"
        share = wilson(count, runs)
        claims.append(one_side(count, runs, above=above))
        denials.append(one_side(count, runs, above=not above))
        rows.append((cell["surrogate"], cell["width_fwhm"], count, runs, share.share, share.low, share.high))
    by_shape = {shape: sum(learnt[3 * index : 3 * index + 3]) for index, shape in enumerate(shapes)}
    counts = ", ".join(f"{shape} {count} of {3 * runs}" for shape, count in by_shape.items())
    return replace(
        result,
        p_confirmed=intersection_union(claims),
        p_refuted=min(denials),
        why=f"runs above {LEARNS_POINTS:g} % at the three widths: {counts}",
        header=("shape", "width", "learn", "runs", "share", "low", "high"),
        rows=tuple(rows),  # type: ignore[arg-type]
    )


def h3(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether a driven start removes the difference that `h2` is about."""
    widths = (0.5, 1.0)
    cells: list[Cell] = [
        {"surrogate": shape, "width_fwhm": width} for width in widths for shape in ("triangle", REFERENCE)
    ]
    table = map_table(scores, "T2d4g", cells, all_seeds=True)
    result = HypothesisResult(
        name="H3",
        claim="A driven start removes what H2 says: triangle is within 5 points of atan.",
        cells="A2: T2d4g; widths 0.5, 1; triangle, atan",
        seeds=said({"T2d4g": table}),
    )
    if not table.complete:
        return result
    first = _gaps(result, table, widths, level=rules.level)
    more = with_new_seeds(scores, "H3", {"T2d4g": table})
    if first.alone != "open" or not more:
        return first
    return _gaps(looked_again(result, more, rules), more["T2d4g"], widths, level=rules.look_level)


def _gaps(result: HypothesisResult, table: RunTable, widths: Sequence[float], *, level: float) -> HypothesisResult:
    """Test triangle minus atan at each width; all gaps have to be small to confirm, one large one refutes."""
    rows: list[tuple[Item, ...]] = []
    verdicts = []
    said = []
    for index, width in enumerate(widths):
        pair = table.accuracy[2 * index : 2 * index + 2]
        gap = verdict(contrast(pair, [1.0, -1.0]), GAP_POINTS, level=level)
        learnt = (pair > LEARNS_POINTS).sum(axis=1).tolist()
        verdicts.append(gap)
        rows.append((width, gap.difference, gap.low, gap.high, gap.p_equal, gap.p_beyond, *learnt))
        said.append(f"{gap.difference:+.1f} points at width {width:g}")
    return replace(
        result,
        p_confirmed=intersection_union([gap.p_equal for gap in verdicts]),
        p_refuted=float(holm(np.array([gap.p_beyond for gap in verdicts])).min()),
        why=f"triangle minus atan: {', '.join(said)}",
        header=(
            *("width", "triangle minus atan", "low", "high", "p equal", "p beyond"),
            *(f"{shape}: runs above {LEARNS_POINTS:g} %" for shape in ("triangle", REFERENCE)),
        ),
        rows=tuple(rows),
    )


def h6(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether shapes are equal, each at its own best cell."""
    block = scores.study.blocks["A3b"]
    result = HypothesisResult(
        name="H6",
        claim="Each shape at its own best cell: equal within the margins on all tasks.",
        cells="A3b: own best of six shapes; " + ", ".join(block.tasks),
        seeds="no complete look",
        level_factor=rules.level / rules.look_level,
    )

    def cells_of(task: str) -> list[Cell]:
        best = own_best(scores, task)
        return list(best.values()) if len(best) == len(SHAPES) else []

    found = compared_tasks(scores, block.tasks, cells_of, SHAPES, REFERENCE, rules)
    return equality_at_looks(result, *found)


def h7(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether heavier tails send fewer spikes without recurrence and more with it."""
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in SHAPES]
    tables = {task: map_table(scores, task, cells) for task in (*ONE_LAYER, *RECURRENT)}
    result = HypothesisResult(
        name="H7",
        claim="Heavier tails send fewer spikes without recurrence and more with it, at width 1.",
        cells="A2: width 1; T1, T2d1, T3 against T4, T5; six shapes",
        seeds=said(tables),
    )
    if not all(table.complete for table in tables.values()):
        return result
    slopes, p_values, rows = [], [], []
    for task, table in tables.items():
        spikes = table.log_spikes[:, np.isfinite(table.log_spikes).all(axis=0)]
        counted, seeds = spikes.shape[1], len(table.seeds)
        if counted < MIN_SEEDS:
            why = f"on {task} a run failed or sent no spike in {seeds - counted} of {seeds} seeds"
            return replace(result, why=why)
        line = trend(spikes, list(SLOPE_AT_REST.values()))
        slopes.append(line.slope)
        p_values.append(line.p)
        rows.append((task, line.slope, line.low, line.high, line.p))
    adjusted = holm(np.array(p_values)).tolist()
    wanted = [-1] * len(ONE_LAYER) + [1] * len(RECURRENT)
    right = [slope * sign > 0 for slope, sign in zip(slopes, wanted, strict=True)]
    signs = ", ".join(f"{task} {slope:+.2f}" for task, slope in zip(tables, slopes, strict=True))
    return replace(
        result,
        p_confirmed=max(adjusted) if all(right) else 1.0,
        p_refuted=min((p for p, agrees in zip(adjusted, right, strict=True) if not agrees), default=1.0),
        why=f"slope of log spikes on the slope at rest: {signs}",
        header=("task", "slope", "low", "high", "p", "p, Holm"),
        rows=tuple((*row, p) for row, p in zip(rows, adjusted, strict=True)),
    )


def all_hypotheses(scores: StudyScores, rules: Rules, *, generator: np.random.Generator) -> list[HypothesisResult]:
    """Decide all hypotheses, and correct their p values for being many."""
    return corrected(
        [
            h1(scores, rules),
            h2(scores, rules),
            h3(scores, rules),
            h4(scores, rules, generator=generator),
            h5(scores, rules),
            h6(scores, rules),
            h7(scores, rules),
            h8(scores, rules),
            h9(scores, rules),
        ]
    )


BLOCK = "F"
FIXED = "fixed"
FINALS = (0.2, 5.0)
"""Steepness at the end of training over that at its start."""
SCHEDULES: dict[str, Cell] = {
    "learned": {"steepness": "learned"},
    **{
        f"{name} to {final:g}": {"steepness": name, "steepness.final": final}
        for name in ("linear", "exponential", "cosine")
        for final in FINALS
    },
}


def h8(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide whether a learnt or scheduled width equals the best fixed one."""
    result = HypothesisResult(
        name="H8",
        claim="A width that is learnt or scheduled equals the best fixed width.",
        cells="no block has them",
        seeds="none",
        level_factor=rules.level / rules.look_level,
    )
    if BLOCK not in scores.study.blocks:
        return replace(result, why="an amendment has to state its cells before its block runs")
    tasks = scores.study.blocks[BLOCK].tasks
    result = replace(result, cells=f"F: atan's own best, fixed, learnt and scheduled; {', '.join(tasks)}")

    def cells_of(task: str) -> list[Cell]:
        best = own_best(scores, task).get(REFERENCE)
        return [] if best is None else [best, *({**best, **schedule} for schedule in SCHEDULES.values())]

    return equality_at_looks(result, *compared_tasks(scores, tasks, cells_of, (FIXED, *SCHEDULES), FIXED, rules))
