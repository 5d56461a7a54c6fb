"""Claims of the founding review and its follow-ups that cells of the study decide: C1 to C6, C11 and C12."""

import itertools
import math
from collections.abc import Iterable

import numpy as np

from sgbench.statistics.blocks import contrast
from sgbench.statistics.equivalence import verdict
from sgbench.study_runner.cells import Cell
from study.reporting.pages import forgiving, tuning
from study.reporting.pages.text import few, interval
from study.reporting.run_table import LEARNS_POINTS, SHAPES, RunTable, margin_of, points_of, run_table
from study.reporting.verdicts import one_side
from study.surrogates.analysis.comparisons import REFERENCE, Compared
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses import map_table
from study.surrogates.analysis.pages.claim_rules import (
    Decided,
    against_own_best,
    compared_text,
    decided,
    hypotheses,
    hypothesis,
    hypothesis_text,
    incomplete,
    is_no_worse,
    is_worse,
    learnt,
    least_far,
    missing,
    smallest,
)
from study.surrogates.analysis.pages.spikes import BOUND_BLOCK, BOUND_WIDTHS, STRENGTHS, bounded

HEIGHT_WIDTH = 0.05
"""At which a surrogate of area 1 has a peak of 13 to 20 and one of peak 1 has not."""
QUIET_SHAPES = ("triangle", "atan", "fast_sigmoid", "log_abs")
DEEPEST = "[64,64,64,64,64,64]"
TAILS = (1.05, 1.5, 3.0, 10.0, 100.0)
HALF = math.log(0.5)


def control_fails(evidence: SurrogateEvidence, control: str) -> Decided:
    """Decide C1 and C3: a control lies below the reference at its own best on every task."""
    compared, lacking = against_own_best(evidence, {"surrogate": control, "width_fwhm": None})
    if lacking:
        return missing(evidence, "A3b")
    number = f"{control} minus {REFERENCE} at its own best, where it comes closest: " + compared_text(
        least_far(compared)
    )
    return decided(
        max(map(is_worse, compared)),
        smallest([is_no_worse(one) for one in compared]),
        evidence.rules.look_level,
        f"{number}; {len(compared)} tasks",
    )


def shape_is_not_crucial(evidence: SurrogateEvidence) -> Decided:
    """Decide C2 by three registered hypotheses: one regime in which the shape decides refutes it."""
    results = hypotheses(evidence, "H1", "H2", "H6")
    words = {result.name: result.verdict for result in results}
    number = "; ".join(map(hypothesis_text, results)) or "no hypothesis is decided"
    if words.get("H2") == "confirmed" or "refuted" in (words.get("H1"), words.get("H6")):
        return Decided("refuted", number)
    if words.get("H1") == words.get("H6") == "confirmed" and words.get("H2") == "refuted":
        return Decided("confirmed", number)
    return Decided("open", number)


def _height_cells(shape: str, key: str, through: str, stopped: str, more: Cell) -> list[Cell]:
    """Return cells of both heights with the gradient passed on, then stopped."""
    return [
        {"surrogate": shape, "width_fwhm": HEIGHT_WIDTH, "surrogate.normalisation": height, key: word, **more}
        for word, height in itertools.product((through, stopped), ("area1", "peak1"))
    ]


def height_harms(evidence: SurrogateEvidence) -> Decided:
    """Decide C4: height harms where gradients pass through reset or recurrence, and less where they do not."""
    places: list[tuple[str, str, str, str, Cell]] = [
        ("T1", "neuron.reset_gradient", "attached", "detached", {}),
        ("T4", "network.recurrence_gradient", "full", "cut", {"neuron.reset_gradient": "detached"}),
    ]
    study = evidence.loaded.study
    seeds = study.blocks["B2"].seeds.values
    tables = {
        (task, shape): run_table(
            evidence.scores, task, "map", _height_cells(shape, key, through, stopped, more), seeds, start="B2"
        )
        for task, key, through, stopped, more in places
        for shape in (REFERENCE, "triangle")
    }
    if open_ := incomplete("B2", tables.values()):
        return open_
    harms: list[Compared] = []
    mended = []
    for (task, shape), table in tables.items():
        harm = verdict(contrast(table.accuracy, [1, -1, 0, 0]), margin_of(study.tasks[task]))
        harms.append(Compared(task, shape, harm, len(table.seeds)))
        change = contrast(table.accuracy, [1, -1, -1, 1])
        mended.append(change.p if change.estimate < 0 else 1.0)
    said = "; ".join(f"{one.method} {compared_text(one)}" for one in harms)
    return decided(
        max(*map(is_worse, harms), *mended),
        smallest([is_no_worse(one) for one in harms]),
        evidence.rules.level,
        f"area 1 minus peak 1 where the gradient passes: {said}",
    )


