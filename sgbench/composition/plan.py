"""Composes and checks all points of a command, a run or a sweep, before anything runs."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import IntervalSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sgbench.composition.catalogue import CatalogueReader
from sgbench.composition.compose import compose, raw_config
from sgbench.composition.hydra_internals import points_of, set_values
from sgbench.composition.hydra_node import has_unknown_points
from sgbench.composition.overrides import Overrides, Words, one_line
from sgbench.composition.points import combine_points, extra_points
from sgbench.composition.tree import spec_from_config
from sgbench.errors import InputError
from sgbench.paths import conf_dir, with_own
from sgbench.records.spec import RunSpec

MOST_POINTS = 1_000_000
REPLICAS_LAUNCHER = "hydra_plugins.sgbench_replicas.launcher.ReplicasLauncher"


@dataclass(frozen=True)
class RunPlan:
    """Lists what a command will run: one run, or the points of a sweep."""

    specs: tuple[RunSpec, ...]  # one checked spec for each point; if `is_open`, an example with each key's first value
    is_sweep: bool  # whether Hydra launches points, be it a single one; otherwise the command is one run
    config_dirs: tuple[Path, ...]  # folders with entries of the user's own
    points: tuple[Overrides, ...] = ()  # of a sweep, the overrides of each point as Hydra passes them to its job
    config: DictConfig | None = None  # of a single run, Hydra's merged tree with its `hydra` node
    is_open: bool = False  # whether a sweeper of another package chooses the points while the sweep runs
    fixed_keys: frozenset[str] = frozenset()  # of such a sweep, the keys that have one value

    def spec_at(self, index: int, job: Words) -> RunSpec | None:
        """Return the spec of a job of Hydra, by its index and its overrides; None if it is no point of the plan."""
        if index >= len(self.points) or self.points[index].texts != Overrides.of(job).without_hydra.texts:
            return None
        return self.specs[index]


def plan(
    overrides: Words, *, multirun: bool = False, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()
) -> RunPlan:
    """Compose every point that a command will run; where another sweeper chooses the points, one example.

    >>> len(plan(["surrogate=atan,triangle", "seed=0,1"], multirun=True).specs)
    4
    """
    overrides = Overrides.of(overrides)
    config = raw_config(overrides.single, config_dirs)
    folders = tuple(config_dirs)
    if not multirun and not str(config.hydra.mode).endswith("MULTIRUN"):
        return _plan_run(overrides, config, CatalogueReader(folders, allow_targets), folders)
    if config.hydra.get("callbacks") and config.hydra.launcher.get("_target_") == REPLICAS_LAUNCHER:
        raise InputError("hydra.callbacks: replicas train together and are no jobs; use hydra/launcher=basic or joblib")
    composer = PointComposer(folders, allow_targets)
    if has_unknown_points(config.hydra):
        return _plan_open_sweep(_with_sweep_parameters(overrides, config), config, composer)
    points = _list_points(overrides, config)
    return RunPlan(
        specs=tuple(map(composer.spec, points)),
        is_sweep=True,
        config_dirs=folders,
        points=tuple(point.without_hydra for point in points),
    )


def sweep_points(overrides: Overrides, config_dirs: Sequence[Path] = ()) -> list[Overrides]:
    """List the overrides of each point of a sweep, without composing the points."""
    return _list_points(overrides, raw_config(overrides.single, config_dirs))


def _plan_run(
    overrides: Overrides, config: DictConfig, reader: CatalogueReader, config_dirs: tuple[Path, ...]
) -> RunPlan:
    """Plan a single run from its merged tree, which stays as it is; an InputError if a key has several values."""
    for override in overrides.swept:
        remedy = "several values need a sweep; add -m"
        if override.key_or_group == "logger":
            remedy = f"several loggers at once are logger=[{override.get_value_string()}]"
        raise InputError(f"{override.input_line}: {remedy}")
    copied = pickle.loads(pickle.dumps(config))  # noqa: S301 - ours, and twice to five times as fast as deepcopy
    spec = spec_from_config(copied, reader)
    return RunPlan((spec,), is_sweep=False, config_dirs=config_dirs, config=config)


def _with_sweep_parameters(overrides: Overrides, config: DictConfig) -> Overrides:
    """Return the overrides behind those that a sweep's file lists as its parameters, so that typed ones win."""
    parameters: Any = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {}
    return Overrides.of(f"{key}={value}" for key, value in parameters.items()).plus(overrides)


