"""Claims of later papers that cells of the study decide: L1 to L6, L8, L9, L12 and L15 to L17."""

import math

import numpy as np

from sgbench.statistics.blocks import Contrast, contrast
from sgbench.statistics.intervals import summarise, t_quantile
from sgbench.statistics.pairs import holm
from sgbench.statistics.random_effects import RandomEffects, random_effects
from sgbench.statistics.solved import compare_shares
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import Score
from study.reporting.pages import forgiving, regime_map
from study.reporting.pages.text import few, interval
from study.reporting.run_table import LEARNS_POINTS, SHAPES, run_table
from study.reporting.verdicts import VerdictWord
from study.surrogates.analysis.comparisons import REFERENCE, compared_tasks
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages import learning_rules, neurons, spikes
from study.surrogates.analysis.pages.claim_rules import (
    Decided,
    all_of,
    compared_text,
    decided,
    hypothesis,
    hypothesis_text,
    incomplete,
    is_no_better,
    is_no_worse,
    learnt,
    missing,
    smallest,
)
from study.surrogates.analysis.pages.claims_cells import (
    TAILS,
    control_fails,
    deepest,
    height_harms,
    quiet_and_driven,
    schedules_gain_nothing,
)
from study.surrogates.analysis.pages.methods import compared_looks, latest_looks

SIMPLE, COMPLEX = ("T1", "T2d1", "T3"), ("T2d4", "T4", "T5")
"""One hidden layer without recurrence; four layers, or recurrence."""
ACCURACY_TASKS = ("T1", "T2d1", "T2d4", "T2d4g", "T3", "T4", "T5")
NARROWEST, WIDEST = regime_map.WIDTHS[0], regime_map.WIDTHS[-1]
NEURON_TASKS = ("T4", "T5")
"""Where a neuron model can be better than one that is tuned: T6 is solved, or not."""
MIN_SETTINGS = 6
"""Random settings of a task from which a curve is fitted to its gain."""


def robust_to_shape_alone(evidence: SurrogateEvidence) -> Decided:
    """Decide L1 from H6 (shape), C3 (constant) and C4 (height)."""
    result = hypothesis(evidence, "H6")
    parts: dict[str, VerdictWord] = {
        "H6": "open" if result is None else result.verdict,
        "C3": control_fails(evidence, "constant").verdict,
        "C4": height_harms(evidence).verdict,
    }
    return all_of(parts)


def careless_choices_cost_more(evidence: SurrogateEvidence) -> Decided:
    """Decide L2: the mean loss of all shapes and widths against the best is larger on complex tasks."""
    tables = {task: forgiving.line_table(evidence, task) for task in (*SIMPLE, *COMPLEX)}
    if open_ := incomplete("A2", tables.values()):
        return open_
    losses = {}
    for task, table in tables.items():
        best = table.accuracy[table.validation.mean(axis=1).argmax()]
        losses[task] = best - table.accuracy.mean(axis=0)
    means = [np.mean([losses[task] for task in tasks], axis=0) for tasks in (COMPLEX, SIMPLE)]
    gap = contrast(means, [1, -1])
    return decided(
        gap.p if gap.estimate > 0 else 1.0,
        gap.p if gap.estimate < 0 else 1.0,
        evidence.rules.level,
        f"a shape and width taken blindly lose {means[0].mean():.1f} points to the best on deep and recurrent "
        f"tasks, {means[1].mean():.1f} with one layer: {interval(gap.estimate, gap.low, gap.high)} more "
        f"({len(tables)} tasks, {gap.seeds} seeds)",
    )


