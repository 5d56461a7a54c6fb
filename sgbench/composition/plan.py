"""All points of a command, composed and checked before anything runs."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sgbench.composition.catalogue import CatalogueReader
from sgbench.composition.compose import compose, raw_config, spec_from_own
from sgbench.composition.hydra_internals import points_of, set_values
from sgbench.composition.hydra_node import chooses_as_it_goes
from sgbench.composition.points import extra_points, joined
from sgbench.composition.words import count_values, one_line, parse_overrides, with_left_out
from sgbench.errors import InputError
from sgbench.paths import conf_dir, with_own
from sgbench.records.spec import RunSpec

MOST_POINTS = 1_000_000
REPLICAS = "hydra_plugins.sgbench_replicas.launcher.ReplicasLauncher"


@dataclass(frozen=True)
class RunPlan:
    """Lists what a command will run.

    Args:
        specs: one for each point, checked.
        is_sweep: whether there are points to launch, be it a single one, or just a run.
        config_dirs: folders with entries of the user's own.
        points: of a sweep, the overrides by which Hydra calls each point.
        config: of a single run, Hydra's merged tree with its `hydra` node.
        is_open: whether a sweeper of somebody else chooses the points as it goes; the one spec here has the first
            value of each key.
        settled: of such a sweep, the keys that have one value.
    """

    specs: tuple[RunSpec, ...]
    is_sweep: bool
    config_dirs: tuple[Path, ...]
    points: tuple[tuple[str, ...], ...] = ()
    config: DictConfig | None = None
    is_open: bool = False
    settled: frozenset[str] = frozenset()

    def spec_at(self, index: int, overrides: Sequence[str]) -> RunSpec | None:
        """Look up the spec of a point of a sweep; None where the point of this index has other overrides.

        Args:
            index: of the job, from 0 on.
            overrides: those by which Hydra calls the job.
        """
        if index >= len(self.points) or self.points[index] != _without_hydra(overrides):
            return None
        return self.specs[index]


def plan(
    overrides: Sequence[str],
    *,
    multirun: bool = False,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> RunPlan:
    """Compose every point that Hydra's basic sweeper would launch, or one example where another sweeper will.

    Args:
        overrides: such as "surrogate=atan"; lists of values (a=1,2) are swept if `multirun` or a file says so.
        multirun: whether `-m` was given.
        config_dirs: see `compose`.
        allow_targets: see `compose`.

    Raises:
        InputError: the first point that is not usable; one line.

    >>> len(plan(["surrogate=atan,triangle", "seed=0,1"], multirun=True).specs)
    4
    """
    parsed = parse_overrides(overrides)
    swept = [override for override in parsed if override.is_sweep_override()]
    config = _merge_single_values(parsed, config_dirs)
    multirun = multirun or str(config.hydra.mode).endswith("MULTIRUN")
    folders = tuple(config_dirs)
    if not multirun:
        if swept:
            raise InputError(_not_a_sweep(swept[0]))
        spec = spec_from_own(_copy(config), CatalogueReader(folders, allow_targets))
        return RunPlan((spec,), is_sweep=False, config_dirs=folders, config=config)
    composer = PointComposer(folders, allow_targets)
    if chooses_as_it_goes(config.hydra):
        return _open_plan(_with_parameters(parsed, config), config, composer)
    points = _points(parsed, config)
    return RunPlan(
        specs=tuple(composer.spec(point) for point in points),
        is_sweep=True,
        config_dirs=folders,
        points=tuple(map(_without_hydra, points)),
    )


def _copy(config: DictConfig) -> DictConfig:
    """Copy a tree by way of its pickle, which is twice to five times as fast as `copy.deepcopy`."""
    return pickle.loads(pickle.dumps(config))  # noqa: S301 - written in the same line


def _without_hydra(point: Sequence[str]) -> tuple[str, ...]:
    """List a point's overrides without Hydra's own settings, which it does not count among those of a job."""
    return tuple(text for text in point if not text.lstrip("+~").startswith(("hydra.", "hydra/")))


def sweep_points(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> list[list[str]]:
    """List the overrides of every point of a sweep, those of its file included, in order.

    Raises:
        InputError: an override is not usable.
    """
    parsed = parse_overrides(overrides)
    return _points(parsed, _merge_single_values(parsed, config_dirs))


def _merge_single_values(overrides: Sequence[Override], config_dirs: Sequence[Path]) -> DictConfig:
    """Merge all overrides of one value, those that are not swept, into a tree."""
    plain = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
    return raw_config(plain, config_dirs)


def _with_parameters(overrides: Sequence[Override], config: DictConfig) -> list[Override]:
    """Insert the overrides of a sweep's file before those given."""
    parameters: Any = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {}
    return [*parse_overrides([f"{key}={value}" for key, value in parameters.items()]), *overrides]


