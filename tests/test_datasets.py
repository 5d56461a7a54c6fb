"""Data sets, their split and checksum, and the order of batches.

Legend: N input channels; a split is train, validation or test.
"""

import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import sklearn.datasets
import torch

import sgbench.datasets
from sgbench.composition import catalogue
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split, fingerprint, stratified_split
from sgbench.datasets.batches import SpikingData
from sgbench.datasets.checks import check
from sgbench.datasets.digits import Digits
from sgbench.encoders.base import Values, form_of
from sgbench.encoders.direct import Direct
from sgbench.encoders.rate import Rate
from sgbench.errors import InputError
from sgbench.paths import default_data_dir
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.spikes import dense
from tests.entries import made
from tests.thinned import thinned

NAMES = list(catalogue.entries("dataset"))
NOWHERE = Path("no-such-folder")
every_data_set = pytest.mark.parametrize("name", NAMES)
LARGE = ("evidence_accumulation", "store_recall")
every_made_one = pytest.mark.parametrize(  # files are compared while they are read, see test_images.py
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
def digits() -> dict[Split, Samples]:
    return Digits().load(NOWHERE)


@functools.cache
def load_once(name: str) -> dict[Split, Samples]:
    return make(name).load(default_data_dir())


def loaded(name: str) -> dict[Split, Samples]:
    """The splits of an entry, or a skip where its files are not on this machine."""
    absent = make(name).missing(default_data_dir())
    if absent is not None:
        pytest.skip(absent)
    return load_once(name)


# --- contract, for every entry of the catalogue


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
    with pytest.raises(InputError, match="dataset 'mackey_gas' does not exist; did you mean 'mackey_glass'"):
        type("Misspelt", (DataSet,), {}, entry="mackey_gas")


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


# --- digits


def test_digits_have_the_pinned_checksum():
    """Expected: pinned; SHA-256 of each split's name, values as float32 and classes as int64, written out here.

    If this fails, scikit-learn bundles other numbers or the split has moved: published rows no longer compare.
    """
    digest = hashlib.sha256()
    for name in ("train", "validation", "test"):
        digest.update(name.encode())
        digest.update(digits()[name].values.numpy().astype("<f4").tobytes())
        digest.update(digits()[name].target.numpy().astype("<i8").tobytes())
    expected = "94deb946834462baa987f7bb237a927b4b4386fbfb503b719c8344cb65d62e64"
    assert digest.hexdigest() == Digits.sha256 == expected


def rows(values: np.ndarray, target: np.ndarray) -> Counter[tuple]:
    """Every image with its class, as a multiset."""
    return Counter((*image, int(label)) for image, label in zip(values.tolist(), target, strict=True))


def test_digits_split_is_disjoint_and_complete():
    """Expected: the three parts together are scikit-learn's 1797 images, each once; pixels are k/16."""
    images, target = sklearn.datasets.load_digits(return_X_y=True)
    assert len(target) == 1797
    together = Counter()
    for samples in digits().values():
        together += rows((16 * samples.values).numpy(), samples.target.numpy())
    assert together == rows(images, target)
    assert [len(digits()[name].target) for name in SPLITS] == [1078, 359, 360]


def test_digits_split_is_stratified():
    """Expected: of each class's n images round(0.6 n) train, round(0.2 n) validate, the others test."""
    _, target = sklearn.datasets.load_digits(return_X_y=True)
    for label, count in Counter(target.tolist()).items():
        parts = [int((digits()[name].target == label).sum()) for name in SPLITS]
        train, validation = round(0.6 * count), round(0.2 * count)
        assert parts == [train, validation, count - train - validation]


@pytest.mark.parametrize("place", ["pixel", "class"])
def test_digits_from_another_library_are_refused(place, monkeypatch):
    """Expected: load itself verifies; one number changed at the source, here without its file, stops it."""
    images, target = sklearn.datasets.load_digits(return_X_y=True)
    if place == "pixel":
        images[0, 0] = 1 - images[0, 0]
    else:
        target[0], target[1] = target[1], target[0]
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda **_: (images, target))
    monkeypatch.setattr("sgbench.datasets.digits.FILE", Path("nowhere.csv.gz"))
    with pytest.raises(InputError, match="scikit-learn load_digits"):
        make_data(Digits())