def fast_sigmoid_is_robust(evidence: SurrogateEvidence) -> Decided:
    """Decide C5: over learning rates, fast_sigmoid is better than each other shape, over three tasks."""
    means = []
    tables = {task: forgiving.plane_table(evidence, task) for task in tuning.LEARNING_RATE_TASKS}
    if open_ := incomplete("A2", tables.values()):
        return open_
    for task, table in tables.items():
        axes = (len(SHAPES), len(tuning.WIDTHS), len(tuning.FACTORS), -1)
        scores = points_of(evidence.loaded.study.tasks[task], table).reshape(axes)
        widths = table.validation.reshape(axes).mean(axis=(2, 3)).argmax(axis=1)
        means.append(np.stack([scores[shape, width].mean(axis=0) for shape, width in enumerate(widths)]))
    by_shape = dict(zip(SHAPES, np.mean(means, axis=0), strict=True))
    mine = by_shape.pop("fast_sigmoid")
    gaps = {shape: contrast([mine, scores], [1, -1]) for shape, scores in by_shape.items()}
    shape, gap = min(gaps.items(), key=lambda pair: pair[1].estimate)
    return decided(
        max(one.p if one.estimate > 0 else 1.0 for one in gaps.values()),
        smallest([one.p if one.estimate < 0 else 1.0 for one in gaps.values()]),
        evidence.rules.level,
        f"fast_sigmoid minus {shape}, the least of five gaps: {interval(gap.estimate, gap.low, gap.high)} points "
        f"over three learning rates ({len(tables)} tasks, {gap.seeds} seeds)",
    )


def quiet_and_driven(evidence: SurrogateEvidence) -> tuple[RunTable, RunTable]:
    """Tabulate four layers at width 1: shapes from a quiet start, and the lightest tail from a driven start."""
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in QUIET_SHAPES]
    return (
        map_table(evidence.scores, "T2d4", cells, all_seeds=True),
        map_table(evidence.scores, "T2d4g", cells[:1], all_seeds=True),
    )


def deepest(evidence: SurrogateEvidence, gain: float, tails: Iterable[float] = TAILS) -> RunTable:
    """Return the runs of the deepest networks at this gain, a row for each tail."""
    cells: list[Cell] = [
        {
            "protocol.hidden": DEEPEST,
            "init.gain": gain,
            "surrogate": "q_pseudo_spike",
            "surrogate.tail": tail,
            "width_fwhm": 1.0,
        }
        for tail in tails
    ]
    seeds = evidence.loaded.study.blocks["B1"].seeds.values
    return run_table(evidence.scores, "T2d4", "map", cells, seeds, start="B1")


