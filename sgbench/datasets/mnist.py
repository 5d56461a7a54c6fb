"""MNIST: handwritten digits."""

from collections.abc import Mapping
from typing import ClassVar

from sgbench.datasets.idx_images import IdxImages, checksum


class Mnist(IdxImages, entry="mnist"):
    """Loads 70000 grey 28x28 pictures of handwritten digits.

    Source: LeCun, Bottou, Bengio & Haffner 1998, Proceedings of the IEEE 86(11).
    """

    source: str = "yann.lecun.com/exdb/mnist"
    file_sha256: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    sha256: str | None = checksum(file_sha256)
    folder: ClassVar[str] = "mnist"
    file_md5: ClassVar[tuple[str, str, str, str]] = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )
    served_at: ClassVar[str] = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    by_hand: ClassVar[str] = (
        "or put the four files of storage.googleapis.com/cvdf-datasets/mnist/ into the folder mnist of the data root"
    )
