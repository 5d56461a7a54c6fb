"""A sweep is composed together; each of its points is what it would be alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

import sgbench.composition.compose
from sgbench.cli.run_hydra import Job
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.records.spec import RunSpec
from tests.messages import raises_naming

SWEEPS = {
    "values": ("optimizer.lr=0.01,0.02", "seed=0,1", "clip_norm=null,1"),
    "values before choices": ("seed=0,1", "width_fwhm=0.5,null", "surrogate=atan,zero"),
    "a readout of its own": ("neuron@readout=leaky_readout,leaky", "loss=max_over_time", "readout.beta=0.5,0.9"),
    "a value that others follow": ("protocol.dt_s=0.001,0.002", "neuron=leaky,synaptic"),
    "a list": ("protocol.hidden=[8],[8,4]", "surrogate=norse/super,triangle"),
    "an experiment over its defaults": ("experiment=digits", "encoder=latency,rate", "seed=range(2)"),
    "additions": ("+width_fwhm=0.5,1", "++seed=3,4", "optimizer.lr=0.1"),
    "deletions": ("~meta", "~surrogate.meta", "experiment=digits", "seed=0,1"),
    "a mapping as a value": ("neuron={beta:0.5},{beta:0.6}", "++neuron.beta=0.7", "neuron.threshold=1,2"),
    "a value before a mapping": ("++neuron.beta=0.7", "neuron={beta:0.5},{beta:0.6}"),
    "one value from another": ("seed=3", "neuron.beta=${.threshold},0.5", "neuron.threshold=0.25,0.5"),
    "words for Hydra": ("hydra.job.name=a", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"),
    "loggers": ("logger=csv,none", "group='a b',null", "seed=0,1"),
}
BAD = {
    "the third value": ("seed=0,1,-1", "surrogate=atan"),
    "the second choice": ("surrogate=atan,atann", "seed=0,1"),
    "two bad values": ("surrogate=atan,triangle", "seed=0,-1", "clip_norm=1,0"),
    "a bad value before a bad word for Hydra": ("neuron.bata=1,2", "hydra.jab=1,2"),
    "an unknown key": ("neuron.bata=1,2", "surrogate=atan"),
    "an unknown key added": ("+neuron.bata=1,2", "surrogate=atan"),
    "a key that is there already": ("+seed=1,2", "surrogate=atan"),
    "a deletion too many": ("~neuron.bata", "seed=0,1"),
    "a deletion of another value": ("~seed=1", "seed=0,1"),
    "a missing parameter": ("~neuron.beta", "seed=0,1"),
    "a group that is none": ("neuron@elsewhere=leaky", "seed=0,1"),
    "a package for a value": ("seed@elsewhere=0,1", "surrogate=atan"),
    "a target": ("neuron._target_=os.system,os.getcwd", "seed=0,1"),
    "a launcher by way of a value": ("hydra.launcher._target_=${group}", "group=a,b"),
    "a logging by way of a value": ("hydra.job_logging.root=${surrogate.meta}", "seed=0,1"),
    "no logging": ("hydra.job_logging=null", "seed=0,1"),
    "a circle": ("neuron.beta=${neuron.threshold}", "neuron.threshold=${neuron.beta},1"),
}


def points(words: Sequence[str]) -> list[list[str]]:
    """The points of Hydra's basic sweeper."""
    (found,) = BasicSweeper.split_arguments([*Overrides.of(words).parsed], None)
    return found


def alone(words: Sequence[str], folders: Sequence[Path] = (), allowed: Sequence[str] = ()) -> list[RunSpec]:
    """The definition: one composition for each point."""
    return [compose(point, config_dirs=folders, allow_targets=allowed) for point in points(words)]


@pytest.fixture
def merges(every_merge_is_hydras: None, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of each of Hydra's compositions so far."""
    counted: list[list[str]] = []
    merge = sgbench.composition.compose.merge

    def count(overrides: Overrides, folders: Sequence[Path]) -> object:
        counted.append(overrides.texts)
        return merge(overrides, folders)

    monkeypatch.setattr(sgbench.composition.compose, "merge", count)
    return counted


LONG = (
    "a readout of its own",
    "a value that others follow",
    "a list",
    "a value before a mapping",
    "values before choices",
    "loggers",
)
"""Sweeps much like another one here, and long to compose."""


@pytest.mark.one_in(16)
@pytest.mark.parametrize(
    "words",
    [pytest.param(words, id=name, marks=pytest.mark.slow if name in LONG else []) for name, words in SWEEPS.items()],
)
def test_a_point_of_a_sweep_is_what_it_is_alone(words: tuple[str, ...]) -> None:
    """Expected: equal specs in equal order."""
    assert list(plan(words, multirun=True).specs) == alone(words)


@pytest.mark.slow
def test_the_shipped_sweep_is_its_points() -> None:
    """Expected: a sweep from the configuration gives the same as its points in words."""
    given = catalogue.entry("sweep", "quickstart").parameters["hydra"]["sweeper"]["params"]
    words = ["sweep=quickstart", *(f"{key}={value}" for key, value in given.items())]
    assert list(plan(["sweep=quickstart"]).specs) == alone(words)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=[pytest.mark.slow] * (place % 4 > 0))
        for place, (name, words) in enumerate(BAD.items())
    ],
)
def test_a_bad_point_is_refused_as_it_is_alone(words: tuple[str, ...]) -> None:
    """Expected: the message of the first bad point, as `compose` gives it."""
    with pytest.raises(InputError) as told_alone:
        alone(words)
    with pytest.raises(InputError) as told:
        plan(words, multirun=True)
    assert str(told.value) == str(told_alone.value)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (("seed=range(20)", "optimizer.lr=0.01,0.02", "+width_fwhm=0.5,1"), 1),
        (("seed=0,1,2", "surrogate=atan,triangle", "neuron@readout=leaky_readout,leaky"), 4),
        (("surrogate=atan,triangle", "neuron.beta=0.5,0.6,0.7", "~neuron.meta", "++seed=3,4"), 2),
        (("neuron={beta:0.5},{beta:0.6}", "seed=0,1"), 1),
    ],
)
def test_hydra_merges_once_for_each_set_of_choices(
    words: tuple[str, ...], choices: int, merges: list[list[str]]
) -> None:
    """Expected: one composition more, of the words that are not swept, decides whether this is a sweep."""
    plan(words, multirun=True)
    assert len(merges) == choices + 1