def driven_start_is_needed(evidence: SurrogateEvidence) -> Decided:
    """Decide C6: from a quiet start no shape learns, from a driven one the lightest tail does."""
    quiet, driven = quiet_and_driven(evidence)
    if open_ := incomplete("A2", (quiet, driven)):
        return open_
    counts = learnt(quiet, LEARNS_POINTS)
    runs = len(quiet.seeds)
    of_driven = learnt(driven, LEARNS_POINTS)[0]
    shapes = ", ".join(f"{shape} {count}" for shape, count in zip(QUIET_SHAPES, counts, strict=True))
    said = [
        f"four layers, quiet, width 1: {shapes} of {runs} runs learn; driven: triangle "
        f"{few(of_driven, len(driven.seeds))}"
    ]
    learns = [one_side(count, runs, above=True) for count in counts]
    fails = [one_side(count, runs, above=False) for count in counts]
    fails.append(one_side(of_driven, len(driven.seeds), above=True))
    deep, loud = deepest(evidence, 1), deepest(evidence, 2, TAILS[-1:])
    if deep.complete and loud.complete:
        counts, runs = learnt(deep, LEARNS_POINTS), len(deep.seeds)
        learns += [one_side(count, runs, above=True) for count in counts]
        fails += [one_side(count, runs, above=False) for count in counts]
        fails.append(one_side(learnt(loud, LEARNS_POINTS)[0], len(loud.seeds), above=True))
        tails = ", ".join(f"tail {tail:g} {count}" for tail, count in zip(TAILS, counts, strict=True))
        said.append(f"six layers, quiet: {tails} of {runs}")
    else:
        fails.append(1.0)
        said.append(missing(evidence, "B1").number)
    return decided(max(fails), smallest(learns), evidence.rules.level, "; ".join(said))


def sparse_without_loss(evidence: SurrogateEvidence) -> Decided:
    """Decide C11: half of the spikes cost nothing, a stronger bound costs accuracy."""
    study = evidence.loaded.study
    seeds = study.blocks[BOUND_BLOCK].seeds.values
    tables = {}
    for task in study.blocks[BOUND_BLOCK].tasks:
        for width in BOUND_WIDTHS:
            cells = [bounded(REFERENCE, width, strength) for strength in STRENGTHS]
            tables[task, width] = run_table(evidence.scores, task, "map", cells, seeds, start=BOUND_BLOCK)
    if open_ := incomplete(BOUND_BLOCK, tables.values()):
        return open_
    best = {
        task: max((tables[task, width] for width in BOUND_WIDTHS), key=lambda one: float(one.validation[0].mean()))
        for task in study.blocks[BOUND_BLOCK].tasks
    }
    level = evidence.rules.level
    parts = {task: _sparse(table, margin_of(study.tasks[task]), level) for task, table in best.items()}
    said = "; ".join(f"{task}: {text}" for task, (_, _, text) in parts.items())
    return decided(
        max(confirmed for confirmed, _, _ in parts.values()),
        smallest([refuted for _, refuted, _ in parts.values()]),
        evidence.rules.level,
        f"{said}; {len(seeds)} seeds",
    )


def _sparse(table: RunTable, margin: float, level: float) -> tuple[float, float, str]:
    """Test on one task that half of the spikes cost nothing and fewer cost accuracy; p for, p against, in words."""
    free, costly, halved = [], [], []
    fewest, at = 1.0, 0.0
    for row in range(1, len(table.cells)):
        loss = verdict(contrast(table.accuracy[[row, 0]], [1, -1]), margin)
        spikes = table.log_spikes[row] - table.log_spikes[0]
        finite = bool(np.isfinite(spikes).all())
        saved = contrast([spikes - HALF, np.zeros_like(spikes)], [1, -1]) if finite else None
        is_half = saved is not None and saved.estimate < 0
        costly.append(loss.p_beyond if loss.difference < 0 else 1.0)
        free.append(max(loss.p_equal, saved.p) if saved is not None and is_half else 1.0)
        if is_half or not finite:
            halved.append(costly[-1])
        if finite and loss.p_equal <= level and float(np.exp(spikes.mean())) < fewest:
            fewest, at = float(np.exp(spikes.mean())), loss.difference
    text = f"{100 * fewest:.0f} % of the spikes at {at:+.1f} points" if fewest < 1 else "no saving is shown free"
    confirmed = max(smallest(free), smallest(costly))
    return confirmed, float(max(halved)) if halved else 1.0, text


def schedules_gain_nothing(evidence: SurrogateEvidence) -> Decided:
    """Decide C12 by H8: no schedule and no learnt width is better than the best fixed width."""
    result = hypothesis(evidence, "H8")
    if result is None or not result.rows:
        return missing(evidence, "F")
    words = [row[-1] for row in result.rows]
    number = hypothesis_text(result)
    if "better" in words:
        return Decided("refuted", number)
    return Decided("confirmed" if result.verdict == "confirmed" else "open", number)
