"""The catalogue as a whole: files, parameters and descriptions, for every entry that conf/ holds."""

import dataclasses
import importlib
import inspect
import os
import re
from pathlib import Path

import pytest

import sgbench
from sgbench.composition import catalogue
from sgbench.composition.catalogue import META_KEYS, TARGET_GROUPS, Entry
from sgbench.errors import InputError
from sgbench.paths import conf_dir
from sgbench.training.build import PROVIDED
from tests.messages import raises_naming

PACKAGE = Path(sgbench.__file__).parent
WRAPPERS = {
    "sgbench.datasets.tonic_sets.OwnTonic",
    "sgbench.datasets.redrawn.Redrawn",
    "sgbench.datasets.own.Own",
    "sgbench.datasets.idx_images.IdxImages",
    "sgbench.datasets.camera_twins.CameraTwin",
    "sgbench.datasets.sequences.ImageSequence",
}
"""Made around an entry by what a protocol says, what a user's own data are made of, and what two entries share."""
ALL = [entry for group in catalogue.groups() for entry in catalogue.entries(group).values()]
WITH_TARGET = [
    entry
    for group in TARGET_GROUPS
    for entry in catalogue.entries(group).values()
    # The absence of a logger or callback is the only entry without a class.
    if (group, entry.name) not in (("logger", "none"), ("callback", "none"))
]
SOURCED = ("surrogate", "neuron", "rule", "dataset")
PLURALS = {"loss": "losses", "steepness": "steepness", "firing": "firing", "weights": "quantisers"}
FOLDERS = [
    PLURALS.get(group, f"{group}s") for group in TARGET_GROUPS if group not in ("callback", "logger", "optimizer")
]
every_target = pytest.mark.parametrize("entry", WITH_TARGET, ids=lambda entry: f"{entry.group}/{entry.name}")
every_folder = pytest.mark.parametrize("folder", FOLDERS)
every_file = pytest.mark.parametrize("entry", ALL, ids=lambda entry: f"{entry.group}/{entry.name}")


def target_of(entry: Entry) -> object:
    """What the entry's `_target_` names."""
    module, _, name = entry.target.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.one_in(5)
@every_target
def test_file_and_class_agree(entry):
    """Expected: what each of these says of itself, for an entry with a class."""
    for check in (names_every_parameter, is_allowed_and_takes_what_is_provided, has_one_line, has_sources):
        check(entry)


def names_every_parameter(entry):
    """Expected: the signature without what the builder gives, so that no Python default hides in a result."""
    parameters = inspect.signature(target_of(entry)).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    assert set(entry.parameters) == set(parameters) - set(PROVIDED[entry.group])


def test_a_missing_parameter_would_be_noticed(tmp_path):
    """Must differ: the comparison above fails for a file that leaves one parameter out."""
    path = tmp_path / "atan.yaml"
    shipped = catalogue.entry("surrogate", "atan")
    path.write_text(shipped.path.read_text().replace("scale: 1.0\n", ""))
    shortened = catalogue.read_entry("surrogate", "atan", path)
    assert shortened.target == shipped.target
    with pytest.raises(AssertionError):
        names_every_parameter(shortened)


def is_allowed_and_takes_what_is_provided(entry):
    """Expected: on the allow-list, and the builder's names are of its group."""
    assert catalogue.CatalogueReader().allows(entry)
    assert callable(target_of(entry))
    assert not set(entry.parameters) & set(PROVIDED[entry.group])


def test_provided_covers_the_groups_with_targets():
    """Expected: the builder knows exactly the groups whose entries are classes."""
    assert set(PROVIDED) == set(TARGET_GROUPS)


def has_one_line(entry):
    """Expected: `meta.line`, one sentence on one line that ends with a full stop, short enough for a table."""
    line = entry.meta.get("line")
    assert isinstance(line, str)
    assert re.fullmatch(r"[A-Z0-9]\S*( \S+)*\.", line), line
    assert len(line) <= 110


def has_sources(entry):
    """Expected: at least one source where a claim of the literature is implemented."""
    sources = entry.meta.get("sources", [])
    assert isinstance(sources, list)
    assert all(isinstance(source, str) and len(source) > 10 for source in sources)
    assert sources or entry.group not in SOURCED


@pytest.mark.one_in(5)
@every_file
def test_entry_describes_itself(entry):
    """Expected: something for the list of every group, also of groups that are data."""
    assert entry.line.strip() == entry.line != ""
    assert "\n" not in entry.line
    assert not set(entry.parameters) & set(META_KEYS)


@pytest.mark.parametrize("group", catalogue.groups())
def test_names_are_unique_and_plain(group):
    """Expected: lower case, digits and underscores, but for the names that other libraries gave; no alias twice."""
    entries = catalogue.entries(group)
    for name in entries:
        assert re.fullmatch(r"[a-z0-9_]+(/[A-Za-z0-9_]+)?", name), name
    names = [name for entry in entries.values() for name in (entry.name, *entry.meta.get("aliases", []))]
    assert len(names) == len(set(names)), sorted(names)


