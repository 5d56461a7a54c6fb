"""Refuses configuration files of other people that would run code, read the machine or write elsewhere.

Such a file may hold entries and settings of a run and of a sweep. The tree merged from all files is compared with
the tree that sgbench's own files and the command line's overrides alone give. So it does not matter by which of
Hydra's ways (a package header, a list of defaults, a group) a file has reached a key.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sgbench.composition.hydra_node import PLUGIN_KINDS, is_own
from sgbench.composition.overrides import RESOLVERS, Overrides, function_names, one_line
from sgbench.errors import InputError, shortened
from sgbench.paths import ALLOW_ENV, allowed

CHECKED_OTHERWISE = ("mode", "overrides", "runtime", "searchpath", "callbacks", *PLUGIN_KINDS)
"""Keys of `hydra` that are not compared: Hydra writes some itself, `hydra_node` checks the others."""
WRITTEN_BY_HYDRA = ("hydra.job.override_dirname",)
"""Other keys that Hydra writes itself."""
ALLOWED_SETTINGS = {
    "launcher": ("workers", "largest", "on", "memory_gb", "timeout_min", "partition", "n_jobs"),
    "sweeper": ("params", "points", "max_batch_size", "n_trials", "n_jobs", "direction", "sampler", "study_name"),
}
"""Keys of a launcher and a sweeper that files of others may set."""
PLAIN_NAME = re.compile(r"[\w.-]+")
SETS_HYDRA_OR_PATHS = re.compile(r"(?:^|[\s'\"\[{,@/])[+~]*(?:hydra|paths)(?=$|[\s./@:=\[])")
"""Matches an override that would set a key of `hydra` or `paths`, in the points of a sweep."""
ALLOWED_FUNCTIONS = (*RESOLVERS, "formula")
"""Functions that references in files of others may call; `oc.env` has a rule of its own."""
ENVIRONMENT_REFERENCE = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)\s*[,}]")
SHIPPED_ENV = ("WANDB_MODE",)
"""Environment variables that sgbench's own files read."""
TYPE_IT = "in files of others only hydra.mode, launcher and sweeper are read; leave it out, or give an override"

Merge = Callable[[tuple[str, ...]], DictConfig]  # from overrides to the merged tree


def check_foreign(config: DictConfig, overrides: Overrides, merge: Merge) -> None:
    """Raise an error if a file that is neither sgbench's nor a plugin's sets what it may not."""
    # The folders of others: named as an argument, or `./sgbench_conf`.
    sources = config.hydra.runtime.config_sources
    if not any(str(source.provider).startswith("hydra.searchpath") for source in sources):
        return
    ours = _merge_without_foreign(config, overrides, merge)
    their_hydra, our_hydra = (_plain_values(tree.hydra, without=CHECKED_OTHERWISE) for tree in (config, ours))
    for key in _differences(their_hydra, our_hydra, "hydra"):
        if key not in WRITTEN_BY_HYDRA:
            raise InputError(f"{key}: {TYPE_IT}")
    for key in _differences(_plain_values(config.get("paths")), _plain_values(ours.get("paths")), "paths"):
        raise InputError(f"{key}: a file of others does not say where things lie; type it as an override")
    for kind in _kinds_of_plugins(config):
        _check_settings(kind, _plain_values(config.hydra[kind]), _plain_values(ours.hydra[kind]))
    _check_sweep_points(config)
    _check_loggers(config, overrides)
    _check_references(config, ours)


def _merge_without_foreign(config: DictConfig, overrides: Overrides, merge: Merge) -> DictConfig:
    """Merge what sgbench's files and typed overrides alone give for `hydra` and `paths`.

    An installed launcher or sweeper of `config` stays chosen. The user's own, and callbacks, are left out, since
    `check_hydra_node` checks them.
    """
    kinds = _kinds_of_plugins(config)
    left_out = {("hydra", kind) for kind in PLUGIN_KINDS if kind not in kinds} | {("hydra", "callbacks")}
    names_and_overrides = [(re.split(r"[./]", override.key_or_group), override) for override in overrides.parsed]
    typed = [
        override
        for names, override in names_and_overrides
        if names[0] in ("hydra", "paths") and tuple(names[:2]) not in left_out
    ]
    typed_keys = {override.key_or_group for override in typed}
    prefixes = tuple(f"hydra/{kind}" for kind in kinds)
    chosen = [
        f"{group}={name}"
        for group, name in config.hydra.runtime.choices.items()
        if str(group).startswith(prefixes) and str(group) not in typed_keys and isinstance(name, str)
    ]
    lines = [override.input_line or "" for override in typed if override.key_or_group != "hydra.searchpath"]
    try:
        return merge((*chosen, *lines))
    except Exception as error:  # Hydra raises TypeError, OSError and more for unusable overrides
        raise InputError(
            f"hydra: {shortened(one_line(error), 300)}; of what files of others add only hydra.mode and the "
            f"settings of an installed launcher and sweeper are read"
        ) from error


