"""H4 and H5 of the study of surrogates: the width in recurrent networks, and what cutting and clipping change."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from sgbench.statistics.blocks import contrast
from sgbench.statistics.equivalence import verdict
from sgbench.statistics.pairs import Floats, holm
from sgbench.statistics.solved import compare_shares, wilson
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import StudyScores
from study.reporting.run_table import REMEDY_WIDTHS, RunTable, run_table
from study.reporting.verdicts import HypothesisResult, Item, one_side
from study.surrogates.analysis.comparisons import Rules, looked_again, with_new_seeds

RESAMPLES = 10_000
NARROW = 0.5
WIDE = 4.0
TAILS = 0.025  # of the bootstrap's distribution, on each side of its interval
SPREAD_POINTS = 10.0
TASKS = ("T4", "T5")
MAP_WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class BestWidth:
    """Holds the width with the best mean, its bootstrap interval, and p-values of being below or above one half."""

    width: float
    low: float
    high: float
    p_below: float
    p_above: float


def best_width(
    validation: Floats, widths: Sequence[float], *, generator: np.random.Generator, resamples: int = RESAMPLES
) -> BestWidth:
    """Find the width with the best mean validation accuracy, with a percentile interval over resampled seeds.

    A p-value is at most .05 exactly where the interval of 95 % lies on that side; of equal means the narrower width
    counts.

    `validation`: by width and seed [widths, seeds]. `widths`: rising [widths]. `generator`: draws the seeds.
    `resamples`: how many times.

    >>> generator = np.random.Generator(np.random.PCG64(0))
    >>> best_width(np.array([[70.0, 71], [80, 82], [60, 50]]), [0.1, 0.2, 1], generator=generator).high
    0.2
    """
    seeds = validation.shape[1]
    picks = generator.integers(seeds, size=(resamples, seeds))
    counts = np.zeros((resamples, seeds))
    np.add.at(counts, (np.arange(resamples)[:, None], picks), 1.0)
    places = np.asarray(widths, dtype=float)
    drawn = np.sort(places[(validation @ counts.T).argmax(axis=0)])
    low, high = np.quantile(drawn, [TAILS, 1 - TAILS], method="inverted_cdf").tolist()
    return BestWidth(
        float(places[validation.mean(axis=1).argmax()]),
        low,
        high,
        min(1.0, 2 * (int((drawn >= NARROW).sum()) + 1) / (resamples + 1)),
        min(1.0, 2 * (int((drawn <= NARROW).sum()) + 1) / (resamples + 1)),
    )


def _cells(shape: str, widths: Sequence[float], **more: str | float) -> list[Cell]:
    extra: Cell = {key.replace("__", "."): value for key, value in more.items()}
    return [{"surrogate": shape, "width_fwhm": width, **extra} for width in widths]


def _table(scores: StudyScores, task: str, cells: Sequence[Cell]) -> RunTable:
    return run_table(scores, task, "map", cells, scores.study.seeds["map"].values, start="A2")


def _said(tables: Sequence[RunTable]) -> str:
    lacking = sum(table.missing for table in tables)
    return f"{tables[0].planned}" if not lacking else f"{lacking:,} runs missing"


def h4(scores: StudyScores, rules: Rules, *, generator: np.random.Generator) -> HypothesisResult:
    """Decide H4, in recurrent networks the best width is narrow and half of the runs at width 4 are lost.

    The second look has new seeds of width 4 on one task, and corrects the shares lost there for their number.
    """
    shapes = ("triangle", "atan", "log_abs")
    tables = {f"{task} {shape}": _table(scores, task, _cells(shape, MAP_WIDTHS)) for task in TASKS for shape in shapes}
    result = HypothesisResult(
        name="H4",
        claim="In recurrent networks the best width is 0.2 or less, and a width of 4 fails or stays near guessing "
        "in at least half of the runs.",
        cells="A2: T4, T5; triangle, atan, log_abs; eight widths",
        seeds=_said(list(tables.values())),
    )
    if not all(table.complete for table in tables.values()):
        return result
    best = {place: best_width(table.validation, MAP_WIDTHS, generator=generator) for place, table in tables.items()}
    wide = {place: _table(scores, place.partition(" ")[0], _cells(place.partition(" ")[2], [WIDE])) for place in tables}
    first = _narrow_and_lost(result, best, wide)
    more = with_new_seeds(scores, "H4", wide)
    if first.alone != "open" or not more:
        return first
    again = looked_again(result, more, rules)
    again = replace(again, seeds=f"{result.seeds}; at width {WIDE:g} {again.seeds}")
    return _narrow_and_lost(again, best, {**wide, **more}, second=True)


def _narrow_and_lost(
    result: HypothesisResult, best: Mapping[str, BestWidth], wide: Mapping[str, RunTable], *, second: bool = False
) -> HypothesisResult:
    """Decide whether the best widths are narrow and at least half of the runs at the widest width are lost.

    `best` and `wide` have a value for each "task shape". `second`: whether new seeds were looked at, so that the
    tests of lost runs are corrected for their number.
    """
    p_confirming, p_refuting = [], []
    rows: list[tuple[Item, ...]] = []
    lost, total = Counter[str](), Counter[str]()  # by task
    for case, width in best.items():
        task, _, shape = case.partition(" ")
        runs = wide[case].runs[0]
        count = sum(run.failed or run.accuracy < 2 * run.guess for run in runs)
        share = wilson(count, len(runs))
        p_confirming.append(width.p_below if 2 * count >= len(runs) else 1.0)
        p_refuting.append(one_side(count, len(runs), above=False))
        rows.append((task, shape, width.width, width.low, width.high, count, len(runs), share.low, share.high))
        lost[task] += count
        total[task] += len(runs)
    below = sum((width.high or 0) < NARROW for width in best.values())
    counts = ", ".join(f"{lost[task]} of {total[task]} on {task}" for task in TASKS)
    if second:
        p_refuting = holm(np.array(p_refuting)).tolist()
    return replace(
        result,
        p_confirmed=max(p_confirming),
        p_refuted=min(*p_refuting, *(width.p_above for width in best.values())),
        why=(
            f"the interval of the best width lies below {NARROW:g} in {below} of {len(rows)} cases; runs that "
            f"fail or stay below twice guessing at width {WIDE:g}: {counts} (half of each case is asked for)"
        ),
        header=(
            *("task", "shape", "best width", "low", "high", "lost at width 4", "runs"),
            *("share low", "share high"),
        ),
        rows=tuple(rows),
    )


@dataclass(frozen=True)
class _Remedy:
    """Holds what cutting and clipping do on one task with one shape."""

    spread: float
    p_spread: float  # that it is above ten points
    failed_cut: int
    change: float
    p_lower: float
    p_higher: float
    failed_full: int
    failed_clip: int
    p_clip: float
    runs: int


def _remedy(full: RunTable, cut: RunTable, clip: RunTable) -> _Remedy:
    """Compare cutting and clipping with neither on one task and shape: widths by validation, compared on test."""
    means = cut.accuracy.mean(axis=1)
    beyond = []
    for rows in combinations(range(len(means)), 2):
        pair = contrast(cut.accuracy[[*rows]], [1.0, -1.0])
        beyond.append(verdict(pair, SPREAD_POINTS).p_beyond)
    best = [table.accuracy[table.validation.mean(axis=1).argmax()] for table in (cut, full)]
    lower = contrast(best, [1.0, -1.0])
    failed = [int(table.failed.sum()) for table in (full, clip)]
    runs = full.failed.size
    return _Remedy(
        spread=float(np.ptp(means)),
        p_spread=float(holm(np.array(beyond)).min()),
        failed_cut=int(cut.failed.sum()),
        change=lower.estimate,
        p_lower=lower.p if lower.estimate < 0 else 1.0,
        p_higher=lower.p if lower.estimate > 0 else 1.0,
        failed_full=failed[0],
        failed_clip=failed[1],
        p_clip=compare_shares(failed[1], runs, failed[0], runs).p,
        runs=runs,
    )


def h5(scores: StudyScores, rules: Rules) -> HypothesisResult:
    """Decide H5, cutting the recurrent gradient makes width unimportant and costs accuracy; clipping does neither.

    The uncut and unclipped runs are those of the regime map, which have the same settings and seeds.
    """
    places = [(task, shape) for task in TASKS for shape in ("atan", "triangle")]
    full = [_table(scores, task, _cells(shape, REMEDY_WIDTHS)) for task, shape in places]
    cut = [
        _table(scores, task, _cells(shape, REMEDY_WIDTHS, network__recurrence_gradient="cut")) for task, shape in places
    ]
    clip = [_table(scores, task, _cells(shape, REMEDY_WIDTHS, clip_norm=1.0)) for task, shape in places]
    result = HypothesisResult(
        name="H5",
        claim="Cutting the recurrent gradient makes the width unimportant and costs accuracy at the best width; "
        "clipping by norm does neither.",
        cells="B2: T4, T5; atan, triangle; widths 0.05 to 4; uncut runs from A2",
        seeds=_said([*full, *cut, *clip]),
    )
    if not all(table.complete for table in (*full, *cut, *clip)):
        return result
    remedies = [_remedy(*tables) for tables in zip(full, cut, clip, strict=True)]
    return _decided(result, places, remedies, rules)


def _decided(
    result: HypothesisResult, cases: Sequence[tuple[str, str]], remedies: Sequence[_Remedy], rules: Rules
) -> HypothesisResult:
    """Decide the hypothesis from each case: every case has to confirm it, and any of them can refute it."""
    holds = all(case.spread < SPREAD_POINTS and not case.failed_cut and case.p_clip > rules.level for case in remedies)
    tests = (
        [case.p_spread for case in remedies],
        [case.p_higher for case in remedies],
        [case.p_clip for case in remedies],
    )
    # A run that fails is a counterexample of "no run fails", whatever the others do.
    refutation = 0.0 if any(case.failed_cut for case in remedies) else 1.0
    spreads = ", ".join(f"{case.spread:.1f}" for case in remedies)
    changes = ", ".join(f"{case.change:+.1f}" for case in remedies)
    return replace(
        result,
        p_confirmed=max(case.p_lower for case in remedies) if holds else 1.0,
        p_refuted=min(refutation, *(float(holm(np.array(p_values)).min()) for p_values in tests)),
        why=(
            f"with the cut the means over widths spread by {spreads} points, "
            f"{sum(case.failed_cut for case in remedies)} of {sum(case.runs for case in remedies)} runs fail, and the "
            f"best mean changes by {changes} points; failed runs are {sum(case.failed_full for case in remedies)} "
            f"without and {sum(case.failed_clip for case in remedies)} with clipping"
        ),
        header=(
            *("task", "shape", "spread over widths", "failed, cut", "best, cut minus full", "p"),
            *("failed, full", "failed, clipped", "runs", "p, Boschloo"),
        ),
        rows=tuple(
            (
                *(*names, case.spread, case.failed_cut, case.change, min(case.p_lower, case.p_higher)),
                *(case.failed_full, case.failed_clip, case.runs, case.p_clip),
            )
            for names, case in zip(cases, remedies, strict=True)
        ),
    )
