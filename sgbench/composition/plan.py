"""Composes and checks all points of a command, a run or a sweep, before anything runs."""

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
from sgbench.composition.compose import compose, raw_config, spec_from_config_in_place
from sgbench.composition.hydra_internals import mark_added_keys, points_of, set_values
from sgbench.composition.hydra_node import has_unknown_points
from sgbench.composition.points import combine_points, extra_points
from sgbench.composition.words import count_values, one_line, parse_overrides
from sgbench.errors import InputError
from sgbench.paths import conf_dir, with_own
from sgbench.records.spec import RunSpec

MOST_POINTS = 1_000_000
REPLICAS_LAUNCHER = "hydra_plugins.sgbench_replicas.launcher.ReplicasLauncher"


@dataclass(frozen=True)
class RunPlan:
    """Lists what a command will run: one run, or the points of a sweep.

    Args:
        specs: one checked spec for each point; if `is_open`, one example with the first value of each key.
        is_sweep: whether Hydra launches points, be it a single one; otherwise the command is one run.
        config_dirs: folders with entries of the user's own.
        points: of a sweep, the overrides of each point as Hydra passes them to its job.
        config: of a single run, Hydra's merged tree with its `hydra` node.
        is_open: whether a sweeper of another package chooses the points while the sweep runs.
        fixed_keys: of such a sweep, the keys that have one value.
    """

    specs: tuple[RunSpec, ...]
    is_sweep: bool
    config_dirs: tuple[Path, ...]
    points: tuple[tuple[str, ...], ...] = ()
    config: DictConfig | None = None
    is_open: bool = False
    fixed_keys: frozenset[str] = frozenset()

    def spec_at(self, index: int, overrides: Sequence[str]) -> RunSpec | None:
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
    """Compose every point that a command will run; where another sweeper chooses the points, one example.

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
            raise InputError(_explain_several_values(swept[0]))
        copied = pickle.loads(pickle.dumps(config))  # noqa: S301 - ours, and twice to five times as fast as deepcopy
        spec = spec_from_config_in_place(copied, CatalogueReader(folders, allow_targets))
        return RunPlan((spec,), is_sweep=False, config_dirs=folders, config=config)
    composer = PointComposer(folders, allow_targets)
    if config.hydra.get("callbacks") and str(config.hydra.launcher.get("_target_")) == REPLICAS_LAUNCHER:
        raise InputError("hydra.callbacks: replicas train together and are no jobs; use hydra/launcher=basic or joblib")
    if has_unknown_points(config.hydra):
        return _plan_with_unknown_points(_prepend_sweep_parameters(parsed, config), config, composer)
    points = _list_points(parsed, config)
    return RunPlan(
        specs=tuple(composer.spec(point) for point in points),
        is_sweep=True,
        config_dirs=folders,
        points=tuple(map(_without_hydra, points)),
    )


def _without_hydra(point: Sequence[str]) -> tuple[str, ...]:
    """List a point's overrides except those of `hydra`, which Hydra does not pass to a job."""
    return tuple(text for text in point if not text.lstrip("+~").startswith(("hydra.", "hydra/")))


