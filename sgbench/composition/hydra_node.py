"""Hydra's own settings may name classes too; only those of installed plugins are let through."""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from sgbench.errors import InputError, suggest

PLUGGED = ("launcher", "sweeper")
LOGGING = ("job_logging", "hydra_logging")
LOGGERS = (
    "logging.FileHandler",
    "logging.Formatter",
    "logging.NullHandler",
    "logging.StreamHandler",
    "colorlog.ColoredFormatter",
)


def check_hydra_node(node: DictConfig) -> None:
    """Refuse what would make Hydra import a class that is no installed launcher or sweeper.

    Hydra instantiates `launcher`, `sweeper` and every callback, and `logging.config` calls whatever a logging
    configuration names.

    Raises:
        InputError: names the key and the remedy.
    """
    # Unresolved, so that no value set later can change what is checked here.
    tree: Any = OmegaConf.to_container(node)
    if tree.get("callbacks"):
        raise InputError("hydra.callbacks: callbacks are not run; use a launcher or a logger instead")
    for kind in PLUGGED:
        plugged = tree.get(kind)
        target = plugged.get("_target_") if isinstance(plugged, dict) else plugged
        known = _plugin_targets(kind)
        if target not in known:
            raise InputError(
                f"hydra.{kind}._target_={target}: not an installed {kind}; {suggest(str(target), known)}"
            )
    for kind in LOGGING:
        if not isinstance(tree.get(kind), dict) or _named_callables(tree[kind]):
            raise InputError(f"hydra.{kind}: names a class; choose hydra/{kind}=none, default or disabled")


def _plugin_targets(kind: str) -> set[str]:
    """The classes that installed plugins have registered for a launcher or sweeper."""
    Plugins.instance()  # registers them
    group = ConfigStore.instance().repo["hydra"][kind]
    return {str(entry.node["_target_"]) for entry in group.values() if "_target_" in (entry.node or {})}


def _named_callables(tree: Any) -> list[str]:
    """Classes in a logging configuration other than the usual ones, or what may stand for a class."""
    if isinstance(tree, dict):
        found = [str(value) for key, value in tree.items() if key in ("()", "class") and value not in LOGGERS]
        return found + [name for value in tree.values() for name in _named_callables(value)]
    if isinstance(tree, str):
        return [tree] if tree.startswith("${") and tree.endswith("}") else []  # may become a whole mapping
    return [name for value in tree for name in _named_callables(value)] if isinstance(tree, list) else []
