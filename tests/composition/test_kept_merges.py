"""Trees that the tests keep on disk are those that Hydra merges, while nothing that they follow from changes."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from sgbench.composition import compose
from sgbench.paths import conf_dir
from tests import kept_merges

WORDS = ["surrogate=triangle", "neuron.beta=0.8"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which trees are kept."""
    monkeypatch.setattr(kept_merges, "FOLDER", tmp_path / "merged")
    return tmp_path / "merged"


def test_a_kept_tree_is_the_one_that_hydra_merges(folder, tmp_path, monkeypatch):
    """Must match: Hydra's own tree, when it is kept and when it is read, from another working folder too."""
    compose.register_resolvers()
    expected = OmegaConf.to_container(inspect.unwrap(compose.merge)(WORDS, []))
    first = compose.merge(WORDS, [])
    assert OmegaConf.to_container(first) == expected
    (kept,) = folder.rglob("*.pickle")
    before = kept.stat().st_mtime_ns
    first.seed = 99  # of this caller alone
    monkeypatch.chdir(tmp_path)
    again = OmegaConf.to_container(compose.merge(WORDS, []))
    assert again["hydra"]["runtime"].pop("cwd") == str(tmp_path)
    del expected["hydra"]["runtime"]["cwd"]
    assert again == expected
    assert [kept] == list(folder.rglob("*.pickle"))
    assert kept.stat().st_mtime_ns == before, "it was read"


def test_refused_words_keep_nothing(folder):
    """Must differ: an entry that does not exist is refused each time, and no file is there."""
    for _ in range(2):
        with pytest.raises(HydraException):
            compose.merge(["surrogate=no_such_entry"], [])
    assert list(folder.rglob("*.pickle")) == []


def test_a_changed_file_is_another_key(tmp_path):
    """Must differ: the digest of the shipped files, and of a copy in which one byte is added."""
    shutil.copytree(conf_dir() / "surrogate", tmp_path / "surrogate")
    one = kept_merges._sources.__wrapped__(str(tmp_path))
    assert one == kept_merges._sources.__wrapped__(str(tmp_path))
    with (tmp_path / "surrogate" / "atan.yaml").open("a") as file:
        file.write("#")
    assert kept_merges._sources.__wrapped__(str(tmp_path)) != one