def _plan_open_sweep(overrides: Overrides, config: DictConfig, composer: PointComposer) -> RunPlan:
    """Plan a sweep whose sweeper chooses points while it runs; one example is composed and checked.

    The launcher `replicas`, which needs known points, is refused.
    """
    if config.hydra.launcher.get("_target_") == REPLICAS_LAUNCHER:
        raise InputError(
            f"hydra/launcher=replicas: runs points that are known beforehand, but {config.hydra.sweeper._target_} "
            f"chooses them as it goes; use hydra/launcher=basic or joblib"
        )
    return RunPlan(
        (composer.spec(overrides.first_values()),),
        is_sweep=True,
        config_dirs=composer.config_dirs,
        is_open=True,
        fixed_keys=frozenset(override.key_or_group for override in overrides.single.parsed),
    )


def _list_points(typed: Overrides, config: DictConfig) -> list[Overrides]:
    """List the overrides of each point: the grid of all values, combined with the points that a sweep's file lists."""
    overrides = _with_sweep_parameters(typed, config)
    for override in overrides.swept:
        if isinstance(override.value(), IntervalSweep):
            raise InputError(
                f"{override.input_line}: an interval needs a sweeper that searches it, e.g. hydra/sweeper=optuna"
            )
    count = overrides.count_points()
    if count > MOST_POINTS:
        raise InputError(f"{count} points are too many for one sweep, which has at most {MOST_POINTS}; split it")
    if count == 0:
        empty = next(override.input_line for override in overrides.swept if not Overrides((override,)).count_points())
        raise InputError(f"{empty}: has no values; write e.g. range(0,10,2), whose end is above its start")
    try:
        grid = points_of(overrides)
    except HydraException as error:
        raise InputError(one_line(error)) from error
    return list(map(Overrides.of, combine_points(grid, extra_points(config.hydra.sweeper.get("points")))))


class PointComposer:
    """Composes each point of a sweep to the spec that `compose` returns for it, at a tenth of the cost.

    Hydra takes 0.1 s to merge the files of one point. Here points with equal choices share one merged tree, and
    Hydra's own function sets the other values on a copy of it. A point for which this fails is composed by
    `compose`, so that its error does not depend on other points. Arguments are those of `compose`.
    """

    def __init__(self, config_dirs: Sequence[Path], allow_targets: Sequence[str]) -> None:
        self.config_dirs, self._allow_targets = tuple(config_dirs), allow_targets
        self._catalogue = CatalogueReader(config_dirs, allow_targets)
        # Names that Hydra may take for groups; one too many costs time but changes no result.
        children = (child.name for folder in [conf_dir(), *with_own(config_dirs)] for child in folder.iterdir())
        self._groups = {*children, *ConfigStore.instance().repo}
        self._merged: dict[tuple[str, ...], bytes] = {}

    def spec(self, point: Words) -> RunSpec:
        """Compose the overrides of one point, with the result and the errors of `compose`."""
        overrides = Overrides.of(point)
        try:
            choices, values = overrides.marked.split_choices(self._groups)
            config = self._merge(choices)
            set_values(config, values)
            return spec_from_config(config, self._catalogue)
        except (HydraException, OmegaConfBaseException, ValueError):
            return compose(overrides, config_dirs=self.config_dirs, allow_targets=self._allow_targets)

    def _merge(self, choices: Overrides) -> DictConfig:
        """Return a new tree of the files that overrides choose, from a cache of pickles."""
        key = tuple(choices.texts)
        if key not in self._merged:
            self._merged[key] = pickle.dumps(raw_config(choices, self.config_dirs))
        return pickle.loads(self._merged[key])  # noqa: S301 - written by the line above
