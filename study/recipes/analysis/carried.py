"""Widths that the other seeds choose, what they lose under another way to train, and the registered tests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sgbench.study_runner.store import StoreEntry
from study.reporting.verdicts import HypothesisResult, p_below

PLAIN = "Adam at a constant rate"
WAYS: Mapping[str, tuple[str, str]] = {
    PLAIN: ("adam", "constant"),
    "Adam with a cosine": ("adam", "cosine"),
    "SAM at a constant rate": ("sam", "constant"),
}
"""Ways to train: optimiser and schedule of each."""
OTHERS = tuple(WAYS)[1:]
MARGIN = 3.0
"""Points that a width may lose and still counts as carried over."""
FEWEST = 2
"""Seeds from which a width can be chosen by the others."""
PLANNED = 8
"""Seeds with which the registered tests are made."""
Accuracies = Mapping[str, Mapping[float, Mapping[int, tuple[float, float]]]]
"""By way, width and seed: accuracy on validation and on test [points]."""


@dataclass(frozen=True)
class WidthLoss:
    """Holds what a task loses under one way to train by keeping the width of the plain one."""

    task: str
    way: str
    points: tuple[float, ...]  # of each seed, in their order
    kept: tuple[float, ...]  # width of the plain way that the other seeds choose
    own: tuple[float, ...]  # width of this way that the other seeds choose

    @property
    def mean(self) -> float:
        return float(np.mean(self.points))


def accuracies(entries: Iterable[StoreEntry]) -> dict[str, Accuracies]:
    """Collect both accuracies of all runs by task; a run that failed counts as guessing."""
    found: dict[str, dict[str, dict[float, dict[int, tuple[float, float]]]]] = {}
    for entry in entries:
        cell, record = entry.cell, entry.record
        way = next(name for name, choice in WAYS.items() if choice == (cell["optimizer"], cell["schedule"]))
        guess = 1 / (record.classes or 1)
        pair = [guess if scores is None else scores.accuracy for scores in (record.validation, record.test)]
        width = float(str(cell["width_fwhm"]))
        by_seed = found.setdefault(entry.task, {}).setdefault(way, {}).setdefault(width, {})
        by_seed[record.seed] = 100 * pair[0], 100 * pair[1]  # type: ignore[operator]
    return {task: {way: dict(sorted(ways[way].items())) for way in ways} for task, ways in found.items()}


def whole_seeds(runs: Accuracies, widths: int) -> list[int]:
    """List the seeds with a run of every way at every width; none where a way has fewer than `widths` widths."""
    if set(runs) != set(WAYS) or any(len(by_width) < widths for by_width in runs.values()):
        return []
    return sorted(set.intersection(*(set(seeds) for by_width in runs.values() for seeds in by_width.values())))


def chosen(by_width: Mapping[float, Mapping[int, tuple[float, float]]], seeds: Sequence[int]) -> float:
    """Choose the width with the best mean validation accuracy over these seeds, of equal ones the smallest.

    >>> chosen({0.1: {1: (60.0, 0.0), 2: (80.0, 0.0)}, 0.2: {1: (70.0, 0.0), 2: (70.0, 0.0)}}, [1, 2])
    0.1
    """
    return max(sorted(by_width), key=lambda width: round(math.fsum(by_width[width][seed][0] for seed in seeds), 9))


def loss(task: str, runs: Accuracies, way: str, seeds: Sequence[int]) -> WidthLoss:
    """Compute each seed's loss: test accuracy at the way's own width minus that at the plain way's.

    Both widths are chosen by the other seeds, so that no seed takes part in its own choice.
    """
    points, kept, own = [], [], []
    for seed in seeds:
        others = [other for other in seeds if other != seed]
        kept.append(chosen(runs[PLAIN], others))
        own.append(chosen(runs[way], others))
        points.append(runs[way][own[-1]][seed][1] - runs[way][kept[-1]][seed][1])
    return WidthLoss(task, way, tuple(points), tuple(kept), tuple(own))


def claim(way: str, losses: Sequence[WidthLoss], tasks: int) -> HypothesisResult:
    """Test whether widths carry over to a way to train, on all tasks and all seeds; open before all are stored."""
    seeds = min((len(one.points) for one in losses), default=0)
    result = HypothesisResult(
        name=way,
        claim=f"the width that is best for {PLAIN} costs less than {MARGIN:g} points for {way}",
        cells="five widths, four tasks",
        seeds=f"{seeds} of {PLANNED}",
    )
    if len(losses) < tasks or seeds < PLANNED:
        return result
    below = [p_below(one.points, MARGIN) for one in losses]
    return replace(
        result,
        seeds=str(seeds),
        p_confirmed=max(below),
        p_refuted=min(1.0, len(below) * min(1 - p for p in below)),
        level_factor=2.0,  # a claim can be wrong in two directions, each at half the level
    )
