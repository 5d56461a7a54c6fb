"""The catalogue: `conf/` read as plain text, without importing what it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from sgbench.errors import InputError, suggest
from sgbench.paths import conf_dir

# The same loader in C where libyaml is there; a sweep reads the catalogue once a point.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
META_KEYS = ("_target_", "meta", "defaults")
TARGET_GROUPS = (
    "dataset",
    "encoder",
    "firing",
    "init",
    "logger",
    "loss",
    "network",
    "neuron",
    "optimizer",
    "regulariser",
    "rule",
    "steepness",
    "surrogate",
)
"""Groups whose entries are classes or functions; the others are data."""


@dataclass(frozen=True)
class Entry:
    """One file of the catalogue."""

    group: str
    name: str
    path: Path
    target: str | None
    parameters: dict[str, Any]
    meta: dict[str, Any]

    @property
    def line(self) -> str:
        """What the entry is, in one line."""
        return str(self.meta.get("line") or self.parameters.get("about") or "")


def groups() -> list[str]:
    """The names of all groups."""
    return sorted(folder.name for folder in conf_dir().iterdir() if folder.is_dir())


def entries(group: str, config_dirs: Iterable[Path] = ()) -> dict[str, Entry]:
    """All entries of one group by name, of the user's own folders and of the shipped one.

    Raises:
        InputError: the group does not exist, a file is not YAML, or two entries have one name.
    """
    found: dict[str, Entry] = {}
    folders = list(dict.fromkeys(Path(folder).resolve() for folder in [*config_dirs, conf_dir()]))
    if not any((folder / group).is_dir() for folder in folders):
        raise InputError(f"group '{group}' does not exist; {suggest(group, groups())}")
    for folder in folders:
        for path in sorted((folder / group).rglob("*.yaml")):
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            if name in found:
                # Hydra would take one of the two in silence.
                raise InputError(
                    f"{found[name].path}: there is another {group} '{name}' in {folder}; rename yours"
                )
            found[name] = read_entry(group, name, path)
    return dict(sorted(found.items()))


def entry(group: str, name: str, config_dirs: Iterable[Path] = ()) -> Entry:
    """One entry.

    Raises:
        InputError: there is none of this name; the message names the nearest.
    """
    known = entries(group, config_dirs)
    if name not in known:
        called = [other for other, found in known.items() if name in (found.meta.get("aliases") or [])]
        folder = name.rpartition("/")[0]
        beside = [other for other in known if other.rpartition("/")[0] == folder]  # not a hundred presets
        hint = f"sgbench calls it '{called[0]}'" if called else suggest(name, beside or known)
        raise InputError(f"{group} '{name}' does not exist; {hint}")
    return known[name]


def read_entry(group: str, name: str, path: Path) -> Entry:
    """Parse one YAML file into an entry."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader) or {}  # noqa: S506 - it is safe
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable YAML file: {reason}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a mapping of names to values is needed")
    target = tree.get("_target_")
    return Entry(
        group=group,
        name=name,
        path=path,
        target=None if target is None else str(target),
        parameters={key: value for key, value in tree.items() if key not in META_KEYS},
        meta=tree.get("meta") or {},
    )


def allowed_targets(extra: Iterable[str] = ()) -> frozenset[str]:
    """The exact names that may be imported: those of shipped entries, installed plugins, and `extra`.

    A plugin allows its own through the entry-point group `sgbench.targets` (`name = "package.module:Class"`).
    """
    shipped = {
        found.target
        for group in TARGET_GROUPS
        for found in entries(group).values()
        if found.target is not None
    }
    plugins = {point.value.replace(":", ".") for point in entry_points(group="sgbench.targets")}
    return frozenset(shipped | plugins | set(extra))
