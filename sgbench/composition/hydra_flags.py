"""Checks Hydra's own flags of `sgbench run`, such as `--cfg job`, which show something and run nothing."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from sgbench.composition.compose import raw_config
from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError

CFG, INFO, HELP, COMPLETION = "--cfg", "--info", "--hydra-help", "--shell-completion"
PACKAGE, RESOLVE, SWEEP = "--package", "--resolve", "--multirun"
LONG_NAMES = {"-c": CFG, "-i": INFO, "-sc": COMPLETION, "-p": PACKAGE, "-m": SWEEP}
FLAG_VALUES = {
    CFG: ("job", "hydra", "all"),
    INFO: ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
COMPLETIONS = ("install=bash", "install=fish", "uninstall=bash", "uninstall=fish")
SHOW_FLAGS = (CFG, INFO, HELP, COMPLETION)


def asks_to_show(arguments: Sequence[str]) -> bool:
    return any(_long(argument) in SHOW_FLAGS for argument in arguments)


def hydra_arguments(arguments: Sequence[str], config_dirs: Sequence[Path]) -> tuple[str, list[str]]:
    """Check the arguments of `sgbench run` that ask Hydra to show something.

    Returns the flag that shows something, by its long name, and all arguments in the order of Hydra's parser: flags
    before overrides.

    >>> hydra_arguments(["surrogate=atan", "-c=job"], [])
    ('--cfg', ['--cfg', 'job', 'surrogate=atan'])
    """
    flags, overrides = _split(arguments)
    show_flags = [flag for flag in flags if flag in SHOW_FLAGS]
    if len(show_flags) > 1:
        raise InputError(f"{' '.join(show_flags)}: one of them at a time")
    _require_usable(show_flags[0], flags, overrides, config_dirs)
    flags_and_values = [argument for pair in flags.items() for argument in pair if argument]
    return show_flags[0], [*flags_and_values, *overrides]


def _long(argument: str) -> str:
    name = argument.partition("=")[0]
    return LONG_NAMES.get(name, name)


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Split arguments into flags, by long name with the value of each ("" without one), and overrides."""
    flags: dict[str, str] = {}
    overrides: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        flag = _long(argument)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        if flag not in (*SHOW_FLAGS, PACKAGE, RESOLVE, SWEEP):
            raise InputError(f"{argument}: this flag is not known; see: sgbench run --help")
        _, equals_sign, value = argument.partition("=")
        needs_value = flag in (CFG, PACKAGE)  # --info alone has a default
        if not equals_sign and remaining and (needs_value or (flag == INFO and remaining[0] in FLAG_VALUES[INFO])):
            value = remaining.pop(0)
        flags[flag] = value or ("all" if flag == INFO else "")
    return flags, overrides


def _require_usable(
    show_flag: str, flags: dict[str, str], overrides: Sequence[str], config_dirs: Sequence[Path]
) -> None:
    """Raise an InputError for arguments that Hydra would answer with a traceback or its general help.

    `show_flag` is the one among `flags`, mapped to their values, that shows something.
    """
    if show_flag in FLAG_VALUES and flags[show_flag] not in FLAG_VALUES[show_flag]:
        raise InputError(
            f"{show_flag} {flags[show_flag]}".rstrip() + f": one of {', '.join(FLAG_VALUES[show_flag])} is needed"
        )
    if SWEEP in flags:
        raise InputError(f"{show_flag}: of a single point, not of a sweep; leave out -m and give each key one value")
    if show_flag == COMPLETION:
        if len(overrides) != 1 or overrides[0] not in COMPLETIONS:
            raise InputError(f"{show_flag}: one of {', '.join(COMPLETIONS)} is needed")
    elif show_flag == HELP:
        if overrides:
            raise InputError(f"{overrides[0]}: {show_flag} stands alone; leave out the overrides")
    else:
        typed, package = Overrides.of(overrides), flags.get(PACKAGE)
        if typed.swept:
            raise InputError(f"{typed.swept[0].input_line}: {show_flag} is of a single point; give one value")
        config = raw_config(typed, config_dirs)
        if package is not None and OmegaConf.select(config, package, throw_on_missing=False) is None:
            raise InputError(f"--package {package}".rstrip() + ": the configuration has no such key with a value")
