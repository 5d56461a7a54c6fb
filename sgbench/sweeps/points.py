"""Composes the combinations of a sweep: its axes, and one checked specification for each combination."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.composition import catalogue
from sgbench.composition.overrides import Overrides, Words
from sgbench.errors import InputError
from sgbench.records.calibration import is_auto

if TYPE_CHECKING:
    from sgbench.records.spec import RunSpec

WIDTHS = ("width_fwhm", "surrogate.width_fwhm")
SLOPES = ("surrogate.slope", "surrogate.alpha")
LEARNING_RATE = "optimizer.lr"
SEED = "seed"
NOT_SET = "-"
"""Value in tables for a key that this point does not set, though other points of the sweep do."""


@dataclass(frozen=True)
class Axis:
    """Describes one swept key and its values, as they are written on the command line."""

    key: str
    values: tuple[str, ...]

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """Convert the values to numbers; None if one of them is not a finite number above 0."""
        try:
            floats = tuple(map(float, self.values))
        except ValueError:
            return None
        return floats if all(0 < number < math.inf for number in floats) else None


@dataclass(frozen=True)
class SweepPoint:
    """Describes one combination of the axes' values, which is run with each of its seeds."""

    settings: dict[str, str]  # maps the key of each axis to its value, the seed left out
    seeds: tuple[int, ...]
    spec: RunSpec  # that of the first seed


@dataclass(frozen=True)
class SweepGrid:
    """Holds the axes and all combinations of a sweep."""

    name: str  # heads tables and pictures of the sweep
    axes: tuple[Axis, ...]  # keys with two or more values, the seed left out
    points: tuple[SweepPoint, ...]


def read_grid(
    name: str, overrides: Words, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> SweepGrid:
    """Compose the combinations of a shipped sweep with Hydra overrides, without running any.

    A method does not depend on the seed, so a combination is composed once for all of its seeds.

    >>> grid = read_grid("quickstart", ["surrogate=atan,triangle", "seed=0,1"])
    >>> [axis.key for axis in grid.axes], [point.seeds for point in grid.points]
    (['surrogate'], [(0, 1), (0, 1)])
    """
    catalogue.entry("sweep", name, config_dirs)
    return grid_of(
        name, Overrides.of([f"sweep={name}"]).plus(overrides), config_dirs=config_dirs, allow_targets=allow_targets
    )


def grid_of(
    title: str, overrides: Words, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> SweepGrid:
    """Compose the combinations of any swept Hydra overrides as a grid named `title`; see `read_grid`."""
    from sgbench.composition.plan import plan

    parsed = Overrides.of(overrides)
    combinations = _combinations(parsed, config_dirs)
    keys = list(dict.fromkeys(key for settings, _ in combinations for key in settings))
    values_by_key = {
        key: tuple(dict.fromkeys(settings.get(key, NOT_SET) for settings, _ in combinations)) for key in keys
    }
    axes = tuple(Axis(key, values) for key, values in values_by_key.items() if len(values) > 1)
    # A method does not depend on the seed, so each combination is planned with one seed.
    one_seed = [f"{SEED}={seeds[0]}" for _, seeds in combinations[:1] if seeds]
    planned = plan(parsed.plus(one_seed), multirun=True, config_dirs=config_dirs, allow_targets=allow_targets)
    if any(is_auto(spec.method.parameters["surrogate"]) for spec in planned.specs):
        from sgbench.training.calibration import calibrate_plan  # imports torch, which is slow

        planned = calibrate_plan(planned)
    points = tuple(
        SweepPoint(
            settings={axis.key: settings.get(axis.key, NOT_SET) for axis in axes},
            seeds=_parse_seeds(seeds) or (spec.seed,),
            spec=spec,
        )
        for (settings, seeds), spec in zip(combinations, planned.specs, strict=True)
    )
    return SweepGrid(title, axes, points)


def count_runs(entry: catalogue.Entry) -> int:
    """Return the number of runs of a shipped sweep: combinations of its swept values, for each of its listed points."""
    from sgbench.composition.points import count_points

    node: Any = entry.parameters.get("hydra") or {}
    sweeper = node.get("sweeper") or {}
    overrides = Overrides.of(f"{key}={value}" for key, value in (sweeper.get("params") or {}).items())
    return overrides.count_points() * count_points(sweeper.get("points"))


def _combinations(overrides: Overrides, config_dirs: Sequence[Path]) -> list[tuple[dict[str, str], list[str]]]:
    """List (settings, seeds) of each combination of all keys but the seed, in the order of Hydra's basic sweeper.

    `settings` maps keys to values; values and seeds are texts, as in overrides.
    """
    from sgbench.composition.plan import sweep_points

    seeds_of: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for point in sweep_points(overrides, config_dirs):
        settings = point.settings
        seed = settings.pop(SEED, None)
        seeds = seeds_of.setdefault(tuple(settings.items()), [])
        if seed is not None:
            seeds.append(seed)
    return [(dict(pairs), seeds) for pairs, seeds in seeds_of.items()]


def _parse_seeds(seeds: Sequence[str]) -> tuple[int, ...]:
    """Convert seeds as they are typed to numbers, each once."""
    for seed in seeds:
        if not seed.isdecimal():
            raise InputError(f"{SEED}={seed}: whole numbers of at least 0 are needed")
    return tuple(dict.fromkeys(map(int, seeds)))
