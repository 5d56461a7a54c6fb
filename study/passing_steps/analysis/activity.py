"""A cost of activity: is it free? What the registered rule says of its block, and of the first study's seeds.

Free means on each of three tasks: accuracy falls by less than a point, and at most half the spikes are left. The
energy that is left is an estimate beside it, a target each.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

from sgbench.energy.price import chosen_targets, price
from sgbench.records.energy import EnergyTarget
from sgbench.study_runner.definition import Study
from sgbench.study_runner.scores import log_spikes_of
from sgbench.study_runner.store import Store, StoreEntry
from study.passing_steps.analysis.cells import FIXED, PURPOSE, cell
from study.passing_steps.analysis.evidence import FIRST, points_of_run
from study.passing_steps.analysis.words import points
from study.reporting.pages.text import interval, table
from study.reporting.verdicts import limits

COSTLY = "A"
"""Block of the second study with a cost of activity: amendment 3 of its registration."""
MARGIN, SHARE = -1.0, 0.5
"""Points that may be lost, and spikes that may be left."""
LEVEL = 0.05
"""One-sided, of each limit; each of three tasks has to pass, so that the level of all of them is no larger."""
BLOCK, SHAPE, WIDTH, STRENGTH = "C2", "atan", 0.2, 0.1
"""Block of the first study, and which of its cells raised the question."""
KEY = "regulariser.upper_strength"
TARGETS = ("horowitz_45nm", "loihi1", "odin")


@dataclass(frozen=True)
class ActivityPairs:
    """Holds runs with a cost of activity beside those without, by seed."""

    points: Sequence[float]  # accuracy with it minus without
    log_spikes: Sequence[float]  # natural logarithm of the ratio of spikes; none where a run has no spikes
    log_energy: Mapping[str, Sequence[float]]  # the same of energy, by target; none where a target has no price
    crossing: int = 0  # how many pairs have runs of two versions of the engine


def verdict_of(tasks: Mapping[str, ActivityPairs]) -> Literal["confirmed", "refuted", "open"]:
    """Decide whether a cost of activity is free: confirmed on every task, refuted by any of them.

    To refute, the level is shared among the tasks and the two limits of each. Without tasks it is open, and where
    the ratio of spikes of a run is not known, as the registration says.
    """
    if not tasks or not all(pairs.log_spikes for pairs in tasks.values()):
        return "open"
    level = refuting_level(len(tasks))
    if any(
        limits(pairs.log_spikes, level)[0] > math.log(SHARE) or limits(pairs.points, level)[1] < MARGIN
        for pairs in tasks.values()
    ):
        return "refuted"
    passed = all(
        limits(pairs.log_spikes, LEVEL)[1] < math.log(SHARE) and limits(pairs.points, LEVEL)[0] > MARGIN
        for pairs in tasks.values()
    )
    return "confirmed" if passed else "open"


def refuting_level(tasks: int) -> float:
    """Return the level of one limit that refutes, of two a task."""
    return LEVEL / (2 * tasks)


def stored_pairs(root: Path) -> dict[str, ActivityPairs]:
    """Pair the first study's runs with and without a cost of activity, by task and seed."""
    runs_by_strength: dict[str, dict[float, dict[int, StoreEntry]]] = {}  # of each task
    for entry in Store(root / "study" / FIRST, FIRST).entries([BLOCK]):
        strength = entry.cell.get(KEY)
        setting = (entry.cell.get("surrogate"), entry.cell.get("width_fwhm"))
        if setting == (SHAPE, WIDTH) and isinstance(strength, int | float) and strength in (0, STRENGTH):
            by_seed = runs_by_strength.setdefault(entry.task, {}).setdefault(float(strength), {})
            by_seed[entry.record.seed] = entry
    targets = chosen_targets(TARGETS)
    return {
        task: _pairs(runs[STRENGTH], runs[0.0], targets) for task, runs in runs_by_strength.items() if len(runs) > 1
    }


def second_pairs(study: Study, entries: Iterable[StoreEntry]) -> dict[str, ActivityPairs]:
    """Pair the second study's runs with a cost of activity with those without; none where one is missing."""
    if COSTLY not in study.blocks:
        return {}
    block, plain = study.blocks[COSTLY], cell(*FIXED, "attached")
    costly: dict[str, dict[int, StoreEntry]] = {task: {} for task in block.tasks}
    without: dict[str, dict[int, StoreEntry]] = {task: {} for task in block.tasks}
    for entry in entries:
        runs = costly if entry.block == COSTLY else without if dict(entry.cell) == plain else None
        if runs is not None and entry.task in runs and study.blocks[entry.block].purpose == PURPOSE:
            runs[entry.task][entry.record.seed] = entry
    needed = set(block.seeds.values)
    if any(needed - costly[task].keys() or needed - without[task].keys() for task in block.tasks):
        return {}
    targets = chosen_targets(TARGETS)
    return {task: _pairs(costly[task], without[task], targets) for task in block.tasks}