def wide_reaches_deeper(evidence: SurrogateEvidence) -> Decided:
    """Decide L3: the lightest tail learns in six quiet layers when wide and not when narrow, and C12."""
    cells: list[Cell] = [{**deepest(evidence, 1, TAILS[-1:]).cells[0], "width_fwhm": width} for width in (4.0, 0.1)]
    seeds = evidence.loaded.study.blocks["B1"].seeds.values
    table = run_table(evidence.scores, "T2d4", "map", cells, seeds, start="B1")
    schedules = schedules_gain_nothing(evidence)
    if open_ := incomplete("B1", [table]):
        return Decided("refuted" if schedules.verdict == "refuted" else "open", open_.number)
    wide, narrow = learnt(table, LEARNS_POINTS)
    runs = len(table.seeds)
    p = compare_shares(wide, runs, narrow, runs).p
    reach = decided(*(p if wide > narrow else 1.0, p if wide < narrow else 1.0, evidence.rules.level, ""))
    number = (
        f"six quiet layers, exponential: {few(wide, runs)} runs learn at width 4, {few(narrow, runs)} at 0.1; "
        f"schedules (C12) {schedules.verdict}; alignment with the true gradient is not measured"
    )
    return all_of({"reach": reach.verdict, "C12": schedules.verdict}, number)


def width_is_a_dilemma(evidence: SurrogateEvidence) -> Decided:
    """Decide L4: the widest cell sends more spikes than the best one, and the narrowest is less accurate."""
    cells: list[Cell] = [{"surrogate": REFERENCE, "width_fwhm": width} for width in regime_map.WIDTHS]
    seeds = evidence.loaded.study.blocks["A2"].seeds.values
    tables = {task: run_table(evidence.scores, task, "map", cells, seeds, start="A2") for task in ACCURACY_TASKS}
    if open_ := incomplete("A2", tables.values()):
        return open_
    narrow, wide = {}, {}
    for task, table in tables.items():
        best = int(table.validation.mean(axis=1).argmax())
        narrow[task] = contrast(table.accuracy[[0, best]], [1, -1])
        sent = table.log_spikes[[-1, best]]
        if np.isfinite(sent).all() and best != len(cells) - 1:
            wide[task] = contrast(sent, [1, -1])
    ratios = ", ".join(f"{task} {_ratio_text(one)}" for task, one in wide.items())
    losses = ", ".join(f"{task} {one.estimate:+.1f}" for task, one in narrow.items())
    more = [one.p if one.estimate > 0 else 1.0 for one in wide.values()] or [1.0]
    lower = [one.p if one.estimate < 0 else 1.0 for one in narrow.values()]
    fewer = [one.p if one.estimate < 0 else 1.0 for one in wide.values()]
    return decided(
        max([*more, *lower]),
        smallest(fewer),
        evidence.rules.level,
        f"atan, spikes at width {WIDEST:g} over those at the best width: {ratios}; points at width "
        f"{NARROWEST:g} minus best: {losses}; {len(seeds)} seeds",
    )


def width_must_follow(evidence: SurrogateEvidence) -> Decided:
    """Decide L5 from H8's comparisons of the learnt width with the best fixed one."""
    result = hypothesis(evidence, "H8")
    rows = [] if result is None else [row for row in result.rows if row[1] == "learned"]
    if not rows:
        return missing(evidence, "F")
    words = [row[-1] for row in rows]
    number = "learnt width minus best fixed one: " + ", ".join(f"{row[0]} {row[2]:+.1f} ({row[-1]})" for row in rows)
    if "better" in words and "worse" not in words:
        return Decided("confirmed", number)
    return Decided("refuted" if "better" not in words and "open" not in words else "open", number)


def skewed_is_better(evidence: SurrogateEvidence) -> Decided:
    """Decide L6 for asymmetry alone: a skewed Gaussian at width 1 against a symmetric one."""
    rules, names = evidence.rules, ("gaussian", "split_gaussian")
    cells: list[Cell] = [{"surrogate": name, "width_fwhm": 1.0} for name in names]
    tasks = evidence.loaded.study.blocks["F"].tasks
    compared, _, lacking = compared_tasks(evidence.scores, tasks, lambda _: cells, names, names[0], rules)
    if lacking:
        return missing(evidence, "A3b", "F")
    better = [one.verdict.p_differs if one.verdict.difference > 0 else 1.0 for one in compared]
    others = [
        one.verdict.p_equal if one.verdict.difference > 0 else min(one.verdict.p_equal, one.verdict.p_differs)
        for one in compared
    ]
    number = "skewed minus symmetric at width 1: " + "; ".join(map(compared_text, compared))
    return decided(max(better), smallest(others), rules.look_level, number)