def test_split_is_a_function_of_its_seed():
    """Expected: disjoint, complete and sorted; the same for the same seed, another for another seed."""
    target = np.arange(60) % 3
    first, again, other = (stratified_split(target, (0.5, 0.3, 0.2), seed=seed) for seed in (1, 1, 2))
    assert sorted(np.concatenate(first).tolist()) == list(range(60))
    assert all(part.tolist() == sorted(part.tolist()) for part in first)
    assert [len(part) for part in first] == [30, 18, 12]
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


# --- batches


class Toy(DataSet):
    """Ten samples whose value names them; the last numbers of each split may be spoilt."""

    n_inputs: ClassVar[int] = 1
    n_classes: ClassVar[int] = 2
    sizes: ClassVar[dict[Split, int]] = dict.fromkeys(SPLITS, 10)

    def verify(self, splits: dict[Split, Samples]) -> None:
        """A toy has no published bytes."""

    def __init__(self, lengths: bool = False, **changes: Samples) -> None:
        self.changes = changes
        self.lengths = torch.arange(10) % 3 + 1 if lengths else None

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        values = (torch.arange(10, dtype=torch.float64) / 10)[:, None]
        plain = Samples(values, torch.arange(10) % 2, self.lengths)
        return {**dict.fromkeys(SPLITS, plain), **self.changes}


def make_data(data_set: DataSet | None = None, *, seed: int = 0, batch_size: int = 4, random: bool = False):
    encoder = (
        Rate(steps=3, dt_s=0.001, max_rate_hz=500.0) if random else Direct(steps=3, dt_s=0.001, gain=1.0)
    )
    data = SpikingData(
        data_set or Toy(),
        encoder,
        data_dir=NOWHERE,
        batch_size=batch_size,
        seed=seed,
        dtype=torch.float32,
    )
    data.setup()
    return data


def visited(data: SpikingData, epoch: int) -> list[int]:
    """Positions in the order in which an epoch sees them."""
    return [place for batch in data.epoch(epoch) for place in batch.position.tolist()]


def test_order_is_a_permutation_that_seed_and_epoch_decide():
    """Expected: each sample once; equal for equal seed and epoch whatever batch size and encoder; else another."""
    first = visited(make_data(seed=3), 5)
    assert sorted(first) == list(range(10))
    assert first != list(range(10))
    for same in (make_data(seed=3), make_data(seed=3, batch_size=1), make_data(seed=3, random=True)):
        visited(same, 4)  # an epoch before it leaves no trace
        assert visited(same, 5) == first
    others = [visited(make_data(seed=seed), epoch) for seed, epoch in ((3, 6), (4, 5), (5, 3), (35, 0))]
    assert all(other != first for other in others)


