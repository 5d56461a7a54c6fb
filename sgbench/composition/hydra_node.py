"""Checks the classes that Hydra's own settings name: those of installed plugins, and those that the user allows."""

import os
from collections.abc import Iterator
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError, suggest
from sgbench.paths import ALLOW_HYDRA, allowed

PLUGIN_KINDS = ("launcher", "sweeper")
PACKAGES = {
    "launcher": {
        "submitit_local": "hydra-submitit-launcher", "submitit_slurm": "hydra-submitit-launcher",
        "ray": "hydra-ray-launcher", "ray_aws": "hydra-ray-launcher",
        "joblib": "hydra-joblib-launcher", "rq": "hydra-rq-launcher",
    },
    "sweeper": {
        "optuna": "hydra-optuna-sweeper", "list": "hydra-list-sweeper",
        "ax": "hydra-ax-sweeper", "nevergrad": "hydra-nevergrad-sweeper",
    },
}  # fmt: skip
"""Maps launchers and sweepers to the packages that provide them."""
WITH_KNOWN_POINTS = (
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.sgbench_replicas.sweeper.PlannedSweeper",
)
"""Sweepers whose points are known before the first one runs."""
SEARCH_SPACE_FUNCTION = "custom_search_space"
"""Key of Optuna's sweeper that holds the name of a function to call."""
LOGGING = ("hydra.job_logging", "hydra.hydra_logging")


def check_hydra_node(node: DictConfig, overrides: Overrides) -> None:
    """Raise an error if Hydra's settings name a class that is neither an installed plugin's nor allowed.

    Hydra instantiates `launcher`, `sweeper` and every callback. `logging.config` calls every class or function that
    a logging configuration names.
    """
    for key in (override.key_or_group for override in overrides.parsed):
        if key == "hydra":
            raise InputError("hydra: its keys are set one by one, e.g. hydra.launcher.workers=2")
        for logging in LOGGING:
            if key == logging or key.startswith(f"{logging}."):
                choice = logging.replace(".", "/")
                raise InputError(f"{logging}: may name a class; choose {choice}=none, default or disabled")
    # Unresolved, so that no value set later can change what is checked here.
    tree: Any = OmegaConf.to_container(node)
    callbacks = tree.get("callbacks") or {}
    if not isinstance(callbacks, dict):
        raise InputError("hydra.callbacks: a mapping from names to callbacks is needed")
    for name, settings in callbacks.items():
        _check_own(f"hydra.callbacks.{name}", settings)
    for kind in PLUGIN_KINDS:
        settings = tree.get(kind)
        if is_own(settings):
            _check_own(f"hydra.{kind}", settings)
            if not settings["_target_"].startswith("hydra_plugins."):
                raise InputError(
                    f"hydra.{kind}: Hydra takes a {kind} from the package hydra_plugins alone; move "
                    f"{settings['_target_']} into a file of a folder hydra_plugins"
                )
        else:
            _check_plugin(kind, settings)


def is_own(settings: Any) -> bool:
    """Return whether settings of a launcher or a sweeper are of a class that the user allows."""
    return ALLOW_HYDRA in os.environ and isinstance(settings, dict) and settings.get("_target_") in allowed(ALLOW_HYDRA)


def _check_own(key: str, settings: Any) -> None:
    """Raise an InputError unless all classes in settings of the user's own are allowed, and all values are plain.

    A reference could bring a class from elsewhere in the tree.
    """
    targets = [*_targets(settings)]
    if not targets:
        raise InputError(f"{key}: _target_, the class to call, is missing")
    for target in targets:
        if target not in allowed(ALLOW_HYDRA):
            raise InputError(
                f"{key}: {target} is not allowed; if you trust it, add --allow-hydra {target}; no file can allow it"
            )
    if "${" in str(settings):
        raise InputError(f"{key}: references are not followed here; write the values themselves")


def has_unknown_points(node: DictConfig) -> bool:
    """Return whether the sweeper of Hydra's settings chooses points while the sweep runs."""
    return str(node.sweeper.get("_target_")) not in WITH_KNOWN_POINTS


def missing_plugin(group: str, name: str) -> str | None:
    """Return a line with the package to install for a missing launcher or sweeper; None if it is there or unknown.

    >>> missing_plugin("hydra/sweeper", "ax")
    'sweeper ax is not installed: pip install hydra-ax-sweeper'
    """
    kind = group.removeprefix("hydra/")
    package = PACKAGES.get(kind, {}).get(name)
    Plugins.instance()  # registers what is there
    if package is None or f"{name}.yaml" in ConfigStore.instance().repo["hydra"][kind]:
        return None
    return f"{kind} {name} is not installed: pip install {package}"


def _check_plugin(kind: str, settings: Any) -> None:
    """Raise an InputError unless installed plugins register a launcher or sweeper (`kind`) and all of its parts.

    Parts, such as Optuna's sampler, are nodes in its `settings`.
    """
    target = settings.get("_target_") if isinstance(settings, dict) else settings
    known = set(_registered_targets(kind, of_parts=False))
    parts = set(_registered_targets(kind, of_parts=True))
    if target not in known:
        raise InputError(
            f"hydra.{kind}._target_={target}: not an installed {kind}; {suggest(str(target), known)}; "
            f"one of yours needs --allow-hydra {target}"
        )
    for inner in _targets(settings):
        if inner not in known and inner not in parts:
            raise InputError(f"hydra.{kind}: names {inner}, which no installed plugin registers; leave it out")
    if settings.get(SEARCH_SPACE_FUNCTION) is not None:
        raise InputError(
            f"hydra.{kind}.{SEARCH_SPACE_FUNCTION}: functions are not called by name; list the values as overrides"
        )
    if "maximize" in str(settings.get("direction")).lower():  # one direction, or a list of them
        raise InputError(
            f"hydra.{kind}.direction: a run returns its validation loss, or its error where validation_accuracy "
            f"is monitored, of which less is better; use hydra.{kind}.direction=minimize"
        )


def _registered_targets(kind: str, *, of_parts: bool) -> Iterator[str]:
    """Yield the classes that installed plugins register for a `kind`, "launcher" or "sweeper".

    With `of_parts`, yield the classes of nested groups instead, such as the samplers of Optuna's sweeper.
    """
    Plugins.instance()  # registers them
    for entry in ConfigStore.instance().repo["hydra"][kind].values():
        if isinstance(entry, dict) == of_parts:
            yield from _stored_targets(entry)


def _stored_targets(entry: Any) -> Iterator[str]:
    """Yield the classes in an entry of Hydra's store: a configuration, or a group of them."""
    if isinstance(entry, dict):
        for inner in entry.values():
            yield from _stored_targets(inner)
    elif isinstance(entry, ConfigNode) and OmegaConf.is_dict(entry.node):
        tree = OmegaConf.to_container(entry.node)
        if isinstance(tree, dict) and "_target_" in tree:
            yield str(tree["_target_"])


def _targets(tree: Any) -> Iterator[str]:
    """Yield the class that each node of a tree names."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield str(tree["_target_"])
        for value in tree.values():
            yield from _targets(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _targets(value)