def fewer_spikes_than_arctan(evidence: SurrogateEvidence) -> Decided:
    """Decide L8: fast_sigmoid needs fewer spikes than atan at equal accuracy, over tasks by random effects."""
    ratios: dict[str, tuple[float, float]] = {}
    for task in ACCURACY_TASKS:
        tables = {shape: spikes.settings_table(evidence, "A2", task, shape) for shape in SHAPES}
        if open_ := incomplete("A2", tables.values()):
            return open_
        one = spikes.ratios_to_reference(tables)[1]["fast_sigmoid"]
        if one is None or not one.low or one.high is None or not math.isfinite(one.high):
            continue
        error = (math.log(one.high) - math.log(one.low)) / (2 * t_quantile(0.95, len(tables["atan"].seeds) - 1))
        if error > 0:
            ratios[task] = (math.log(one.ratio), error)
    if len(ratios) < 2:  # noqa: PLR2004 - one task has no mean over tasks
        return Decided("open", "on fewer than two tasks both shapes reach the accuracy")
    effect = random_effects([one for one, _ in ratios.values()], [error for _, error in ratios.values()])
    return _signed(
        effect,
        evidence,
        f"spikes of fast_sigmoid over those of atan, 2 points below the best: {_ratio_text(effect)} over "
        f"{effect.tasks} tasks; prices of hardware are not compared",
    )


def _ratio_text(effect: Contrast | RandomEffects) -> str:
    mean = effect.mean if isinstance(effect, RandomEffects) else effect.estimate
    low, high = (None if end is None else math.exp(end) for end in (effect.low, effect.high))
    return interval(math.exp(mean), low, high, 2)


def _signed(effect: RandomEffects, evidence: SurrogateEvidence, number: str) -> Decided:
    """Decide by a mean over tasks: confirmed where it is shown below 0, refuted where above."""
    return decided(
        *(effect.p if effect.mean < 0 else 1.0, effect.p if effect.mean > 0 else 1.0), *(evidence.rules.level, number)
    )


def gain_has_a_working_region(evidence: SurrogateEvidence) -> Decided:
    """Decide L9: over random settings, accuracy bends down in the logarithm of the initial gain."""
    bends, errors = [], []
    for task in evidence.loaded.study.blocks["A1"].tasks:
        settings: dict[str, list[Score]] = {}
        for run in evidence.scores.block("A1"):
            if run.task == task:
                key = repr(sorted((name, str(of)) for name, of in run.cell.items() if name != "surrogate"))
                settings.setdefault(key, []).append(run)
        if len(settings) < MIN_SETTINGS:
            continue
        gains = np.log([float(str(runs[0].settings["init.gain"])) for runs in settings.values()])
        points = np.array([np.mean([run.validation for run in runs]) for runs in settings.values()])
        bend, covariance = np.polyfit(gains, points, 2, cov="unscaled")
        left = points - np.polyval(bend, gains)
        bends.append(float(bend[0]))
        errors.append(math.sqrt(float(covariance[0, 0] * (left @ left) / (len(points) - 3))))
    if len(bends) < 2 or min(errors) <= 0:  # noqa: PLR2004 - one task has no mean over tasks
        return missing(evidence, "A1")
    effect = random_effects(bends, errors)
    return _signed(
        effect,
        evidence,
        f"curvature of accuracy in log gain, the other settings drawn at random: "
        f"{interval(effect.mean, effect.low, effect.high)} points over {effect.tasks} tasks; time constants have "
        "three values, too few",
    )


