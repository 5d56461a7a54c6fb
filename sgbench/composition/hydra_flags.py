"""Hydra's own flags of `sgbench run`, which show something and run nothing: which overrides each of them takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from sgbench.composition.compose import raw_config
from sgbench.composition.words import parse_overrides
from sgbench.errors import InputError

CFG, INFO, HELP, COMPLETION = "--cfg", "--info", "--hydra-help", "--shell-completion"
PACKAGE, RESOLVE, SWEEP = "--package", "--resolve", "--multirun"
LONG = {"-c": CFG, "-i": INFO, "-sc": COMPLETION, "-p": PACKAGE, "-m": SWEEP}
VALUES = {
    CFG: ("job", "hydra", "all"),
    INFO: ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
COMPLETIONS = ("install=bash", "install=fish", "uninstall=bash", "uninstall=fish")
SHOWING = (CFG, INFO, HELP, COMPLETION)


def asks_to_show(arguments: Sequence[str]) -> bool:
    """Return whether one of the arguments is a Hydra flag that only shows something."""
    return any(_long(argument) in SHOWING for argument in arguments)


def checked_words(arguments: Sequence[str], config_dirs: Sequence[Path]) -> tuple[str, list[str]]:
    """Check arguments that ask Hydra to show something as those of a run.

    Returns:
        The flag that asks, and the arguments as Hydra's parser wants them, flags before overrides.

    Raises:
        InputError: an argument of which nothing can be shown; one line.

    >>> checked_words(["surrogate=atan", "-c=job"], [])
    ('--cfg', ['--cfg', 'job', 'surrogate=atan'])
    """
    flags, overrides = _split(arguments)
    asked = [flag for flag in flags if flag in SHOWING]
    if len(asked) > 1:
        raise InputError(f"{' '.join(asked)}: one of them at a time")
    _require_usable(asked[0], flags, overrides, config_dirs)
    given = [argument for flag, value in flags.items() for argument in (flag, value) if argument]
    return asked[0], [*given, *overrides]


def _long(argument: str) -> str:
    """Return a flag's long name, without its value."""
    name = argument.partition("=")[0]
    return LONG.get(name, name)


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split arguments into flags, as long name to value, and overrides."""
    flags: dict[str, str] = {}
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag = _long(argument)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        if flag not in (*SHOWING, PACKAGE, RESOLVE, SWEEP):
            raise InputError(f"{argument}: this flag is not known; see: sgbench run --help")
        _, given, value = argument.partition("=")
        if not given and (flag in (CFG, PACKAGE) or (flag == INFO and rest[:1] and rest[0] in VALUES[INFO])):
            value = rest.pop(0) if rest else ""
        flags[flag] = value or ("all" if flag == INFO else "")
    return flags, overrides


def _require_usable(
    asked: str, flags: dict[str, str], overrides: Sequence[str], config_dirs: Sequence[Path]
) -> None:
    """Refuse arguments that Hydra answers with a traceback or a page."""
    if asked in VALUES and flags[asked] not in VALUES[asked]:
        raise InputError(
            f"{asked} {flags[asked]}".rstrip() + f": one of {', '.join(VALUES[asked])} is needed"
        )
    if SWEEP in flags:
        raise InputError(
            f"{asked}: of a single point, not of a sweep; leave out -m and give each key one value"
        )
    if asked == COMPLETION:
        if len(overrides) != 1 or overrides[0] not in COMPLETIONS:
            raise InputError(f"{asked}: one of {', '.join(COMPLETIONS)} is needed")
    elif asked == HELP:
        if overrides:
            raise InputError(f"{overrides[0]}: {asked} stands alone; leave out the overrides")
    else:
        _require_point(asked, flags.get(PACKAGE), overrides, config_dirs)


def _require_point(
    asked: str, package: str | None, overrides: Sequence[str], config_dirs: Sequence[Path]
) -> None:
    """Refuse overrides of more than one point, or a configuration package that the point lacks."""
    swept = next((override for override in parse_overrides(overrides) if override.is_sweep_override()), None)
    if swept is not None:
        raise InputError(f"{swept.input_line}: {asked} is of a single point; give one value")
    config = raw_config(overrides, config_dirs)
    if package is not None and OmegaConf.select(config, package, throw_on_missing=False) is None:
        raise InputError(f"--package {package}".rstrip() + ": the configuration has no such key with a value")
