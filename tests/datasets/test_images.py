"""Images in idx files: written here byte by byte, cut, damaged and mixed up.

Legend: a fake is a small data set in the published format with checksums of its own.
"""

import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from sgbench.datasets.base import SPLITS, sizes
from sgbench.datasets.checks import check
from sgbench.datasets.digits import Digits
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.fashion_mnist_small import FashionMnistSmall
from sgbench.datasets.idx_images import FILES, TRAIN, checksum, parse_idx
from sgbench.datasets.mnist import Mnist
from sgbench.datasets.sequences import SequentialDigits
from sgbench.errors import InputError
from tests.datasets.fakes import fake_idx_images, to_idx
from tests.messages import raises_naming


class Fake(FashionMnist):
    """150 + 50 + 30 images."""

    folder = "fake"
    elsewhere = ()
    sizes = sizes(150, 50, 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the fake in it, unpacked; its checksums are those of the files."""
    folder = tmp_path / "fake"
    folder.mkdir()
    fake_idx_images(folder, train=200, test=30, seed=1)
    Fake.file_sha256 = {
        name: hashlib.sha256((folder / name.removesuffix(".gz")).read_bytes()).hexdigest() for name in FILES
    }
    Fake.sha256 = checksum(Fake.file_sha256)
    return tmp_path


def test_idx_is_the_published_format():
    """Expected by hand: 00 00 08 and the number of axes, big-endian sizes, then the bytes."""
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    data = bytes([0, 0, 8, 3]) + struct.pack(">III", 1, 2, 3) + bytes(range(6))
    assert to_idx(array) == data
    assert parse_idx(data, Path("x")).tolist() == array.tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_loads_files_packed_or_not(root, packed):
    """Expected: all pixels as they were written, each training image once; labels beside their own image."""
    folder = root / "fake"
    pixels = parse_idx((folder / "train-images-idx3-ubyte").read_bytes(), folder).reshape(200, 784)
    if packed:
        for path in list(folder.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    splits = Fake().load(root)
    assert check(Fake(), splits) == Fake.sha256
    assert [len(splits[name].target) for name in SPLITS] == [150, 50, 30]
    assert splits["train"].values.dtype == torch.uint8
    both = torch.cat([splits["train"].values, splits["validation"].values]).tolist()
    labels = torch.cat([splits["train"].target, splits["validation"].target]).tolist()
    assert sorted(both) == sorted(pixels.tolist())
    where = {tuple(image): place for place, image in enumerate(pixels.tolist())}
    assert labels == [where[tuple(image)] % 10 for image in both]


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-5])
    elif how == "other":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif how == "not idx":
        path.write_bytes(b"<html>404</html>")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut gzip":
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data)[:-30])
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", [name.removesuffix(".gz") for name in FILES])
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("missing", r"is not in .*fake; run: sgbench data download "),
        ("folder", r"is not in .*fake; run: sgbench data download "),
        ("cut", r"not what its header declares; fetch it again$"),
        ("other", r"checksum \w{12} is not the expected \w{12}; .*fashion-mnist; fetch it again$"),
        ("not idx", r"not an idx file of unsigned bytes$"),
        ("empty", r"not an idx file of unsigned bytes$"),
        ("cut gzip", r"\.gz: cut off or damaged .*; fetch it again$"),
    ],
)
def test_a_damaged_file_is_one_line(root, name, how, complaint):
    """Expected: an InputError (exit code 2) on one line that names the file and the remedy."""
    damage(root / "fake" / name, how)
    with pytest.raises(InputError, match=complaint) as caught:
        Fake().load(root)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (Fake().missing(root) is None) == (how not in ("missing", "folder"))


def test_images_of_another_shape_or_number_are_refused(root):
    """Expected: files that are whole but do not belong together; one line with both shapes."""
    path = root / "fake" / "t10k-labels-idx1-ubyte"
    path.write_bytes(to_idx(np.zeros(29, dtype=np.uint8)))
    Fake.file_sha256 = {**Fake.file_sha256, "t10k-labels-idx1-ubyte.gz": hashlib.sha256(path.read_bytes()).hexdigest()}
    with raises_naming(InputError, "(30, 28, 28)", "(29,)"):
        Fake().load(root)


def test_debians_package_is_found(root, monkeypatch):
    """Expected: where the data root has no folder, the package's folder is read; the user's own comes first."""
    package = root / "package"
    shutil.move(root / "fake", package)
    assert Fake().missing(root) is not None
    monkeypatch.setattr(Fake, "elsewhere", (str(package),))
    assert Fake().missing(root) is None
    assert len(Fake().load(root)["test"].target) == 30
    assert FashionMnist.elsewhere == ("/usr/share/datasets/fashion-mnist",)


def test_mnist_and_fashion_mnist_are_not_taken_for_each_other(root):
    """Must differ: equal format and sizes, other checksums."""
    assert Mnist.sha256 != FashionMnist.sha256
    assert not set(Mnist.file_sha256.values()) & set(FashionMnist.file_sha256.values())


@pytest.mark.skipif(
    FashionMnist().missing(Path("nowhere")) is not None, reason="needs Debian's package dataset-fashion-mnist"
)
def test_a_part_of_fashion_mnist_is_the_first_of_each_class_of_the_training_images():
    """Expected, counted in the file: 200, 50 and 100 of each class, one after the other."""
    whole, part = FashionMnist()._pair(TRAIN, Path("nowhere")), FashionMnistSmall()
    splits = part.load(Path("nowhere"))
    assert part.verify(splits) == part.sha256
    first = 0
    for name, each in (("train", 200), ("validation", 50), ("test", 100)):
        assert splits[name].target.bincount().tolist() == [each] * 10
        ninth = np.flatnonzero(whole[1] == 9)[first : first + each]
        ours = splits[name].values[splits[name].target == 9]
        assert np.array_equal(ours.numpy(), whole[0][ninth].reshape(each, -1))
        first += each


# --- sequences


def test_rows_are_the_image_in_its_order():
    """Expected: pixel k in step k; with 8 channels row k in step k."""
    images = Digits().load(Path())["test"].values
    pixels = SequentialDigits(channels=1, order="rows", order_seed=0).load(Path())["test"].values
    assert torch.equal(pixels[:, :, 0], images)
    rows = SequentialDigits(channels=8, order="rows", order_seed=0).load(Path())["test"].values
    assert torch.equal(rows, images.view(-1, 8, 8))


def test_permutation_is_one_for_all_images_and_a_function_of_its_seed():
    """Expected: the same pixels in one other order, undone by `verify`; another seed, another order."""
    images = Digits().load(Path())["test"].values
    orders = []
    for seed in (0, 1):
        task = SequentialDigits(channels=1, order="permuted", order_seed=seed)
        splits = task.load(Path())
        assert torch.equal(splits["test"].values[:, :, 0], images[:, task.order])
        assert task.verify(splits) == task.sha256
        orders.append(task.order.tolist())
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(64))
    assert orders[0] != orders[1]
    assert orders[0] != list(range(64))


def test_channels_divide_the_image():
    """Expected: an InputError that names the option; a wrong order likewise."""
    with raises_naming(InputError, "dataset.channels=5", "64 pixels"):
        SequentialDigits(channels=5, order="rows", order_seed=0)
    with raises_naming(InputError, "dataset.order='columns'", "rows", "permuted"):
        SequentialDigits(channels=1, order="columns", order_seed=0)
