"""What files of somebody else may say: entries, and settings of a run and of a sweep; nothing that acts by itself.

A merged tree is held against what sgbench's own files and the overrides of the command line make of it alone. So it
does not matter by which of Hydra's ways (a package header, a list of defaults, a group) a file has reached a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sgbench.composition.hydra_node import PLUGGED
from sgbench.composition.words import RESOLVERS, called, one_line
from sgbench.errors import InputError, shortened
from sgbench.paths import allowed_env

OPEN = ("mode", "overrides", "runtime", "searchpath", *PLUGGED)
"""Of `hydra`: what files may set, and what Hydra writes itself; a launcher and a sweeper have keys of their own."""
WRITTEN_LAST = ("hydra.job.override_dirname",)
"""Other keys that Hydra writes itself."""
SETTINGS = {
    "launcher": ("workers", "largest", "on", "memory_gb", "timeout_min", "partition", "n_jobs"),
    "sweeper": (
        "params",
        "points",
        "max_batch_size",
        "n_trials",
        "n_jobs",
        "direction",
        "sampler",
        "study_name",
    ),
}
"""What files may set of a launcher and a sweeper."""
PLAIN = re.compile(r"[\w.-]+")
ACTING = re.compile(r"(?:^|[\s'\"\[{,@/])[+~]*(?:hydra|paths)(?=$|[\s./@:=\[])")
"""In the points of a sweep: an override that would set something of Hydra, or a folder."""
FUNCTIONS = (*RESOLVERS, "formula")
"""What references of files may call; `oc.env` has a rule of its own."""
VARIABLE = re.compile(r"\$\{\s*oc\.env\s*:\s*(\w+)\s*[,}]")
SHIPPED_ENV = ("WANDB_MODE",)
"""Variables of the environment that sgbench's own files read."""
TYPE_IT = (
    "in files of others only hydra.mode, launcher and sweeper are read; leave it out, or give an override"
)

Merge = Callable[[tuple[str, ...]], DictConfig]


def check_foreign(config: DictConfig, overrides: Sequence[Override], merge: Merge) -> None:
    """Refuse what a file that is neither sgbench's nor a plugin's may not say.

    Args:
        config: merged from all files, with its `hydra` node.
        overrides: those of the command line, parsed.
        merge: merges other overrides with the files of sgbench and its plugins alone.

    Raises:
        InputError: names the first such key and the remedy.
    """
    if not _is_foreign(config):
        return
    ours = _merge_without_foreign(config, overrides, merge)
    for key in _differences(_tree(config.hydra, OPEN), _tree(ours.hydra, OPEN), "hydra"):
        if key not in WRITTEN_LAST:
            raise InputError(f"{key}: {TYPE_IT}")
    for key in _differences(_tree(config.get("paths")), _tree(ours.get("paths")), "paths"):
        raise InputError(f"{key}: a file of others does not say where things lie; type it as an override")
    for kind in PLUGGED:
        _check_settings(kind, _tree(config.hydra[kind]), _tree(ours.hydra[kind]))
    _check_points(config)
    _check_loggers(config, overrides)
    _check_calls(config, ours)


def _is_foreign(config: DictConfig) -> bool:
    """Return whether files were looked for in a folder that was named or is `./sgbench_conf`."""
    sources = config.hydra.runtime.config_sources
    return any(str(source.provider).startswith("hydra.searchpath") for source in sources)


def _merge_without_foreign(config: DictConfig, overrides: Sequence[Override], merge: Merge) -> DictConfig:
    """Merge what was typed about Hydra and about folders, and the launcher and sweeper that were chosen."""
    typed = [
        override
        for override in overrides
        if re.split(r"[./]", override.key_or_group)[0] in ("hydra", "paths")
    ]
    keys = {override.key_or_group for override in typed}
    chosen = [
        f"{group}={name}"
        for group, name in config.hydra.runtime.choices.items()
        if str(group).startswith(tuple(f"hydra/{kind}" for kind in PLUGGED))
        and str(group) not in keys
        and isinstance(name, str)
    ]
    lines = [override.input_line or "" for override in typed if override.key_or_group != "hydra.searchpath"]
    try:
        return merge((*chosen, *lines))
    except Exception as error:  # of nonsense Hydra raises what Python does
        raise InputError(
            f"hydra: {shortened(one_line(error), 300)}; of what files of others add only hydra.mode and the "
            f"settings of an installed launcher and sweeper are read"
        ) from error


def _tree(node: Any, without: Sequence[str] = ()) -> Any:
    """Read a node as plain values, with its references as they are written."""
    tree: Any = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
    return {key: value for key, value in tree.items() if key not in without} if without else tree


def _differences(theirs: Any, ours: Any, key: str) -> Iterator[str]:
    """Yield the keys whose values differ, or that one of two trees lacks."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}, key=str):
            if name in theirs and name in ours:
                yield from _differences(theirs[name], ours[name], f"{key}.{name}")
            else:
                yield f"{key}.{name}"
    elif type(theirs) is not type(ours) or theirs != ours:
        yield key


def _check_settings(kind: str, theirs: Any, ours: Any) -> None:
    """Refuse settings of a launcher or sweeper by which commands are run or files are written elsewhere."""
    for key in _differences(theirs, ours, f"hydra.{kind}"):
        name = key.split(".")[2] if key.count(".") > 1 else ""
        if name not in SETTINGS[kind]:
            raise InputError(
                f"{key}: of a {kind}, files of others set {', '.join(SETTINGS[kind])}; type it as an override"
            )
        value = theirs.get(name)
        is_plain = value is None or isinstance(value, int | float) or PLAIN.fullmatch(str(value))
        if kind == "launcher" and not is_plain:
            raise InputError(
                f"{key}: a number or a plain name is needed in a file of others; type it as an override"
            )


def _check_points(config: DictConfig) -> None:
    """Refuse a sweep of a file whose points set something of Hydra, or a folder."""
    try:
        resolved = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"hydra.sweeper: {one_line(error)}") from error
    for _, text in _texts(resolved, ""):
        if ACTING.search(text):
            raise InputError(
                f"hydra.sweeper: '{shortened(text, 100)}': points of a file set nothing of hydra and paths; "
                f"type it as an override"
            )


def _check_loggers(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse a server or store for copies that was not typed."""
    loggers = config.get("logger")
    typed = {override.key_or_group for override in overrides}
    for name, node in _tree(loggers).items() if OmegaConf.is_dict(loggers) else ():
        if isinstance(node, dict) and node.get("uri") is not None and f"logger.{name}.uri" not in typed:
            raise InputError(
                f"logger.{name}.uri: a file of others does not say where copies go; type it as an override"
            )


def _check_calls(config: DictConfig, ours: DictConfig) -> None:
    """Refuse references that read the machine: what they give would be in a record that nobody can repeat."""
    known = dict(_texts(_tree(ours), ""))
    may_read = {*SHIPPED_ENV, *allowed_env()}
    for key, text in _texts(_tree(config), ""):
        if known.get(key) == text:
            continue
        names = [name for name in called(text.replace("\\", "")) if name not in FUNCTIONS]
        variables = VARIABLE.findall(text.replace("\\", ""))
        if names == ["oc.env"] * len(variables) and may_read.issuperset(variables):
            continue
        refused = next((name for name in variables if name not in may_read), "NAME")
        remedy = (
            f"if you trust it, add --allow-env {refused}" if "oc.env" in names else "write the value itself"
        )
        raise InputError(f"{key}: ${{{names[0]}:...}} is not read from a file of others; {remedy}")


def _texts(tree: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield (its key, the text) for each text of a tree, be it a value or itself a key."""
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