def sweep_points(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> list[list[str]]:
    parsed = parse_overrides(overrides)
    return _list_points(parsed, _merge_single_values(parsed, config_dirs))


def _merge_single_values(overrides: Sequence[Override], config_dirs: Sequence[Path]) -> DictConfig:
    plain = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
    return raw_config(plain, config_dirs)


def _prepend_sweep_parameters(overrides: Sequence[Override], config: DictConfig) -> list[Override]:
    parameters: Any = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {}
    return [*parse_overrides([f"{key}={value}" for key, value in parameters.items()]), *overrides]


def _plan_with_unknown_points(overrides: Sequence[Override], config: DictConfig, composer: PointComposer) -> RunPlan:
    """Plan a sweep whose sweeper chooses points while it runs; one example is composed and checked.

    The launcher `replicas`, which needs known points, is refused.
    """
    if str(config.hydra.launcher.get("_target_")) == REPLICAS_LAUNCHER:
        raise InputError(
            f"hydra/launcher=replicas: runs points that are known beforehand, but {config.hydra.sweeper._target_} "
            f"chooses them as it goes; use hydra/launcher=basic or joblib"
        )
    return RunPlan(
        (composer.spec(_first_values(overrides)),),
        is_sweep=True,
        config_dirs=composer.config_dirs,
        is_open=True,
        fixed_keys=frozenset(override.key_or_group for override in overrides if not override.is_sweep_override()),
    )


def _first_values(overrides: Sequence[Override]) -> list[str]:
    point = {}
    for override in overrides:
        text, value = override.input_line or "", override.value()
        if isinstance(value, IntervalSweep):
            text = f"{override.get_key_element()}={value.start}"
        elif override.is_sweep_override():
            text = f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
        point[override.key_or_group] = text
    return list(point.values())


def _list_points(overrides: Sequence[Override], config: DictConfig) -> list[list[str]]:
    all_overrides = _prepend_sweep_parameters(overrides, config)
    interval = next(
        (override.input_line for override in all_overrides if isinstance(override.value(), IntervalSweep)), None
    )
    if interval is not None:
        raise InputError(f"{interval}: an interval needs a sweeper that searches it, e.g. hydra/sweeper=optuna")
    # A typed override of a key replaces that of the sweep's file.
    count = math.prod({override.key_or_group: count_values(override) for override in all_overrides}.values())
    if count > MOST_POINTS:
        raise InputError(f"{count} points are too many for one sweep, which has at most {MOST_POINTS}; split it")
    if count == 0:
        empty = next(override.input_line for override in all_overrides if count_values(override) == 0)
        raise InputError(f"{empty}: has no values; write e.g. range(0,10,2), whose end is above its start")
    try:
        grid = points_of(all_overrides)
    except HydraException as error:
        raise InputError(one_line(error)) from error
    return combine_points(grid, extra_points(config.hydra.sweeper.get("points")))


def _explain_several_values(override: Override) -> str:
    if override.key_or_group == "logger":
        names = (override.input_line or "").partition("=")[2]
        return f"{override.input_line}: several loggers at once are logger=[{names}]"
    return f"{override.input_line}: several values need a sweep; add -m"


class PointComposer:
    """Composes each point of a sweep to the spec that `compose` returns for it, at a tenth of the cost.

    Hydra takes 0.1 s to merge the files of one point. Here points with equal choices share one merged tree, and
    Hydra's own function sets the other values on a copy of it. A point for which this fails is composed by
    `compose`, so that its error does not depend on other points. Arguments are those of `compose`.
    """

    def __init__(self, config_dirs: Sequence[Path], allow_targets: Sequence[str]) -> None:
        self.config_dirs = tuple(config_dirs)
        self._allow_targets = allow_targets
        self._catalogue = CatalogueReader(config_dirs, allow_targets)
        self._groups = _group_names(config_dirs)
        self._merged: dict[tuple[str, ...], bytes] = {}

    def spec(self, point: Sequence[str]) -> RunSpec:
        """Compose the overrides of one point, with the result and the errors of `compose`."""
        try:
            choices, values = self._split(mark_added_keys(point))
            config = self._merge(choices)
            set_values(config, values)
            return spec_from_config_in_place(config, self._catalogue)
        except (HydraException, OmegaConfBaseException, ValueError):
            return compose(point, config_dirs=self.config_dirs, allow_targets=self._allow_targets)

    def _split(self, point: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
        """Split a point into the overrides that choose files to merge and those that set values afterwards."""
        overrides = parse_overrides(point)
        # Groups in other folders may have any name, so then every override may be a choice.
        has_searchpath = any(override.key_or_group == "hydra.searchpath" for override in overrides)
        is_choice = [has_searchpath or _is_choice(override, self._groups) for override in overrides]
        choices = tuple(text for text, chosen in zip(point, is_choice, strict=True) if chosen)
        return choices, [override for override, chosen in zip(overrides, is_choice, strict=True) if not chosen]

    def _merge(self, choices: tuple[str, ...]) -> DictConfig:
        """Return a new tree of the files that overrides choose, from a cache of pickles."""
        if choices not in self._merged:
            self._merged[choices] = pickle.dumps(raw_config(choices, self.config_dirs))
        return pickle.loads(self._merged[choices])  # noqa: S301 - written by the line above


def _group_names(config_dirs: Sequence[Path]) -> set[str]:
    """Collect the names that Hydra may take for groups; a name too many costs time but changes no result."""
    children = (child.name for folder in [conf_dir(), *with_own(config_dirs)] for child in folder.iterdir())
    return {*children, *ConfigStore.instance().repo}


def _is_choice(override: Override, groups: set[str]) -> bool:
    key = override.key_or_group
    if key.split(".")[0] == "hydra":
        return True
    return ("/" in key or key in groups) and not isinstance(override.value(), dict)
