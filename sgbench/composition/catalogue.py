"""The catalogue: `conf/` read as plain text, without importing what it names."""

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from sgbench.errors import InputError, suggest
from sgbench.paths import ALLOW_TARGET, allowed, conf_dir, with_own

# The same loader in C where libyaml is there; a sweep reads the catalogue once a point.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BYTE_ORDER_MARK = "\ufeff"
MOST_VALUES = 100_000
"""Largest number of values, keys among them, to which a file with aliases (`*name`) may unfold."""
META_KEYS = ("_target_", "meta", "defaults")
TARGET_GROUPS = (
    "augmentation", "callback", "dataset", "dropout", "encoder", "firing", "init", "logger", "loss", "network",
    "neuron", "normalisation", "optimizer", "regulariser", "rule", "schedule", "steepness", "surrogate", "weights",
)  # fmt: skip
"""Groups whose entries are classes or functions; the others are data."""
WITHOUT_ENTRY = ("sgbench.datasets.own.Own",)
"""Classes that only entries of a user's own name."""


@dataclass(frozen=True)
class Entry:
    """Describes one file of the catalogue."""

    group: str  # its folder: surrogate, neuron, ...
    name: str
    path: Path
    target: str | None  # dotted name of the class or function behind the entry; None for plain data
    parameters: dict[str, Any]  # maps each parameter to its default, references unresolved
    meta: dict[str, Any]  # maps facts about the entry to values: line, sources, family, ...
    own: dict[str, Any] = field(default_factory=dict)
    """Maps the library's own parameters of a preset to their values; `parameters` are computed from them."""

    @property
    def line(self) -> str:
        return str(self.meta.get("line") or self.parameters.get("about") or "")

    @property
    def canonical(self) -> str:
        """Return the name that methods use: that of the entry which this file is an alias of, else its own."""
        return str(self.meta.get("alias_of") or self.name)


def groups() -> list[str]:
    return sorted(folder.name for folder in conf_dir().iterdir() if folder.is_dir())


def paths(group: str, config_dirs: Iterable[Path] = ()) -> dict[str, Path]:
    """Map the names of a group's entries to their files, in the user's own folders and in the shipped one."""
    by_name: dict[str, Path] = {}
    folders = list(dict.fromkeys(Path(folder).resolve() for folder in [*with_own(config_dirs), conf_dir()]))
    if not any((folder / group).is_dir() for folder in folders):
        raise InputError(f"group '{group}' does not exist; {suggest(group, groups(), 'sgbench list')}")
    for folder in folders:
        for name, path in _files(folder / group):
            if name in by_name:
                # Hydra would take one of the two in silence.
                raise InputError(f"{by_name[name]}: there is another {group} '{name}' in {folder}; rename yours")
            by_name[name] = path
    return dict(sorted(by_name.items()))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each entry below a group's folder, e.g. "snntorch/atan", and its file."""
    root = str(folder)  # strings, since making a `Path` for each file costs more than reading it
    for parent, _, names in os.walk(root):
        for file in (f"{parent}{os.sep}{name}" for name in names if name.endswith(".yaml")):
            yield file[len(root) + 1 : -len(".yaml")].replace(os.sep, "/"), Path(file)


def entries(group: str, config_dirs: Iterable[Path] = ()) -> dict[str, Entry]:
    return {name: read_entry(group, name, path) for name, path in paths(group, config_dirs).items()}