def _kinds_of_plugins(config: DictConfig) -> list[str]:
    """Return which of launcher and sweeper are an installed plugin's, as all are but those that the user allows."""
    return [kind for kind in PLUGIN_KINDS if not is_own(_plain_values(config.hydra[kind]))]


def _plain_values(node: Any, without: Sequence[str] = ()) -> Any:
    """Convert a node to dictionaries and lists, references unresolved, leaving out some keys of a mapping."""
    tree: Any = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
    return {key: value for key, value in tree.items() if key not in without} if without else tree


def _differences(theirs: Any, ours: Any, key: str) -> Iterator[str]:
    """Yield the dotted keys, beginning with `key`, whose values differ between two trees or that one tree lacks."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}, key=str):
            if name in theirs and name in ours:
                yield from _differences(theirs[name], ours[name], f"{key}.{name}")
            else:
                yield f"{key}.{name}"
    elif type(theirs) is not type(ours) or theirs != ours:
        yield key


def _check_settings(kind: str, theirs: Any, ours: Any) -> None:
    """Raise an InputError if files of others set more of a launcher or sweeper than `ALLOWED_SETTINGS`.

    Other settings could run commands or write files elsewhere. Those of a launcher must be numbers or plain names.
    """
    for key in _differences(theirs, ours, f"hydra.{kind}"):
        _, _, name, *_ = [*key.split("."), ""]  # the name in hydra.KIND.NAME; empty if the whole node differs
        if name not in ALLOWED_SETTINGS[kind]:
            allowed = ", ".join(ALLOWED_SETTINGS[kind])
            raise InputError(f"{key}: of a {kind}, files of others set {allowed}; type it as an override")
        value = theirs.get(name)
        is_plain = value is None or isinstance(value, int | float) or PLAIN_NAME.fullmatch(str(value))
        if kind == "launcher" and not is_plain:
            raise InputError(f"{key}: a number or a plain name is needed in a file of others; type it as an override")


def _check_sweep_points(config: DictConfig) -> None:
    """Raise an InputError if points that a file lists would set a key of `hydra` or `paths`."""
    try:
        resolved = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"hydra.sweeper: {one_line(error)}") from error
    for _, text in _texts(resolved, ""):
        if SETS_HYDRA_OR_PATHS.search(text):
            raise InputError(
                f"hydra.sweeper: '{shortened(text, 100)}': points of a file set nothing of hydra and paths; "
                f"type it as an override"
            )


def _check_loggers(config: DictConfig, overrides: Overrides) -> None:
    """Raise an InputError if a logger has an address that was not typed."""
    loggers = config.get("logger")
    typed_keys = {override.key_or_group for override in overrides.parsed}
    for name, node in _plain_values(loggers).items() if OmegaConf.is_dict(loggers) else ():
        if isinstance(node, dict) and node.get("uri") is not None and f"logger.{name}.uri" not in typed_keys:
            raise InputError(
                f"logger.{name}.uri: a file of others does not say where copies go; type it as an override"
            )


def _check_references(config: DictConfig, ours: DictConfig) -> None:
    """Raise an InputError for references in files of others that read the machine: others could not repeat the run.

    Environment variables that the user allows (`--allow-env`) may be read.
    """
    our_texts = dict(_texts(_plain_values(ours), ""))
    may_read = {*SHIPPED_ENV, *allowed(ALLOW_ENV)}
    for key, text in _texts(_plain_values(config), ""):
        if our_texts.get(key) == text:
            continue
        names = [name for name in function_names(text.replace("\\", "")) if name not in ALLOWED_FUNCTIONS]
        variables = ENVIRONMENT_REFERENCE.findall(text.replace("\\", ""))
        if names == ["oc.env"] * len(variables) and may_read.issuperset(variables):
            continue
        refused = next((name for name in variables if name not in may_read), "NAME")
        remedy = f"if you trust it, add --allow-env {refused}" if "oc.env" in names else "write the value itself"
        raise InputError(f"{key}: ${{{names[0]}:...}} is not read from a file of others; {remedy}")


def _texts(tree: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of each text in a tree that stands at `key`; keys are texts too."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            inner = f"{key}.{name}" if key else str(name)
            yield f"{inner} (the key)", str(name)
            yield from _texts(value, inner)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _texts(value, f"{key}[{index}]")
    elif isinstance(tree, str):
        yield key, tree
