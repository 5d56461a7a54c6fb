"""What was found after the runs, without a hypothesis: reset, clipping, activity, and slopes of spikes on tails."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from sgbench.statistics.intervals import Summary, summarise
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import Score
from study.reporting.pages.regime_map import estimate
from study.reporting.pages.text import Item, StudyPage, interval, table
from study.reporting.run_table import MIN_SEEDS, SLOPE_AT_REST
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses import ONE_LAYER, RECURRENT, map_table, trend
from study.surrogates.analysis.pages.spikes import bounded

NAME = "found_later.md"
TITLE = "What was found after the runs"
REMEDIES, ACTIVITY = "B2", "C2"
SHAPES, WIDTHS = ("atan", "triangle"), (0.05, 0.2, 0.5, 1.0, 4.0)
ATTACHED: Cell = {
    "neuron.reset_gradient": "attached",
    "surrogate.normalisation": "peak1",
    "network.recurrence_gradient": "full",
}
CLIPPED: Cell = {"clip_norm": 1}
CLIPPED_TASKS = ("T4", "T5")
STRENGTH, NARROW = 0.1, 0.2
Runs = Mapping[int, Score]


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page of questions that came up after the runs."""
    if not all(evidence.stored(block) for block in (REMEDIES, ACTIVITY)):
        return StudyPage(NAME, TITLE, (evidence.not_stored(ACTIVITY),))
    parts = (
        "Nobody had written down these questions before the runs. The estimates are of the seeds that raised them, "
        "so they are candidates, not results.",
        "## The reset's gradient",
        *_reset(evidence),
        "## Clipping",
        *_clipping(evidence),
        "## A small cost of activity",
        *_activity(evidence),
        "## Spikes and tails",
        *_slopes(evidence),
    )
    return StudyPage(NAME, TITLE, parts)


def _reset(evidence: SurrogateEvidence) -> list[str]:
    """Write how an attached reset compares with a detached one."""
    rows: list[list[Item]] = []
    said = []
    for task in evidence.loaded.study.blocks[REMEDIES].tasks:
        if not _attached(evidence, task):
            continue
        for shape in SHAPES:
            pairs = _pairs_of_widths(evidence, task, shape, _attached(evidence, task))
            rows += [_reset_row(evidence, task, shape, width, *pair) for width, pair in pairs.items()]
            if pairs:
                said.append(_best_against_best(evidence, task, shape, pairs))
    header = ["task", "shape", "width", "detached, %", "attached, %", "attached minus detached", "failed"]
    return [
        "A spike resets its neuron. Attached, the gradient passes through that reset; detached, it does not. All "
        "runs have a peak of 1 and the full recurrent gradient. Failed runs count as guessing; seeds are paired.",
        table(header, rows),
        "\n".join(f"- {sentence}" for sentence in said),
    ]


def _pairs_of_widths(evidence: SurrogateEvidence, task: str, shape: str, more: Cell) -> dict[float, tuple[Runs, Runs]]:
    """Return for each width the plain runs and those with `more` settings, of the seeds that both have."""
    pairs = {}
    for width in WIDTHS:
        cell: Cell = {"surrogate": shape, "width_fwhm": width}
        plain = evidence.scores.cell(task, "map", cell, start="A2")
        changed = evidence.scores.cell(task, "map", {**cell, **more}, start=REMEDIES)
        seeds = sorted(plain.keys() & changed.keys())
        if seeds:
            pairs[width] = ({s: plain[s] for s in seeds}, {s: changed[s] for s in seeds})
    return pairs


def _attached(evidence: SurrogateEvidence, task: str) -> Cell:
    """Return what the runs of a task with an attached reset set; nothing where it has none."""
    varied = _varied(evidence, task)
    return {key: value for key, value in ATTACHED.items() if key in varied}


def _varied(evidence: SurrogateEvidence, task: str) -> set[str]:
    """Name the settings that are varied together with the reset's gradient on a task."""
    grids = evidence.loaded.study.blocks[REMEDIES].grids
    return {
        key
        for grid in grids
        if task in (grid.tasks or ()) and "neuron.reset_gradient" in grid.values
        for key in grid.values
    }


def _reset_row(
    evidence: SurrogateEvidence, task: str, shape: str, width: float, detached: Runs, attached: Runs
) -> list[Item]:
    """Return the cells of one width: accuracy with each reset, their difference, and failed runs."""
    failed = [sum(run.failed for run in runs.values()) for runs in (detached, attached)]
    return [
        evidence.title(task),
        shape,
        f"{width:g}",
        *(f"{fmean(run.accuracy for run in runs.values()):.1f}" for runs in (detached, attached)),
        _difference(attached, detached),
        f"{failed[0]} and {failed[1]} of {len(attached)}",
    ]


