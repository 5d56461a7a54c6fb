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
    part = part_of(len(tasks))
    if any(
        limits(pairs.log_spikes, part)[0] > math.log(SHARE) or limits(pairs.points, part)[1] < MARGIN
        for pairs in tasks.values()
    ):
        return "refuted"
    passed = all(
        limits(pairs.log_spikes, LEVEL)[1] < math.log(SHARE) and limits(pairs.points, LEVEL)[0] > MARGIN
        for pairs in tasks.values()
    )
    return "confirmed" if passed else "open"


def part_of(tasks: int) -> float:
    """Return the level of one limit that refutes, of two a task."""
    return LEVEL / (2 * tasks)


def stored_pairs(root: Path) -> dict[str, ActivityPairs]:
    found: dict[str, dict[float, dict[int, StoreEntry]]] = {}
    for entry in Store(root / "study" / FIRST, FIRST).entries([BLOCK]):
        strength = entry.cell.get(KEY)
        place = (entry.cell.get("surrogate"), entry.cell.get("width_fwhm"))
        if place == (SHAPE, WIDTH) and isinstance(strength, int | float) and strength in (0, STRENGTH):
            by_seed = found.setdefault(entry.task, {}).setdefault(float(strength), {})
            by_seed[entry.record.seed] = entry
    targets = chosen_targets(TARGETS)
    return {task: _pairs(runs[STRENGTH], runs[0.0], targets) for task, runs in found.items() if len(runs) > 1}


def second_pairs(study: Study, entries: Iterable[StoreEntry]) -> dict[str, ActivityPairs]:
    """Pair the second study's runs with a cost of activity with those without; none where one is missing."""
    if COSTLY not in study.blocks:
        return {}
    block, plain = study.blocks[COSTLY], cell(*FIXED, "attached")
    costly: dict[str, dict[int, StoreEntry]] = {task: {} for task in block.tasks}
    without: dict[str, dict[int, StoreEntry]] = {task: {} for task in block.tasks}
    for entry in entries:
        of = costly if entry.block == COSTLY else without if dict(entry.cell) == plain else None
        if of is not None and entry.task in of and study.blocks[entry.block].purpose == PURPOSE:
            of[entry.task][entry.record.seed] = entry
    needed = set(block.seeds.values)
    if any(needed - costly[task].keys() or needed - without[task].keys() for task in block.tasks):
        return {}
    targets = chosen_targets(TARGETS)
    return {task: _pairs(costly[task], without[task], targets) for task in block.tasks}


def _pairs(
    costly: Mapping[int, StoreEntry], plain: Mapping[int, StoreEntry], targets: Mapping[str, EnergyTarget]
) -> ActivityPairs:
    seeds = sorted(costly.keys() & plain.keys())
    both = [(costly[seed], plain[seed]) for seed in seeds]
    spikes = [tuple(log_spikes_of(one.record) for one in pair) for pair in both]
    energies = {
        name: [tuple(_log_energy(one, target) for one in pair) for pair in both] for name, target in targets.items()
    }
    return ActivityPairs(
        [points_of_run(one.record).test - points_of_run(other.record).test for one, other in both],
        _differences(spikes),
        {name: found for name, logs in energies.items() if (found := _differences(logs))},
        sum(_engine(one) != _engine(other) for one, other in both),
    )


def _engine(entry: StoreEntry) -> str | None:
    return entry.record.provenance.versions.get("engine")


def _differences(logs: Sequence[tuple[float | None, ...]]) -> list[float]:
    """Subtract logarithms by seed; nothing where one is not known."""
    known = [(one, other) for one, other in logs if one is not None and other is not None]
    return [one - other for one, other in known] if len(known) == len(logs) else []


def _log_energy(entry: StoreEntry, target: EnergyTarget) -> float | None:
    counts, dt_s = entry.record.counts, entry.record.method.protocol.dt_s
    if counts is None or dt_s is None:
        return None
    found = price(counts, target=target, dt_s=dt_s).dynamic_nj
    return None if found is None or found.value <= 0 else math.log(found.value)


def verdict_text(study: Study, entries: Iterable[StoreEntry]) -> list[str]:
    """Write what the registered test of a cost of activity came to, or that its runs are missing."""
    known = second_pairs(study, entries)
    shape, width = FIXED
    asked = (
        f"A third question is whether a cost of activity of strength {STRENGTH:g} is free, for `{shape}` at "
        f"{width:g} with the reset attached. It is free if on each task accuracy falls by less than "
        f"{-MARGIN:g} point and at most half the spikes are left, by one-sided limits of "
        f"{100 * (1 - LEVEL):g} %. The energy is an estimate."
    )
    if not known:
        return [asked, f"Not decided yet: runs of block {COSTLY} are missing."]
    part = part_of(len(known))
    highest = "; ".join(
        f"{points(limits(one.points, part)[1])}, {study.tasks[task].title}" for task, one in known.items()
    )
    crossing, pairs = (sum(one.crossing for one in known.values()), sum(len(one.points) for one in known.values()))
    return [
        asked,
        "It is refuted if on any task accuracy falls by more than that, or more spikes are left, by one-sided "
        f"limits of {100 * (1 - part):.1f} %. The upper ones of these limits of the change of accuracy are, in "
        f"points: {highest}.",
        f"The claim is {verdict_of(known)}. In {crossing} of {pairs} pairs the two runs are of two versions of the "
        "engine.",
        _table(known, study),
    ]


def text(root: Path, study: Study) -> list[str]:
    known = stored_pairs(root)
    return [
        "Whether a cost of activity is free is [tested on other tasks](README.md#a-cost-of-activity). By the same "
        f"rule the first study's stored seeds, `{SHAPE}` at {WIDTH:g} with a cost of strength {STRENGTH:g} against "
        f"none, would come to: {verdict_of(known)}. They raised the question, so that this is no test.",
        _table(known, study),
    ]


def _table(known: Mapping[str, ActivityPairs], study: Study) -> str:
    rows = []
    for task, pairs in known.items():
        energy = [f"{math.exp(fmean(logs)):.2f} ({name})" for name, logs in pairs.log_energy.items()]
        left = "not known"
        if pairs.log_spikes:
            low, high = limits(pairs.log_spikes, LEVEL)
            left = interval(math.exp(fmean(pairs.log_spikes)), math.exp(low), math.exp(high), 2)
        points = interval(fmean(pairs.points), *limits(pairs.points, LEVEL))
        told = ", ".join(energy) or "no price"
        rows.append([study.tasks[task].title, len(pairs.points), points, left, told])
    header = ["task", "seeds", "points, with minus without", "spikes left, share", "energy left, share"]
    return table(header, rows)