def test_an_entry_is_read_once_in_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: as many reads of the files of the catalogue for forty points as for two."""
    read = catalogue.read_entry
    counted: list[Path] = []

    def count(group: str, name: str, path: Path) -> catalogue.Entry:
        counted.append(path)
        return read(group, name, path)

    monkeypatch.setattr(catalogue, "read_entry", count)
    plan(["seed=0,1"], multirun=True)
    few = len(counted)
    plan(["seed=range(40)"], multirun=True)
    assert len(counted) == 2 * few


def _own(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


@pytest.mark.slow
def test_entries_of_ones_own(tmp_path: Path) -> None:
    """Expected: the same as alone, allowed or not."""
    body = "_target_: mine.Half\nnormalisation: raw\nscale: 1.0\nmeta:\n  line: Half.\n"
    folders = [_own(tmp_path, "surrogate/half.yaml", body)]
    words = ("surrogate=atan,half", "seed=0,1")
    found = plan(words, multirun=True, config_dirs=folders, allow_targets=["mine.Half"]).specs
    assert list(found) == alone(words, folders, ["mine.Half"])
    with raises_naming(InputError, "--allow-target mine.Half"):
        plan(words, multirun=True, config_dirs=folders)


def test_a_group_of_ones_own_with_the_name_of_a_value(tmp_path: Path) -> None:
    """Expected: Hydra takes the word for a choice, alone and in a sweep."""
    folders = [_own(tmp_path, "seed/seven.yaml", "{}\n")]
    with pytest.raises(InputError, match="a string or a list"):
        plan(["seed=7", "optimizer.lr=0.1,0.2"], multirun=True, config_dirs=folders)
    words = [f"hydra.searchpath=[file://{tmp_path}]", "seed=7,8"]
    with pytest.raises(InputError, match="a string or a list"):
        plan(words, multirun=True)


@pytest.mark.slow
def test_a_job_finds_its_spec_by_number_and_words() -> None:
    """Expected: at each place the spec of that point; nothing for the words of another, or beyond the last."""
    words = ("hydra/launcher=joblib", "~surrogate.meta", "surrogate=atan,triangle", "seed=0,1")
    planned = plan(words, multirun=True)
    jobs = points(words[1:])  # Hydra does not count its own words
    for place, job in enumerate(jobs):
        assert planned.spec_at(place, job) == compose(job)
        assert planned.spec_at(place, ["hydra.job.num=3", *job]) == compose(job)
        assert planned.spec_at((place + 1) % 4, job) is None
    assert planned.spec_at(4, jobs[3]) is None


def test_one_point_is_no_sweep(merges: list[list[str]]) -> None:
    """Expected: one composition, and several values need -m."""
    planned = plan(["surrogate=atan", "seed=3"])
    assert (list(planned.specs), planned.is_sweep) == ([compose(["surrogate=atan", "seed=3"])], False)
    assert len(merges) == 2
    with pytest.raises(InputError, match="add -m"):
        plan(["seed=3,4"])


def test_a_job_leaves_the_tree_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: what Hydra hands to a job can be read again afterwards."""
    config = sgbench.composition.compose.raw_config(Overrides.of(["surrogate=atan", "seed=3"]))
    unplanned = {"job": SimpleNamespace(num=9), "overrides": SimpleNamespace(task=["seed=3"])}
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(**unplanned, runtime=config.hydra.runtime))
    job = Job(plan(["surrogate=atan"]), [], [])
    first = job._spec(config)
    assert "hydra" in config
    assert job._spec(config) == first == compose(["surrogate=atan", "seed=3"])


def test_an_override_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Must match: one reading of each text by us, though composing, merging and planning four points ask for it."""
    seen: list[str] = []

    class Counted:
        @staticmethod
        def create() -> Counted:
            return Counted()

        def parse_overrides(self, overrides: list[str]) -> list[Override]:
            seen.extend(overrides)
            return OverridesParser.create().parse_overrides(overrides)

    words = ["protocol.epochs=3711", "surrogate.alpha=1.0625,1.1875", "seed=777,778"]  # no other test has read them
    for module in ("overrides", "hydra_internals"):
        monkeypatch.setattr(f"sgbench.composition.{module}.OverridesParser", Counted, raising=False)
    assert len(plan(words, multirun=True).specs) == 4
    assert [seen.count(word) for word in words] == [1, 1, 1]


def test_points_are_counted_for_each_place_of_a_group() -> None:
    """By hand: the neuron of the hidden layers and that of the readout are two keys, with 2 values each."""
    typed = Overrides.of(["neuron=leaky,lapicque", "neuron@readout=leaky,lapicque"])
    assert typed.count_points() == 4 == len(plan(typed, multirun=True).specs)
    assert [override.package for override in typed.first_values().parsed] == [None, "readout"]
