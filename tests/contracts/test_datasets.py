"""Every data set of the catalogue: its facts, its checksums, what it loads and what changes are refused.

Legend: N input channels; a split is train, validation or test.
"""

import dataclasses
import functools
from pathlib import Path

import pytest
import torch

import sgbench.datasets
from fastspiking.signals.spikes import SpikeTrains
from sgbench.composition import catalogue
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.checks import check
from sgbench.encoders.base import Values, form_of
from sgbench.errors import InputError
from sgbench.paths import default_data_dir
from tests.entries import made
from tests.messages import raises_naming
from tests.thinned import thinned

NAMES = list(catalogue.entries("dataset"))
every_data_set = pytest.mark.parametrize("name", NAMES)
LARGE = ("evidence_accumulation", "store_recall", "loop_twin", "saccade_twin")
# Files are compared while they are read, see tests/datasets/test_images.py.
every_made_one = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE))
        for name in NAMES
        if catalogue.entry("dataset", name).meta["origin"] != "files"
    ],
)


@functools.cache
def make(name: str) -> DataSet:
    return made("dataset", name)


@functools.cache
def load_once(name: str) -> dict[Split, Samples]:
    return make(name).load(default_data_dir())


def loaded(name: str) -> dict[Split, Samples]:
    """The splits of an entry, or a skip where its files are not on this machine."""
    absent = make(name).missing(default_data_dir())
    if absent is not None:
        pytest.skip(absent)
    return load_once(name)


@pytest.mark.one_in(5)
@every_data_set
def test_facts_are_known_before_loading(name):
    """Expected: the contract; sizes, shape, source, licence and checksum are there, and the entry says the same."""
    data_set, meta = make(name), catalogue.entry("dataset", name).meta
    assert data_set.n_inputs >= 1
    assert data_set.target == meta.get("target", "class")
    assert data_set.n_classes == meta["classes"]
    assert data_set.n_classes >= 2 if "class" in data_set.target else data_set.n_classes == 0
    assert data_set.outputs() >= 1
    unread = meta.get("original") == "never read here"
    assert data_set.sizes == {split: size or 0 for split, size in meta["sizes"].items()}
    assert set(data_set.sizes) == set(SPLITS)
    assert all(size > 0 for size in data_set.sizes.values()) or unread
    assert data_set.source
    assert data_set.licence == meta["licence"]
    assert data_set.origin == meta["origin"]
    assert data_set.sha256 == meta["sha256"]
    assert (data_set.sha256 is None) == unread
    assert unread or (len(data_set.sha256) == 64 and int(data_set.sha256, 16) > 0)
    assert ("download" in meta) == (data_set.origin == "files")


def test_checksums_are_stated_once():
    """Expected: in conf/dataset alone, or computed from those of files; no module of the package repeats one."""
    modules = [path.read_text() for path in Path(sgbench.datasets.__path__[0]).glob("*.py")]
    stated = [catalogue.entry("dataset", name).meta["sha256"] for name in NAMES]
    assert not [sha256 for sha256 in filter(None, stated) if any(sha256 in text for text in modules)]


def test_a_class_takes_its_facts_from_its_entry():
    """Expected: every fact of `meta`; what the class states itself goes first. Must differ: no entry."""

    class Named(DataSet, entry="mackey_glass"):
        licence = "mine"

        def load(self, data_dir):
            raise NotImplementedError

    meta = catalogue.entry("dataset", "mackey_glass").meta
    assert (Named.n_classes, Named.target, Named.sizes) == (0, "trace", meta["sizes"])
    assert (Named.origin, Named.sha256, Named.licence) == ("generated", meta["sha256"], "mine")
    assert not hasattr(DataSet, "sha256")
    with raises_naming(InputError, "'mackey_gas'", "'mackey_glass'"):
        type("Misspelt", (DataSet,), {}, entry="mackey_gas")


@pytest.mark.one_in(10)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE or place % 3 > 0))
        for place, name in enumerate(NAMES)
    ],
)
def test_loads_what_it_declares(name):
    """Expected: the declared sizes, channels, form and classes; every class in every split; the checksum."""
    data_set, splits = make(name), loaded(name)
    assert tuple(splits) == SPLITS
    assert check(data_set, splits) == data_set.sha256
    for split, samples in splits.items():
        assert form_of(samples.values) == data_set.form
        assert len(samples.values) == len(samples.target) == data_set.sizes[split]
        if data_set.target == "class":
            assert samples.target.dtype == torch.int64
            assert samples.target.unique().tolist() == list(range(data_set.n_classes))
        elif data_set.target == "class_per_step":
            assert samples.target.dtype == torch.int64
            assert samples.target.unique().tolist() == list(range(-1, data_set.n_classes))
        else:
            assert samples.target.dtype == torch.float64
            assert samples.target.shape[2] == data_set.outputs()
        assert samples.lengths is None or (samples.lengths >= 1).all()


def test_every_data_set_has_an_experiment():
    """Expected: one that names it with a protocol of its own, and trains two steps in test_golden.py."""
    texts = {name: one.path.read_text() for name, one in catalogue.entries("experiment").items()}
    for name in NAMES:
        users = {one for one, text in texts.items() if f"- override /dataset: {name}\n" in text}
        protocols = {one: f"{one}_v1" if one in NAMES else one for one in users}
        assert any(f"- override /protocol: {protocols[one]}\n" in texts[one] for one in users), name


def spoilt(values: Values) -> Values:
    """The same samples with the last number changed."""
    if isinstance(values, SpikeTrains):
        time_us = values.time_us.clone()
        time_us[-1] -= 1
        return dataclasses.replace(values, time_us=time_us)
    changed = values.clone()
    changed.view(-1)[-1] = (changed.view(-1)[-1] + 1) % 2
    return changed


@pytest.mark.one_in(10)
@every_made_one
@pytest.mark.parametrize("split", thinned(SPLITS, 3))
@pytest.mark.parametrize("field", ["values", "target"])
def test_one_changed_number_is_refused(name, split, field):
    """Expected: one line with the data set, both checksums and the source; the untouched arrays pass."""
    data_set, splits = make(name), loaded(name)
    if field == "values":
        changed = spoilt(splits[split].values)
    else:
        changed = splits[split].target.clone()
        changed.view(-1)[-1] = (changed.view(-1)[-1] + 1) % 2
    tampered = {**splits, split: splits[split]._replace(**{field: changed})}
    with pytest.raises(InputError, match=r"^data set \w+: checksum ") as caught:
        data_set.verify(tampered)
    message = str(caught.value)
    assert "\n" not in message
    assert data_set.source in message


@pytest.mark.one_in(10)
@every_made_one
def test_samples_that_changed_sides_are_refused(name):
    """Expected: the checksum covers the split; swapping validation and test, or the order in train, is found."""
    data_set, splits = make(name), loaded(name)
    train = splits["train"]
    back = torch.arange(len(train.target)).flip(0)
    reversed_train = Samples(train.values[back], train.target[back], train.lengths)
    swapped = {**splits, "validation": splits["test"], "test": splits["validation"]}
    by_heart = splits["validation"] is splits["test"]
    assert by_heart == catalogue.entry("dataset", name).meta.get("by_heart", False)
    changed = [] if by_heart else [swapped]  # where all splits are one there is nothing to swap
    changed += [] if len(train.target) == 1 else [{**splits, "train": reversed_train}]
    for tampered in changed:
        with pytest.raises(InputError, match="checksum"):
            data_set.verify(tampered)