@pytest.mark.slow
def test_order_is_the_same_in_another_process():
    """Expected: equal positions from an interpreter with other hashes and another global random state."""
    code = (
        "import json, random, torch\n"
        "torch.manual_seed(99); torch.rand(7); random.seed(99)\n"
        "from tests.test_datasets import make_data, visited\n"
        "print(json.dumps([visited(make_data(seed=s), e) for s, e in ((0, 0), (0, 1), (7, 0))]))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [visited(make_data(seed=seed), epoch) for seed, epoch in ((0, 0), (0, 1), (7, 0))]
    assert json.loads(finished.stdout) == expected


@pytest.mark.parametrize("batch_size", [1, 4, 10, 99])
def test_batches_hold_what_they_name(batch_size):
    """Expected: x, class and length are those of the sample at `position`; ceil(10/size) batches."""
    data = make_data(Toy(lengths=True), batch_size=batch_size)
    with data.last_step():
        test = data.evaluation("test")
    for batches in (data.epoch(0), test):
        found = list(batches)
        assert len(found) == len(batches) == math.ceil(10 / batch_size)
        assert [len(batch.target) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
        assert sorted(place for batch in found for place in batch.position.tolist()) == list(range(10))
        for batch in found:
            assert batch.x.dtype == torch.float32
            expected = (batch.position.double() / 10).float().expand(3, -1)
            assert torch.equal(batch.x[..., 0], expected)
            assert torch.equal(batch.target, batch.position % 2)
            assert torch.equal(batch.lengths, batch.position % 3 + 1)


def test_samples_without_length_last_all_steps():
    """Expected: T = 3 for each."""
    for batch in make_data().evaluation("train"):
        assert batch.lengths.tolist() == [3] * len(batch.target)


def test_evaluation_keeps_the_order_and_its_code():
    """Expected: positions 0 to 9, and equal bits of a random code each time and whatever the batch size."""
    data = make_data(random=True)
    first = torch.cat([dense(batch.x) for batch in data.evaluation("validation")], 1)
    assert [p for batch in data.evaluation("validation") for p in batch.position.tolist()] == list(range(10))
    list(data.epoch(0))
    for again in (data, make_data(random=True, batch_size=1)):
        assert torch.equal(torch.cat([dense(batch.x) for batch in again.evaluation("validation")], 1), first)


def test_random_codes_differ_between_epochs_splits_and_seeds():
    """Must differ: all samples are equal here, so only the stream of the code can make a difference."""
    equal = Samples(torch.full((10, 1), 0.5).double(), torch.arange(10) % 2, None)
    toy = Toy(**dict.fromkeys(SPLITS, equal))
    data, other = make_data(toy, random=True), make_data(toy, random=True, seed=1)
    passes = [data.epoch(0), data.epoch(1), data.evaluation("validation"), other.epoch(0)]
    with data.last_step(), other.last_step():
        passes += [data.evaluation("test"), other.evaluation("test")]
    codes = [
        tuple(torch.cat([dense(batch.x) for batch in batches], 1).flatten().tolist()) for batches in passes
    ]
    assert len(set(codes)) == len(codes)


EMPTY = Samples(torch.zeros(0, 1, dtype=torch.float64), torch.zeros(0, dtype=torch.int64), None)


WRONG = {
    "is empty": lambda good: EMPTY,
    "is not finite": lambda good: good._replace(values=torch.tensor([[0.5]] * 9 + [[math.nan]]).double()),
    "has a value outside [0, 1]": lambda good: good._replace(values=good.values + 0.5),
    "has a target outside 0..1": lambda good: good._replace(target=good.target + Toy.n_classes),
    "has no sample of class 0": lambda good: good._replace(target=good.target * 0 + 1),
    "has a sample length below 1": lambda good: good._replace(lengths=torch.zeros(10, dtype=torch.int64)),
    "has samples of up to 10000 steps, the protocol 3; set protocol.steps=10000": lambda good: good._replace(
        lengths=torch.full((10,), 10_000)
    ),
    "has shape (9, 1) and 10 targets, not the declared (10, 1)": lambda good: good._replace(
        values=good.values[:9]
    ),
    "has shape (10, 2) and 10 targets, not the declared (10, 1)": lambda good: good._replace(
        values=good.values.expand(-1, 2)
    ),
    "holds traces, not the declared values": lambda good: good._replace(values=good.values[:, None]),
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", WRONG)
def test_spoilt_splits_are_refused(split, kind):
    """Expected: one line with the data set, the split and what is wrong, before any batch."""
    spoilt = WRONG[kind](Toy().load(NOWHERE)[split])
    with pytest.raises(InputError, match=f"^data set Toy: split {split} {re.escape(kind)}$"):
        make_data(Toy(**{split: spoilt}))


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_refused(value):
    """Expected: as NaN; infinity is not finite either."""
    spoilt = Toy().load(NOWHERE)["train"]._replace(values=torch.tensor([[0.5]] * 9 + [[value]]).double())
    with pytest.raises(InputError, match="is not finite"):
        make_data(Toy(train=spoilt))


def test_fingerprint_covers_lengths():
    """Must differ: two data sets that differ in their lengths alone."""
    splits = Toy().load(NOWHERE)
    longer = {**splits, "test": splits["test"]._replace(lengths=torch.full((len(splits["test"].target),), 2))}
    assert fingerprint(splits) != fingerprint(longer)
