"""Small sweeps that are filled with made-up records."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import pytest

from sgbench.composition.plan import plan
from sgbench.records.spec import RunSpec
from tests.leaderboard import factory

Capture = pytest.CaptureFixture[str]
TUNING = ["surrogate=atan,triangle", "optimizer.lr=0.01,0.002", "width_fwhm=0.5,1,2", "seed=0,1"]
SLOPES = ["surrogate=atan,triangle", "width_fwhm=0.5,1,2", "seed=0,1,2"]
SHAPES = ["surrogate=atan,triangle,zero", "seed=0,1,2"]


@functools.cache
def planned_points(name: str, *words: str) -> tuple[RunSpec, ...]:
    """The runs of a sweep, planned once."""
    return plan([f"sweep={name}", *words], multirun=True).specs


def fill(name: str, words: list[str], root: Path, accuracies: Sequence[float | None]) -> list[RunSpec]:
    """Give the runs of a sweep, in its order, made-up records; those beyond the list stay missing."""
    specs = planned_points(name, *words)
    for spec, accuracy in zip(specs, accuracies, strict=False):
        factory.write_run(root, factory.record(of=spec.method, seed=spec.seed, accuracy=accuracy))
    return list(specs)


def reached(percent: float, samples: int = 359) -> float:
    """The nearest accuracy that whole samples of the validation set give."""
    return round(percent / 100 * samples) / samples
