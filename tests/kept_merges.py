"""Hydra takes a quarter of a second to merge the files of a run; the tests have it merge each set of files once.

What it makes is kept on disk for the next process and the next session, below `.pytest_cache`: the list of files
that a set of choices leads to, their merged tree, and the whole tree of a list of words. Values are set by Hydra in
a copy of the tree of files. A key is what a tree follows from: the bytes of all shipped files and of the code that
merges them, Hydra's version, the places where plugins add files, and the words. Words with folders of their own,
and refused ones, are merged each time. A text of YAML is parsed once a process, whoever wrote it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import omegaconf
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf, open_dict, read_write

from sgbench.composition.overrides import Overrides as Typed
from tests.rooms import PACKAGE, ROOT

FOLDER = ROOT / ".pytest_cache" / "merged"
CODE = (PACKAGE / "composition", ROOT / "hydra_plugins")


def install() -> None:
    """Have the package look for a tree before it merges one; what a caller gets is a copy of its own."""
    from sgbench.composition import compose, hydra_internals

    compose.merge = _without_folders(compose.merge)
    config_loader_impl.create_defaults_list = _lists_once(config_loader_impl.create_defaults_list)
    loader = config_loader_impl.ConfigLoaderImpl
    loader._compose_config_from_defaults_list = _files_once(loader._compose_config_from_defaults_list)
    defaults_list._create_interpolation_map = _mapped_where_named(defaults_list._create_interpolation_map)
    OmegaConf.load = staticmethod(_parsed_once(OmegaConf.load))
    hydra_internals.merge_ours = functools.partial(_kept, "ours", inspect.unwrap(hydra_internals.merge_ours))


def _parsed_once(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a text of YAML is in this process, whichever file it is read from; parsing is slow."""
    pickled: dict[str, bytes] = {}

    @functools.wraps(parse)
    def parsed(file: Any) -> Any:
        if not hasattr(file, "read") or not file.seekable():
            return parse(file)
        place, text = file.tell(), file.read()
        if text not in pickled:
            file.seek(place)
            pickled[text] = pickle.dumps(parse(file))
        return pickle.loads(pickled[text])  # noqa: S301 - made above

    return parsed


def _mapped_where_named(make: Callable[..., Any]) -> Callable[..., Any]:
    """Map groups to choices only for lists of defaults in which one names another's choice, which alone read it."""

    @functools.wraps(make)
    def made(overrides: Overrides, defaults: list[Any], self_added: bool) -> Any:
        named = any(default.is_interpolation() for default in defaults)
        return make(overrides, defaults, self_added) if named else OmegaConf.create()

    return made


def _without_folders(merge: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function merges of shipped files alone."""

    @functools.wraps(merge)
    def merged_once(overrides: Typed, folders: Sequence[Path]) -> Any:
        words = tuple(overrides.texts)
        passing = any(tempfile.gettempdir() in word for word in words)  # comes once, so it is not worth its place
        return (
            merge(overrides, folders) if folders or passing else _kept("checked", lambda _: merge(overrides, []), words)
        )

    return merged_once


def _lists_once(create: Callable[..., DefaultsList]) -> Callable[..., DefaultsList]:
    """Keep which files are merged for choices, with whatever values they stand."""

    @functools.wraps(create)
    def created_once(
        repo: Any, config_name: str | None, overrides_list: list[Any], prepend_hydra: bool, skip_missing: bool
    ) -> DefaultsList:
        values = Overrides(repo, overrides_list).config_overrides
        choices = [given for given in overrides_list if not any(given is value for value in values)]

        def make() -> DefaultsList:
            return create(repo, config_name, choices, prepend_hydra, skip_missing)

        if config_name is None or not _is_ours(repo):  # Hydra's own help has no configuration of ours
            found = make()
        else:
            words = [config_name, f"{prepend_hydra} {skip_missing}", *(given.input_line for given in choices)]
            found = _loaded("list", words, make)
        found.config_overrides = values
        return found

    return created_once


def _files_once(merge: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the tree of a list of files."""

    @functools.wraps(merge)
    def merged_once(loader: Any, defaults: list[Any], repo: Any) -> Any:
        if not _is_ours(repo):
            return merge(loader, defaults, repo)
        return _loaded("files", map(repr, defaults), lambda: merge(loader, defaults, repo))

    return merged_once


def _is_ours(repo: Any) -> bool:
    """Return whether files are looked for where those of sgbench and of plugins are, and nowhere else."""
    ours = {place.path.removeprefix("pkg://").removeprefix("file://") for place in _search_path()}
    return {source.path for source in repo.get_sources() if source.path} <= ours


def _kept(kind: str, merge: Callable[[tuple[str, ...]], Any], words: tuple[str, ...]) -> Any:
    """Return the tree of words from the disk, or merge and keep it; the working folder in it is today's."""
    tree = _loaded(kind, words, lambda: merge(words))
    with read_write(tree), open_dict(tree):
        tree.hydra.runtime.cwd = os.getcwd()  # noqa: PTH109 - as Hydra writes it
    return tree


def _loaded(kind: str, words: Iterable[str], make: Callable[[], Any]) -> Any:
    """Return a copy of what was made of words, from the disk, or make and keep it."""
    path = FOLDER / _sources(str(_conf_dir())) / f"{digest([kind, *_places(), *words])}.pickle"
    if not path.is_file():
        _write(path, pickle.dumps(make()))
    return pickle.loads(path.read_bytes())  # noqa: S301 - written above


def _conf_dir() -> Path:
    from sgbench.paths import conf_dir

    return conf_dir()


def _places() -> Iterator[str]:
    """Yield where files are looked for, and the names of all trees that plugins have registered."""
    for place in _search_path():
        yield f"{place.provider} {place.path}"
    yield repr(_names(ConfigStore.instance().repo))


def _search_path() -> Any:
    from sgbench.composition import hydra_internals

    return hydra_internals.create_config_search_path(str(_conf_dir())).get_path()


def _names(repository: dict[str, Any]) -> list[Any]:
    return [[name, _names(node) if isinstance(node, dict) else ""] for name, node in sorted(repository.items())]


@functools.cache
def _sources(conf: str) -> str:
    """Digest all that a tree follows from besides words and plugins."""
    versions = [sys.version, hydra.__version__, omegaconf.__version__, conf]
    files = [*Path(conf).rglob("*.yaml"), *(path for folder in CODE for path in folder.rglob("*.py"))]
    return digest([*versions, *(part for path in sorted(files) for part in (str(path), path.read_bytes()))])


def digest(parts: Iterable[str | bytes]) -> str:
    """Digest parts, each with its length, so that no two lists of parts have one digest.

    >>> digest(["ab", "c"]) == digest(["a", "bc"])
    False
    """
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    """Write a file whole, for it may be read at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    Path(draft).replace(path)


def forget_older() -> None:
    """Remove the trees of sources that have changed since."""
    for folder in FOLDER.glob("*"):
        if folder.name != _sources(str(_conf_dir())):
            shutil.rmtree(folder, ignore_errors=True)  # another session may do the same