def _pairs(
    costly: Mapping[int, StoreEntry], plain: Mapping[int, StoreEntry], targets: Mapping[str, EnergyTarget]
) -> ActivityPairs:
    """Pair runs with a cost of activity, by seed, with those without; targets without a price of all are left out."""
    seeds = sorted(costly.keys() & plain.keys())
    pairs = [(costly[seed], plain[seed]) for seed in seeds]
    log_energy = {}
    for name, target in targets.items():
        differences = _differences(
            [(_log_energy(with_cost, target), _log_energy(free, target)) for with_cost, free in pairs]
        )
        if differences:
            log_energy[name] = differences
    return ActivityPairs(
        [points_of_run(with_cost.record).test - points_of_run(free.record).test for with_cost, free in pairs],
        _differences([(log_spikes_of(with_cost.record), log_spikes_of(free.record)) for with_cost, free in pairs]),
        log_energy,
        sum(_engine(with_cost) != _engine(free) for with_cost, free in pairs),
    )


def _engine(entry: StoreEntry) -> str | None:
    return entry.record.provenance.versions.get("engine")


def _differences(pairs: Sequence[tuple[float | None, float | None]]) -> list[float]:
    """Subtract the second of each pair from the first; empty if any of them is unknown."""
    known = [(first, second) for first, second in pairs if first is not None and second is not None]
    return [first - second for first, second in known] if len(known) == len(pairs) else []


def _log_energy(entry: StoreEntry, target: EnergyTarget) -> float | None:
    """Return the logarithm of a run's dynamic energy; None if it was not counted or is 0."""
    counts, dt_s = entry.record.counts, entry.record.method.protocol.dt_s
    if counts is None or dt_s is None:
        return None
    energy_nj = price(counts, target=target, dt_s=dt_s).dynamic_nj
    return None if energy_nj is None or energy_nj.value <= 0 else math.log(energy_nj.value)


def verdict_text(study: Study, entries: Iterable[StoreEntry]) -> list[str]:
    """Write what the registered test of a cost of activity came to, or that its runs are missing."""
    tasks = second_pairs(study, entries)
    shape, width = FIXED
    question = (
        f"A third question is whether a cost of activity of strength {STRENGTH:g} is free, for `{shape}` at "
        f"{width:g} with the reset attached. It is free if on each task accuracy falls by less than "
        f"{-MARGIN:g} point and at most half the spikes are left, by one-sided limits of "
        f"{100 * (1 - LEVEL):g} %. The energy is an estimate."
    )
    if not tasks:
        return [question, f"Not decided yet: runs of block {COSTLY} are missing."]
    level = refuting_level(len(tasks))
    highest = "; ".join(
        f"{points(limits(pairs.points, level)[1])}, {study.tasks[task].title}" for task, pairs in tasks.items()
    )
    crossing = sum(pairs.crossing for pairs in tasks.values())
    count = sum(len(pairs.points) for pairs in tasks.values())
    return [
        question,
        "It is refuted if on any task accuracy falls by more than that, or more spikes are left, by one-sided "
        f"limits of {100 * (1 - level):.1f} %. The upper ones of these limits of the change of accuracy are, in "
        f"points: {highest}.",
        f"The claim is {verdict_of(tasks)}. In {crossing} of {count} pairs the two runs are of two versions of the "
        "engine.",
        _table(tasks, study),
    ]


def text(root: Path, study: Study) -> list[str]:
    """Write what the rule would say of the first study's seeds, which raised the question."""
    tasks = stored_pairs(root)
    return [
        "Whether a cost of activity is free is [tested on other tasks](README.md#a-cost-of-activity). By the same "
        f"rule the first study's stored seeds, `{SHAPE}` at {WIDTH:g} with a cost of strength {STRENGTH:g} against "
        f"none, would come to: {verdict_of(tasks)}. They raised the question, so that this is no test.",
        _table(tasks, study),
    ]


def _table(tasks: Mapping[str, ActivityPairs], study: Study) -> str:
    """Write a row for each task: the change of accuracy, and the shares of spikes and energy that are left."""
    rows = []
    for task, pairs in tasks.items():
        energy = [f"{math.exp(fmean(logs)):.2f} ({name})" for name, logs in pairs.log_energy.items()]
        spikes = "not known"
        if pairs.log_spikes:
            low, high = limits(pairs.log_spikes, LEVEL)
            spikes = interval(math.exp(fmean(pairs.log_spikes)), math.exp(low), math.exp(high), 2)
        points = interval(fmean(pairs.points), *limits(pairs.points, LEVEL))
        rows.append([study.tasks[task].title, len(pairs.points), points, spikes, ", ".join(energy) or "no price"])
    header = ["task", "seeds", "points, with minus without", "spikes left, share", "energy left, share"]
    return table(header, rows)