def _difference(a: Runs, b: Runs) -> str:
    found = estimate([a[seed].accuracy - b[seed].accuracy for seed in sorted(a)])
    return interval(found.value, found.low, found.high)


def _best_against_best(
    evidence: SurrogateEvidence, task: str, shape: str, pairs: Mapping[float, tuple[Runs, Runs]]
) -> str:
    """Compare the resets, each at its own best width."""

    def best(place: int) -> float:
        return max(pairs, key=lambda width: fmean(run.accuracy for run in pairs[width][place].values()))

    off, on = best(0), best(1)
    return (
        f"{evidence.title(task)}, `{shape}`: the best width is {off:g} detached and {on:g} attached. Attached "
        f"minus detached, each at its best, is {_difference(pairs[on][1], pairs[off][0])} points."
    )


def _clipping(evidence: SurrogateEvidence) -> list[str]:
    """Write what clipping the gradient changes."""
    rows: list[list[Item]] = []
    for task in CLIPPED_TASKS:
        for shape in SHAPES:
            for width, (plain, clipped) in _pairs_of_widths(evidence, task, shape, CLIPPED).items():
                means = [_mean(runs) for runs in (plain, clipped)]
                rows.append(
                    [evidence.title(task), shape, f"{width:g}", *means, _difference(clipped, plain), len(plain)]
                )
    header = ["task", "shape", "width", "as it is, %", "clipped at norm 1, %", "clipped minus not", "seeds"]
    return ["The reset is detached. Failed runs count as guessing; seeds are paired.", table(header, rows)]


def _slopes(evidence: SurrogateEvidence) -> list[str]:
    """Write how spikes depend on the heaviness of the tail."""
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in SLOPE_AT_REST]
    rows: list[list[Item]] = []
    for task in (*ONE_LAYER, *RECURRENT):
        spikes = map_table(evidence.scores, task, cells).log_spikes
        counted = spikes[:, np.isfinite(spikes).all(axis=0)]
        if counted.shape[1] < MIN_SEEDS:
            rows.append([evidence.title(task), None, None, counted.shape[1]])
            continue
        line = trend(counted, list(SLOPE_AT_REST.values()))
        rows.append([evidence.title(task), interval(line.slope, line.low, line.high, 2), line.p, counted.shape[1]])
    header = ["task", "slope of log spikes (95 %)", "p", "seeds"]
    return [
        "The registered hypothesis on spikes and tails is open because runs fail on one task. The others have "
        "slopes: the logarithm of spikes on the surrogate derivative at rest, six shapes at width 1.",
        table(header, rows),
    ]


def _activity(evidence: SurrogateEvidence) -> list[str]:
    """Write what a small cost of activity changes in accuracy and spikes."""
    rows: list[list[Item]] = []
    gains: dict[int, list[float]] = {}
    shares: list[float] = []
    for task in evidence.loaded.study.blocks[ACTIVITY].tasks:
        for shape in SHAPES:
            free, paid = (
                evidence.scores.cell(task, "map", bounded(shape, NARROW, strength), start=ACTIVITY)
                for strength in (0.0, STRENGTH)
            )
            ratio = _spikes(paid, free)
            rows.append(
                [evidence.title(task), shape, *(_mean(runs) for runs in (free, paid)), _difference(paid, free), ratio]
            )
            shares += [] if ratio is None else [ratio]
            for seed in paid:
                gains.setdefault(seed, []).append(paid[seed].accuracy - free[seed].accuracy)
    pooled = summarise([fmean(each) for _, each in sorted(gains.items())])
    header = ["task", "shape", "without, %", "with, %", "with minus without", "spikes, with by without"]
    return [
        f"The cost is the square of a layer's mean spikes a neuron, times {STRENGTH:g}. The width is {NARROW:g}; "
        "seeds are paired.",
        table(header, rows),
        f"Averaged over the {len(rows)} cells of a seed, accuracy changes by {_text(pooled)} points, with "
        f"{math.exp(fmean(map(math.log, shares))):.2f} times the spikes (geometric mean).",
    ]


def _mean(runs: Runs) -> str:
    return f"{fmean(run.accuracy for run in runs.values()):.1f}"


def _text(summary: Summary) -> str:
    return interval(summary.mean, summary.low, summary.high)


def _spikes(a: Runs, b: Runs) -> float | None:
    """Compute the ratio of spikes, a geometric mean over seeds; None where a run sent none."""
    logs: Sequence[float] = [
        first - second
        for seed in sorted(a)
        if (first := a[seed].log_spikes) is not None and (second := b[seed].log_spikes) is not None
    ]
    return round(math.exp(fmean(logs)), 2) if len(logs) == len(a) else None
