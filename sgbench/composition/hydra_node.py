"""Hydra's own settings may name classes too; only those of installed plugins are let through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from sgbench.errors import InputError, suggest

PLUGGED = ("launcher", "sweeper")
PACKAGES = {
    "launcher": {
        "submitit_local": "hydra-submitit-launcher",
        "submitit_slurm": "hydra-submitit-launcher",
        "ray": "hydra-ray-launcher",
        "ray_aws": "hydra-ray-launcher",
        "joblib": "hydra-joblib-launcher",
        "rq": "hydra-rq-launcher",
    },
    "sweeper": {
        "optuna": "hydra-optuna-sweeper",
        "list": "hydra-list-sweeper",
        "ax": "hydra-ax-sweeper",
        "nevergrad": "hydra-nevergrad-sweeper",
    },
}
"""What to install for a launcher or sweeper that is not there."""
PLANNED = (
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper",
)
"""Sweepers whose points are known before the first one runs."""
CALLED = "custom_search_space"
"""The key by which Optuna's sweeper is given a function by name."""
LOGGING = ("hydra.job_logging", "hydra.hydra_logging")


def check_hydra_node(node: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse settings by which Hydra would import a class that is no installed launcher or sweeper.

    Hydra instantiates `launcher`, `sweeper` and every callback, and `logging.config` calls whatever a logging
    configuration names.

    Args:
        node: merged, of which nothing but a launcher and a sweeper comes from files of others.
        overrides: those of the command line, parsed.

    Raises:
        InputError: names the key and the remedy.
    """
    for key in (override.key_or_group for override in overrides):
        if key == "hydra":
            raise InputError("hydra: its keys are set one by one, e.g. hydra.launcher.workers=2")
        for logging in LOGGING:
            if key == logging or key.startswith(f"{logging}."):
                choice = logging.replace(".", "/")
                raise InputError(f"{logging}: may name a class; choose {choice}=none, default or disabled")
    # Unresolved, so that no value set later can change what is checked here.
    tree: Any = OmegaConf.to_container(node)
    if tree.get("callbacks"):
        raise InputError("hydra.callbacks: callbacks are not run; use a launcher or a logger instead")
    for kind in PLUGGED:
        _check_plugged(kind, tree.get(kind))


def chooses_as_it_goes(node: DictConfig) -> bool:
    """Return whether the sweeper makes points from earlier results, or in a way that only it knows."""
    return str(node.sweeper.get("_target_")) not in PLANNED


def missing_plugin(group: str, name: str) -> str | None:
    """Name what to install for a missing launcher or sweeper; None where it is there or unknown.

    >>> missing_plugin("hydra/sweeper", "ax")
    'sweeper ax is not installed: pip install hydra-ax-sweeper'
    """
    kind = group.removeprefix("hydra/")
    package = PACKAGES.get(kind, {}).get(name)
    Plugins.instance()  # registers what is there
    if package is None or f"{name}.yaml" in ConfigStore.instance().repo["hydra"][kind]:
        return None
    return f"{kind} {name} is not installed: pip install {package}"


def _check_plugged(kind: str, plugged: Any) -> None:
    """Refuse a launcher or sweeper, or a part of it such as a sampler, that no installed plugin registers."""
    target = plugged.get("_target_") if isinstance(plugged, dict) else plugged
    known = _plugin_targets(kind)
    if target not in known:
        raise InputError(
            f"hydra.{kind}._target_={target}: not an installed {kind}; {suggest(str(target), known)}"
        )
    for inner in _targets(plugged):
        if inner not in known and inner not in _part_targets(kind):
            raise InputError(
                f"hydra.{kind}: names {inner}, which no installed plugin registers; leave it out"
            )
    if plugged.get(CALLED) is not None:
        raise InputError(
            f"hydra.{kind}.{CALLED}: functions are not called by name; list the values as overrides"
        )
    if any("maximize" in str(direction).lower() for direction in _several(plugged.get("direction"))):
        raise InputError(
            f"hydra.{kind}.direction: a run returns its validation loss, or its error where validation_accuracy "
            f"is monitored, of which less is better; use hydra.{kind}.direction=minimize"
        )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plugin_targets(kind: str) -> set[str]:
    """Collect the classes that installed plugins have registered for a launcher or sweeper."""
    return set(_registered(kind, parts=False))


def _part_targets(kind: str) -> set[str]:
    """Collect the classes registered in nested groups, such as the samplers of Optuna's sweeper."""
    return set(_registered(kind, parts=True))


def _registered(kind: str, *, parts: bool) -> Iterator[str]:
    Plugins.instance()  # registers them
    for entry in ConfigStore.instance().repo["hydra"][kind].values():
        if isinstance(entry, dict) == parts:
            yield from _nodes(entry)


def _nodes(entry: Any) -> Iterator[str]:
    """Yield the target of a stored node, or of all nodes of a group."""
    if isinstance(entry, dict):
        for inner in entry.values():
            yield from _nodes(inner)
    elif isinstance(entry, ConfigNode) and OmegaConf.is_dict(entry.node):
        tree = OmegaConf.to_container(entry.node)
        if isinstance(tree, dict) and "_target_" in tree:
            yield str(tree["_target_"])


def _targets(tree: Any) -> Iterator[str]:
    """Yield every class that a tree names, at any depth."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield str(tree["_target_"])
        for value in tree.values():
            yield from _targets(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _targets(value)
