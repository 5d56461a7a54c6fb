"""The digits of scikit-learn: their checksum, and a split that is complete, stratified and of its seed."""

import functools
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from sgbench.datasets.base import SPLITS, Samples, Split, stratified_split
from sgbench.datasets.digits import Digits
from sgbench.errors import InputError
from tests.datasets.toy import NOWHERE, make_data


@functools.cache
def digits() -> dict[Split, Samples]:
    return Digits().load(NOWHERE)


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