def _open_plan(overrides: Sequence[Override], config: DictConfig, composer: PointComposer) -> RunPlan:
    """Plan a sweep whose points another sweeper chooses; one example of them is checked."""
    if str(config.hydra.launcher.get("_target_")) == REPLICAS:
        raise InputError(
            f"hydra/launcher=replicas: runs points that are known beforehand, but {config.hydra.sweeper._target_} "
            f"chooses them as it goes; use hydra/launcher=basic or joblib"
        )
    return RunPlan(
        (composer.spec(_example(overrides)),),
        is_sweep=True,
        config_dirs=composer.config_dirs,
        is_open=True,
        settled=frozenset(
            override.key_or_group for override in overrides if not override.is_sweep_override()
        ),
    )


def _example(overrides: Sequence[Override]) -> list[str]:
    """Build an example point from the first value of each override."""
    point = {}
    for override in overrides:
        text, value = override.input_line or "", override.value()
        if isinstance(value, IntervalSweep):
            text = f"{override.get_key_element()}={value.start}"
        elif override.is_sweep_override():
            text = f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
        point[override.key_or_group] = text
    return list(point.values())


def _points(overrides: Sequence[Override], config: DictConfig) -> list[list[str]]:
    every = _with_parameters(overrides, config)
    searched = next(
        (override.input_line for override in every if isinstance(override.value(), IntervalSweep)), None
    )
    if searched is not None:
        raise InputError(
            f"{searched}: an interval needs a sweeper that searches it, e.g. hydra/sweeper=optuna"
        )
    # An override of a key replaces what the sweep's file says of it.
    count = math.prod({override.key_or_group: count_values(override) for override in every}.values())
    if count > MOST_POINTS:
        raise InputError(
            f"{count} points are too many for one sweep, which has at most {MOST_POINTS}; split it"
        )
    if count == 0:
        empty = next(override.input_line for override in every if count_values(override) == 0)
        raise InputError(f"{empty}: has no values; write e.g. range(0,10,2), whose end is above its start")
    try:
        grid = points_of(every)
    except HydraException as error:
        raise InputError(one_line(error)) from error
    return joined(grid, extra_points(config.hydra.sweeper.get("points")))


def _not_a_sweep(override: Override) -> str:
    """Explain what to write instead of a list of values that is no sweep."""
    if override.key_or_group == "logger":
        names = (override.input_line or "").partition("=")[2]
        return f"{override.input_line}: several loggers at once are logger=[{names}]"
    return f"{override.input_line}: several values need a sweep; add -m"


class PointComposer:
    """Composes each point of a sweep as `compose` does it alone, at a tenth of the cost.

    Hydra takes 0.1 s to merge the files of one point. Points with equal choices share the merged tree; on a copy
    of it Hydra's own function sets the values. A point with which this fails is composed alone, so that what is
    said about it does not depend on the points around it.
    """

    def __init__(self, config_dirs: Sequence[Path], allow_targets: Sequence[str]) -> None:
        self.config_dirs = tuple(config_dirs)
        self._allow_targets = allow_targets
        self._catalogue = CatalogueReader(config_dirs, allow_targets)
        self._groups = _group_names(config_dirs)
        self._parsed: dict[str, Override] = {}
        self._merged: dict[tuple[str, ...], bytes] = {}

    def spec(self, point: Sequence[str]) -> RunSpec:
        """Compose one point as `compose(point)` does, errors included."""
        try:
            choices, values = self._split(with_left_out(point))
            config = self._merge(choices)
            set_values(config, values)
            return spec_from_own(config, self._catalogue)
        except (HydraException, OmegaConfBaseException, ValueError):
            return compose(point, config_dirs=self.config_dirs, allow_targets=self._allow_targets)

    def _split(self, point: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Split a point into the overrides that choose files to merge and those that set values afterwards."""
        for text in point:
            if text not in self._parsed:
                (self._parsed[text],) = parse_overrides([text])
        overrides = [self._parsed[text] for text in point]
        # Groups that lie elsewhere may have any name.
        elsewhere = any(override.key_or_group == "hydra.searchpath" for override in overrides)
        is_choice = [elsewhere or _is_choice(override, self._groups) for override in overrides]
        choices = tuple(text for text, chosen in zip(point, is_choice, strict=True) if chosen)
        return choices, [
            override for override, chosen in zip(overrides, is_choice, strict=True) if not chosen
        ]

    def _merge(self, choices: tuple[str, ...]) -> DictConfig:
        """Merge the files of some choices into a new tree, from a cache of pickles, the fastest copy."""
        if choices not in self._merged:
            self._merged[choices] = pickle.dumps(raw_config(choices, self.config_dirs))
        return pickle.loads(self._merged[choices])  # noqa: S301 - written by the line above


def _group_names(config_dirs: Sequence[Path]) -> set[str]:
    """Collect all names that may be a group's for Hydra; a name too many costs time alone."""
    children = (child.name for folder in [conf_dir(), *with_own(config_dirs)] for child in folder.iterdir())
    return {*children, *ConfigStore.instance().repo}


def _is_choice(override: Override, groups: set[str]) -> bool:
    """Return whether an override may decide which files are merged, or concerns Hydra itself."""
    key = override.key_or_group
    if key.split(".")[0] == "hydra":
        return True
    return ("/" in key or key in groups) and not isinstance(override.value(), dict)
