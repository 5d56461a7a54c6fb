"""Trees that the tests keep on disk are those that Hydra merges, while nothing that they follow from changes."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hydra._internal import config_loader_impl, defaults_list
from hydra.errors import HydraException
from omegaconf import OmegaConf
from yaml import YAMLError

from sgbench.composition import compose
from sgbench.composition.overrides import Overrides
from sgbench.paths import conf_dir
from tests import kept_merges

WORDS = Overrides.of(["surrogate=triangle", "neuron.beta=0.8"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which trees are kept."""
    monkeypatch.setattr(kept_merges, "FOLDER", tmp_path / "merged")
    return tmp_path / "merged"


@contextmanager
def hydra_itself() -> Iterator[None]:
    """Nothing that Hydra makes is kept meanwhile, and it leaves nothing out."""
    loader = config_loader_impl.ConfigLoaderImpl
    make_map = inspect.unwrap(defaults_list._create_interpolation_map)
    with (
        mock.patch.object(defaults_list, "_create_interpolation_map", make_map),
        mock.patch.object(OmegaConf, "load", staticmethod(inspect.unwrap(OmegaConf.load))),
        mock.patch.object(
            config_loader_impl, "create_defaults_list", inspect.unwrap(config_loader_impl.create_defaults_list)
        ),
        mock.patch.object(
            loader, "_compose_config_from_defaults_list", inspect.unwrap(loader._compose_config_from_defaults_list)
        ),
    ):
        yield


def outcome(words: list[str]) -> str:
    """What is merged of words, as text; or how they are refused."""
    try:
        return OmegaConf.to_yaml(inspect.unwrap(compose.merge)(Overrides.of(words), []))
    except HydraException as error:
        return f"{type(error).__name__}: {error}"


def is_choice(word: str) -> bool:
    """Whether a word of these tests names an entry."""
    return word.startswith(("surrogate=", "+surrogate=", "neuron@"))


def written(folder: Path) -> dict[Path, int]:
    """All kept files, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.pickle")}


def test_a_kept_tree_is_the_one_that_hydra_merges(folder, tmp_path, monkeypatch):
    """Must match: Hydra's own tree, when it is kept and when it is read, from another working folder too."""
    compose.register_resolvers()
    with hydra_itself():
        expected = OmegaConf.to_container(inspect.unwrap(compose.merge)(WORDS, []))
    first = compose.merge(WORDS, [])
    assert OmegaConf.to_container(first) == expected
    kept = written(folder)
    assert len(kept) == 3, "the list of files, their tree, and that of the words"
    first.seed = 99  # of this caller alone
    monkeypatch.chdir(tmp_path)
    again = OmegaConf.to_container(compose.merge(WORDS, []))
    assert again["hydra"]["runtime"].pop("cwd") == str(tmp_path)
    del expected["hydra"]["runtime"]["cwd"]
    assert again == expected
    assert written(folder) == kept, "they were read"


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        ["neuron.threshold=2", "+width_fwhm=0.5", "++seed=3", "paths.runs_dir={folder}"],
        ["neuron={beta:0.5}", "neuron@readout=leaky", "~neuron.meta", "hydra.job.name=mine"],
        ["~neuron.nobody"],
        ["+surrogate=atan"],
    ],
    ids=" ".join,
)
def test_values_are_set_in_kept_files_as_hydra_sets_them(words, folder, tmp_path):
    """Must match: Hydra's own tree or refusal, where the files of these choices are kept for other values."""
    compose.register_resolvers()
    given = ["surrogate=triangle", *(word.replace("{folder}", str(tmp_path)) for word in words)]
    with hydra_itself():
        expected = outcome(given)
    outcome(["surrogate=atan"])  # other choices, whose files are kept beside these
    outcome([word for word in given if is_choice(word)])
    before = written(folder)
    assert outcome(given) == expected
    assert written(folder) == before, "values lead to no other files"


def test_a_default_that_names_another_choice_gets_that(folder, tmp_path):
    """Must match: Hydra's own tree, where an entry is the choice of another group. Must differ: per choice."""
    compose.register_resolvers()
    for name in ("one", "other"):
        for group, text in {
            "experiment": "# @package _global_\ndefaults: [/loss@extra: '${experiment}', _self_]\n",
            "loss": f"name: {name}\n",
        }.items():
            path = tmp_path / "own" / group / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for name in ("one", "other"):
        given = Overrides.of([f"experiment={name}"]), [tmp_path / "own"]
        found = inspect.unwrap(compose.merge)(*given)
        with hydra_itself():
            assert found == inspect.unwrap(compose.merge)(*given)
        assert found.extra.name == name


def test_files_of_others_are_read_each_time(folder, tmp_path):
    """Must differ: an entry of a folder of one's own, when its file has another value, and when it is gone."""
    compose.register_resolvers()
    own = tmp_path / "own" / "surrogate" / "mine.yaml"
    own.parent.mkdir(parents=True)
    text = (conf_dir() / "surrogate" / "atan.yaml").read_text()
    for name in ("one", "other"):
        own.write_text(text.replace("_target_:", f"name_of_file: {name}\n_target_:"))
        assert compose.merge(Overrides.of(["surrogate=mine"]), [own.parent.parent]).surrogate.name_of_file == name
    own.unlink()
    with pytest.raises(HydraException):
        compose.merge(Overrides.of(["surrogate=mine"]), [own.parent.parent])


def test_a_text_of_yaml_is_parsed_once(tmp_path):
    """Must match: what is given twice, without what one caller wrote into its own. Must differ: of another text."""
    parsed: list[str] = []

    def parse(file):
        parsed.append(file.name)
        return inspect.unwrap(OmegaConf.load)(file)

    load, path = kept_merges._parsed_once(parse), tmp_path / "one.yaml"
    path.write_text("a: [1, {b: x}]\n")
    with path.open() as file:
        load(file).a[1].b = "written"
    with path.open() as file:
        assert load(file) == {"a": [1, {"b": "x"}]}
    assert parsed == [str(path)]
    path.write_text("a: 2\n")
    with path.open() as file:
        assert load(file) == {"a": 2}
    assert len(parsed) == 2
    path.write_text("a: [\n")
    for _ in range(2):
        with pytest.raises(YAMLError, match=re.escape(str(path))), path.open() as file:
            load(file)


def test_refused_words_keep_nothing(folder):
    """Must differ: an entry that does not exist is refused each time, and no file is there."""
    for _ in range(2):
        with pytest.raises(HydraException):
            compose.merge(Overrides.of(["surrogate=no_such_entry"]), [])
    assert list(folder.rglob("*.pickle")) == []


def test_a_changed_file_is_another_key(tmp_path):
    """Must differ: the digest of the shipped files, and of a copy in which one byte is added."""
    shutil.copytree(conf_dir() / "surrogate", tmp_path / "surrogate")
    one = kept_merges._sources.__wrapped__(str(tmp_path))
    assert one == kept_merges._sources.__wrapped__(str(tmp_path))
    with (tmp_path / "surrogate" / "atan.yaml").open("a") as file:
        file.write("#")
    assert kept_merges._sources.__wrapped__(str(tmp_path)) != one