class EntriesOnDemand(Mapping[str, Entry]):
    """Maps names of one group to its entries, of which only those that are asked for are read, each once.

    >>> "atan" in EntriesOnDemand("surrogate"), "atn" in EntriesOnDemand("surrogate")
    (True, False)
    """

    def __init__(self, group: str, config_dirs: Iterable[Path] = ()) -> None:
        self.group, self.paths = group, paths(group, config_dirs)
        self._read: dict[str, Entry] = {}

    def __getitem__(self, name: str) -> Entry:
        """Read one entry, or raise KeyError where there is none of this name."""
        if name not in self._read:
            self._read[name] = read_entry(self.group, name, self.paths[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:

        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def entry(group: str, name: str, config_dirs: Iterable[Path] = ()) -> Entry:
    """Read one entry; the files of the others are not read."""
    folders = list(config_dirs)
    known = paths(group, folders)
    if name in known:
        return read_entry(group, name, known[name])
    for known_name, known_entry in entries(group, folders).items():
        if name in (known_entry.meta.get("aliases") or []):
            raise InputError(f"{group} '{name}' does not exist; sgbench calls it '{known_name}'")
    folder = name.rpartition("/")[0]
    same_folder = [other for other in known if other.rpartition("/")[0] == folder]  # not a hundred presets
    hint = suggest(name, same_folder or known, f"sgbench list {group}")
    raise InputError(f"{group} '{name}' does not exist; {hint}")


def read_entry(group: str, name: str, path: Path) -> Entry:
    """Read the entry in a file; an InputError if that is not YAML, or no mapping."""
    try:
        tree = pickle.loads(_parsed(path.read_text(encoding="utf-8")))  # noqa: S301 - written there
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable YAML file: {reason}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a mapping of names to values is needed")
    target = tree.get("_target_")
    meta = tree.get("meta") or {}
    own_keys = (meta.get("own") or []) if isinstance(meta, dict) else []
    return Entry(
        group=group,
        name=name,
        path=path,
        target=None if target is None else str(target),
        parameters={key: value for key, value in tree.items() if key not in (*META_KEYS, *own_keys)},
        meta=meta,
        own={key: tree[key] for key in own_keys if key in tree},
    )


@lru_cache(maxsize=4096)
def _parsed(text: str) -> bytes:
    """Parse YAML text, once; returns a pickle, from which each caller makes a tree of its own to change."""
    require_bounded(text)
    return pickle.dumps(yaml.load(text, Loader=SafeLoader) or {})  # noqa: S506 - it is safe


@lru_cache(maxsize=4096)
def require_bounded(text: str) -> None:
    r"""Raise a YAMLError if aliases in YAML text unfold to more than `MOST_VALUES` values, or to endless ones.

    >>> require_bounded("a: &a [1, 2]\nb: [*a, *a]")
    """
    if "&" not in text or "*" not in text:
        return
    root = yaml.compose(text, Loader=SafeLoader)
    if root is not None and _unfolded(root, {}) > MOST_VALUES:
        raise yaml.YAMLError(f"its aliases (&, *) unfold to more than {MOST_VALUES:,} values; write them out")


def _unfolded(node: yaml.Node, counted: dict[yaml.Node, int]) -> int:
    """Count the values to which a node unfolds; `counted` maps the nodes that were counted before to theirs."""
    if node not in counted:
        counted[node] = MOST_VALUES + 1  # of a node that holds itself, which has no end
        items = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = chain(*items) if isinstance(node, yaml.MappingNode) else items  # of a mapping: keys and values
        counted[node] = 1 + sum(_unfolded(child, counted) for child in children)
    return counted[node]


def require_bounded_files(folders: Iterable[Path]) -> None:
    """Raise an InputError for the first YAML file in the folders that `require_bounded` refuses.

    Hydra reads such files itself, and copies what an alias stands for each time it stands there. A file that begins
    with a byte order mark is refused too.
    """
    for path in chain.from_iterable(folder.rglob("*.yaml") for folder in folders):
        _require_bounded_file(path)


def _require_bounded_file(path: Path) -> None:
    """Raise an InputError for a file that `require_bounded` refuses, or that begins with a byte order mark."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith(BYTE_ORDER_MARK):
            raise InputError(
                f"{path}: begins with a byte order mark, behind which Hydra reads no package; save it without"
            )
        require_bounded(text)
    except (OSError, UnicodeDecodeError):
        return  # whoever asks for its entry is told
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error


class CatalogueReader:
    """Reads entries of the catalogue for one command, each file once, also from a user's folders `config_dirs`.

    A file that is edited later keeps its first reading. `allow_targets` names classes that entries may import.

    >>> catalogue = CatalogueReader()
    >>> catalogue.entry("surrogate", "atan") is catalogue.entry("surrogate", "atan")
    True
    """

    def __init__(self, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = ()) -> None:
        self._folders = [Path(folder) for folder in config_dirs]
        self._extra = frozenset([*allow_targets, *allowed(ALLOW_TARGET)])
        self._read: dict[tuple[str, str], Entry] = {}

    def entry(self, group: str, name: str) -> Entry:
        """Read one entry of the catalogue, once; see `entry`."""
        if (group, name) not in self._read:
            self._read[group, name] = entry(group, name, self._folders)
        return self._read[group, name]

    def allows(self, entry: Entry) -> bool:
        """Return whether an entry's target may be imported: it is shipped, a plugin's, or its exact name is allowed.

        A plugin allows its own through the entry-point group `sgbench.targets` (`name = "package.module:Class"`).
        """
        return entry.path.is_relative_to(conf_dir()) or entry.target in self._allowed

    @cached_property
    def _allowed(self) -> frozenset[str | None]:
        """Return the targets that any file may name: those of shipped entries, of plugins, and that the user allows."""
        shipped = (
            read_entry(group, path.stem, path).target  # of sgbench's own files alone
            for group in TARGET_GROUPS
            for path in (conf_dir() / group).rglob("*.yaml")
        )
        plugins = (point.value.replace(":", ".") for point in entry_points(group="sgbench.targets"))
        return frozenset({*shipped, *plugins, *WITHOUT_ENTRY, *self._extra})
