"""S-MNIST, made of the files of MNIST, against tonic's."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from sgbench.datasets.base import sizes
from sgbench.datasets.checks import check
from sgbench.datasets.idx_images import FILES
from sgbench.datasets.mnist import Mnist
from sgbench.datasets.s_mnist import SMnist, crossings
from sgbench.errors import InputError
from tests.datasets.against_tonic import by_tonic, each_sample, tonic
from tests.datasets.fakes import fake_idx_images
from tests.messages import lines_naming, raises_naming

pytestmark = pytest.mark.usefixtures("offline")


@pytest.mark.slow
def test_s_mnist_as_tonic_makes_it(tmp_path, monkeypatch):
    """Expected: tonic's spikes of every image, white ones among them; a sample lasts all its pixels."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    fake_idx_images(folder, train=200, test=10, seed=1)

    class SmallMnist(Mnist):
        sizes = sizes(150, 50, 10)
        file_sha256: ClassVar[Mapping[str, str]] = {
            name: hashlib.sha256((folder / name.removesuffix(".gz")).read_bytes()).hexdigest() for name in FILES
        }

    class Small(SMnist):
        sizes = sizes(150, 50, 10)
        images = SmallMnist

    made = Small(channels=99, repeat=2, step_us=1000)
    splits = made.load(tmp_path)
    assert check(made, splits)
    assert splits["test"].values.duration_us.tolist() == [2 * 784 * 1000] * 10
    (tmp_path / "smnist").symlink_to(folder)
    theirs = by_tonic(tonic().SMNIST(str(tmp_path), train=False), lambda events: events["x"])
    assert each_sample(splits["test"]) == theirs
    assert any(channel == 0 for _, own in theirs for _, channel in own)
    with raises_naming(InputError, "dataset.channels=98", "odd"):
        SMnist(channels=98, repeat=2, step_us=1000)


def test_two_channels_never_fire() -> None:
    """By hand: all grey values in turn, up and down, cross each threshold but 0; as in tonic's code."""
    grey = np.concatenate([np.arange(256), np.arange(256)[::-1]]).astype(np.uint8)
    fired = set(crossings(grey, 99)[0].tolist())
    assert {*range(99)} - fired == {1, 50}


def test_gzipped_files_of_mnist_serve_as_well(tmp_path):
    """Expected: the originals are found packed or not."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    fake_idx_images(folder, train=20, test=10, seed=1)
    made = SMnist(channels=99, repeat=2, step_us=1000)
    assert made.missing(tmp_path) is None
    path = folder / FILES[0].removesuffix(".gz")
    path.with_name(FILES[0]).write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert made.originals(folder)[0] == FILES[0]
    (folder / FILES[0]).unlink()
    assert lines_naming(made.missing(tmp_path), FILES[0], str(folder), "folder mnist")