def one_step_equals_eprop(evidence: SurrogateEvidence) -> Decided:
    """Decide L12: one-step back-propagation equals e-prop within the margin or is better, on three tasks."""
    rules, names = evidence.rules, [learning_rules.E_PROP, learning_rules.ONE_STEP]
    cells = {task: learning_rules.settled(evidence, task) for task in evidence.loaded.study.blocks["DR"].tasks}
    tables = latest_looks(evidence, cells, names)
    if len(tables) < len(cells):
        return missing(evidence, "DR")
    compared = compared_looks(evidence, tables, names)
    worse = [one.verdict.p_differs if one.verdict.word == "worse" else 1.0 for one in compared]
    number = "one step minus e-prop: " + "; ".join(map(compared_text, compared))
    result = hypothesis(evidence, "H9")
    if result is not None:
        number += f"; {hypothesis_text(result)}"
    return decided(max(map(is_no_worse, compared)), smallest(worse), rules.look_level, number)


def quadratic_neurons_win(evidence: SurrogateEvidence) -> Decided:
    """Decide L15: the quadratic neuron is better than the leaky one, both tuned alike, on two tasks."""
    rules, names = evidence.rules, [neurons.LEAKY, neurons.QUADRATIC]
    cells = {task: neurons.settled(evidence, task) for task in NEURON_TASKS}
    tables = latest_looks(evidence, cells, names, start=neurons.BLOCK)
    if len(tables) < len(cells):
        return missing(evidence, neurons.BLOCK)
    compared = compared_looks(evidence, tables, names)
    said = "; ".join(map(compared_text, compared))
    return decided(
        max(one.verdict.p_differs if one.verdict.difference > 0 else 1.0 for one in compared),
        max(map(is_no_better, compared)),
        rules.look_level,
        f"quadratic minus leaky, each the best of sixteen settings: {said}",
    )


def times_are_learnt(evidence: SurrogateEvidence) -> Decided:
    """Decide L16: the best cell of a task whose counts carry nothing lies above guessing."""
    table = forgiving.line_table(evidence, "T1")
    if undecided := incomplete("A2", [table]):
        return undecided
    best = int(table.validation.mean(axis=1).argmax())
    mean = summarise([run.accuracy - run.guess for run in table.runs[best]])
    low, high, cell = mean.low or 0.0, mean.high or 0.0, table.cells[best]
    number = (
        f"T1, each input sends one spike: {cell['surrogate']} at width {cell['width_fwhm']:g} lies "
        f"{interval(mean.mean, mean.low, mean.high)} points above guessing, {mean.n} seeds"
    )
    if low > 0:
        return Decided("confirmed", number)
    return Decided("refuted" if high < LEARNS_POINTS / 10 else "open", number)


def start_decides(evidence: SurrogateEvidence) -> Decided:
    """Decide L17: the lightest tail learns from a driven start and not from a quiet one, at each depth."""
    quiet, driven = quiet_and_driven(evidence)
    if open_ := incomplete("A2", (quiet, driven)):
        return open_
    depths = {"four": (quiet, driven)}
    deep = {gain: deepest(evidence, gain, TAILS[-1:]) for gain in (1, 2)}
    if all(table.complete for table in deep.values()):
        depths["six"] = (deep[1], deep[2])
    more, fewer, said = [], [], []
    for depth, tables in depths.items():
        (count_quiet, count_driven), runs = (
            [learnt(table, LEARNS_POINTS)[0] for table in tables],
            len(tables[0].seeds),
        )
        p = compare_shares(count_driven, runs, count_quiet, runs).p
        more.append(p if count_driven > count_quiet else 1.0)
        fewer.append(p if count_driven < count_quiet else 1.0)
        said.append(f"{depth} layers: {few(count_driven, runs)} against {few(count_quiet, runs)}")
    if len(depths) == 1:
        said.append(missing(evidence, "B1").number)
    return decided(
        max(more),
        float(holm(np.array(fewer)).min()),
        evidence.rules.level,
        f"runs of the lightest tail at width 1 that learn, driven against quiet; {'; '.join(said)}; 100 layers "
        "are not run",
    )