def test_names_of_files_are_unique_within_a_group():
    """Expected: no two files of one group that a file system without case would merge."""
    paths = [path.relative_to(conf_dir()).as_posix().lower() for path in conf_dir().rglob("*") if path.is_file()]
    assert len(paths) == len(set(paths))
    stems = [path.rsplit(".", 1)[0] for path in paths]
    assert len(stems) == len(set(stems))


def test_conf_holds_yaml_alone():
    """Expected: choices are data; no Python, and no second spelling of the suffix."""
    files = [path for path in conf_dir().rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} == {".yaml"}


@every_folder
def test_folder_of_a_group_registers_nothing(folder):
    """Expected: an empty `__init__.py`; the YAML's `_target_` is the registration."""
    assert (PACKAGE / folder / "__init__.py").read_text() == ""


@every_folder
def test_every_class_of_a_group_can_be_chosen(folder):
    """Expected: each concrete class that fulfils its group's contract is the target of some entry.

    The contract is the abstract class of `base` that all entries have; what entries make may have one there too.
    """
    base = importlib.import_module(f"sgbench.{folder}.base")
    own = [one for one in vars(base).values() if inspect.isclass(one) and one.__module__ == base.__name__]
    targets = {entry.target for entry in WITH_TARGET}
    made = [target_of(entry) for entry in WITH_TARGET if entry.target.startswith(f"sgbench.{folder}.")]
    (contract,) = (one for one in filter(inspect.isabstract, own) if all(issubclass(each, one) for each in made))
    for path in (PACKAGE / folder).glob("*.py"):
        module = importlib.import_module(f"sgbench.{folder}.{path.stem}")
        for name, one in vars(module).items():
            own = inspect.isclass(one) and one.__module__ == module.__name__ != base.__name__
            if own and issubclass(one, contract) and not inspect.isabstract(one):
                assert f"{module.__name__}.{name}" in targets | WRAPPERS


def test_unreadable_files_are_refused_by_path(tmp_path):
    """Expected: an InputError on one line that names the file."""
    for text in ("a: [", "- 1", "\t"):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=r"bad\.yaml: ") as caught:
            catalogue.read_entry("surrogate", "bad", path)
        assert "\n" not in str(caught.value)


def test_unknown_names_are_refused_with_the_nearest():
    """Expected: an InputError that suggests."""
    with raises_naming(InputError, "'atam'", "'atan'"):
        catalogue.entry("surrogate", "atam")
    with raises_naming(InputError, "'surogate'", "'surrogate'"):
        catalogue.entries("surogate")


def test_a_folder_of_ones_own_adds_entries(tmp_path):
    """Expected: an entry of the user's own is listed with the shipped ones; one of a shipped name is refused."""
    folder = tmp_path / "surrogate"
    folder.mkdir()
    (folder / "mine.yaml").write_text("_target_: my.mine\nmeta: {line: Mine.}\n")
    found = catalogue.entries("surrogate", [tmp_path])
    assert found["mine"].target == "my.mine"
    assert found.keys() == catalogue.entries("surrogate").keys() | {"mine"}
    assert not catalogue.CatalogueReader().allows(found["mine"])
    assert catalogue.CatalogueReader(allow_targets=["my.mine"]).allows(found["mine"])
    again = dataclasses.replace(found["mine"], target=catalogue.entry("surrogate", "atan").target)
    assert catalogue.CatalogueReader().allows(again)
    (folder / "atan.yaml").write_text("_target_: my.atan\nmeta: {line: Mine.}\n")
    with pytest.raises(InputError, match="rename yours"):
        catalogue.entries("surrogate", [tmp_path])


def test_a_file_is_read_as_it_is(tmp_path):
    """Expected: what it holds, though its size and time stayed; what another caller changed is not seen."""
    path = tmp_path / "mine.yaml"
    path.write_text("beta: 0.5\nmeta: {line: Mine.}\n")
    times = path.stat()
    catalogue.read_entry("neuron", "mine", path).meta["line"] = "Yours."
    first = catalogue.read_entry("neuron", "mine", path)
    assert (first.parameters, first.meta) == ({"beta": 0.5}, {"line": "Mine."})
    path.write_text("beta: 0.7\nmeta: {line: Mine.}\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert catalogue.read_entry("neuron", "mine", path).parameters == {"beta": 0.7}


def test_entries_on_demand_are_those_of_the_group_and_read_when_asked_for(tmp_path):
    """Must match: names and entries, each read once. Must differ: a broken file matters to its own entry alone."""
    folder = tmp_path / "surrogate"
    folder.mkdir()
    (folder / "mine.yaml").write_text("a: [")
    late, whole = catalogue.EntriesOnDemand("surrogate", [tmp_path]), catalogue.entries("surrogate")
    assert set(late) == {*whole, "mine"}
    assert len(late) == len(whole) + 1
    assert all(late[name] == entry and late[name] is late.get(name) for name, entry in whole.items())
    assert late.get("atam") is None
    with pytest.raises(InputError, match=r"mine\.yaml: "):
        late.get("mine")
