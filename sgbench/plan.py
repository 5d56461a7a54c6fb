"""All points of a command, composed and checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from sgbench.compose import compose, one_line, parse_overrides, raw_config, spec_from_config
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec


@dataclass(frozen=True)
class Plan:
    """What a command will run."""

    specs: tuple[RunSpec, ...]
    is_sweep: bool
    config_dirs: tuple[Path, ...]


def plan(
    words: Sequence[str],
    *,
    multirun: bool = False,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Plan:
    """Compose every point that Hydra's basic sweeper would launch.

    Args:
        words: overrides; lists of values (a=1,2) are swept if `multirun` or the configuration says so.
        multirun: whether `-m` was given.
        config_dirs: see `compose`.
        allow_targets: see `compose`.

    Raises:
        InputError: the first point that is not usable; one line.

    >>> len(plan(["surrogate=atan,triangle", "seed=0,1"], multirun=True).specs)
    4
    """
    overrides = parse_overrides(words)
    swept = [override for override in overrides if override.is_sweep_override()]
    plain = [override.input_line or "" for override in overrides if not override.is_sweep_override()]
    config = raw_config(plain, config_dirs)
    multirun = multirun or str(config.hydra.mode).endswith("MULTIRUN")
    folders = tuple(config_dirs)
    if not multirun:
        if swept:
            raise InputError(_not_a_sweep(swept[0]))
        spec = spec_from_config(config, config_dirs=folders, allow_targets=allow_targets)
        return Plan((spec,), is_sweep=False, config_dirs=folders)
    parameters = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})) or {}
    from_config = parse_overrides([f"{key}={value}" for key, value in parameters.items()])  # type: ignore[union-attr]
    try:
        (points,) = BasicSweeper.split_arguments([*from_config, *overrides], None)
    except HydraException as error:
        raise InputError(one_line(error)) from error
    specs = [compose(point, config_dirs=config_dirs, allow_targets=allow_targets) for point in points]
    return Plan(tuple(specs), is_sweep=True, config_dirs=folders)


def _not_a_sweep(override: Override) -> str:
    """What to write instead of a list of values that is no sweep."""
    if override.key_or_group == "logger":
        names = (override.input_line or "").partition("=")[2]
        return f"{override.input_line}: several loggers at once are logger=[{names}]"
    return f"{override.input_line}: several values need a sweep; add -m"
