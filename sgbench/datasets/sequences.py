"""Images as sequences of pixels, in the order of rows or in a fixed random order."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sgbench.datasets.base import DataSet, Origin, Samples, Split
from sgbench.datasets.digits import Digits
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.fashion_mnist_small import FashionMnistSmall
from sgbench.datasets.mnist import Mnist
from sgbench.encoders.base import Form
from sgbench.errors import InputError, require_choice, require_count

ORDERS = ("rows", "permuted")


class ImageSequence(DataSet):
    """Turns the images of another data set into traces, with `channels` pixels in each step.

    Args:
        channels: pixels in each step; the number of an image's pixels must be a multiple.
        order: of the pixels: "rows", or "permuted", one random order for all images.
        order_seed: of the random order; not used for "rows".

    Raises:
        InputError: a parameter is out of range.
    """

    form: Form = "traces"
    images_class: ClassVar[type[DataSet]]  # the other data set

    def __init__(self, *, channels: int, order: str, order_seed: int) -> None:
        images = self.images_class()
        self.images = images
        self.n_inputs: int = require_count("dataset.channels", channels)
        if images.n_inputs % channels:
            raise InputError(f"dataset.channels={channels}: does not divide {images.n_inputs} pixels")
        require_choice("dataset.order", order, ORDERS)
        self.order = torch.arange(images.n_inputs)
        if order == "permuted":
            random = np.random.Generator(np.random.PCG64(require_count("dataset.order_seed", order_seed, low=0)))
            self.order = torch.from_numpy(np.argsort(random.random(images.n_inputs), kind="stable"))
        self.origin: Origin = images.origin
        self.n_classes: int = images.n_classes
        self.sizes: Mapping[Split, int] = images.sizes
        self.source: str = images.source
        self.licence: str = images.licence
        self.sha256: str | None = None if images.sha256 is None else self._sequence_sha256(images.sha256)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the images of all splits as traces [samples, pixels / channels, channels]."""
        return {name: self._cut_into_steps(part) for name, part in self.images.load(data_dir).items()}

    def missing(self, data_dir: Path) -> str | None:
        return self.images.missing(data_dir)

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Compare the images behind the sequences with the published ones.

        Return the SHA-256 of the images' checksum, the pixels in each step and their order.
        """
        inverse = torch.argsort(self.order)
        images: dict[Split, Samples] = {
            name: part._replace(values=_flat(part.values)[:, inverse]) for name, part in splits.items()
        }
        return self._sequence_sha256(self.images.verify(images))

    def _cut_into_steps(self, part: Samples) -> Samples:
        """Order the pixels of images [samples, ...] anew and cut them into steps [samples, steps, channels]."""
        values = _flat(part.values)[:, self.order]
        return part._replace(values=values.view(len(values), -1, self.n_inputs))

    def _sequence_sha256(self, sha256: str) -> str:
        """Return the checksum of the sequences, given that of their images, `sha256`."""
        text = f"{sha256} {self.n_inputs} {' '.join(map(str, self.order.tolist()))}"
        return hashlib.sha256(text.encode()).hexdigest()


def _flat(values: object) -> Tensor:
    """Flatten images or sequences [samples, ...] to [samples, pixels]."""
    if not isinstance(values, Tensor):
        raise TypeError("images are tensors")
    return values.flatten(1)


class SequentialDigits(ImageSequence):
    """Turns the 8x8 handwritten digits into sequences; see `Digits`.

    Args:
        channels: pixels in each step; they divide 64.
        order: "rows", or "permuted": one random order for all images.
        order_seed: of the random order.

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941 (pixel-by-pixel MNIST).

    >>> task = SequentialDigits(channels=8, order="rows", order_seed=0)
    >>> task.load(Path())["train"].values.shape
    torch.Size([1078, 8, 8])
    """

    images_class = Digits


class SequentialMnist(ImageSequence):
    """Turns MNIST into sequences; see `Mnist`.

    Args:
        channels: pixels in each step; they divide 784.
        order: "rows", or "permuted": one random order for all images.
        order_seed: of the random order.

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941.
    """

    images_class = Mnist


class SequentialFashionMnist(ImageSequence):
    """Turns Fashion-MNIST into sequences; see `FashionMnist`.

    Args:
        channels: pixels in each step; they divide 784.
        order: "rows", or "permuted": one random order for all images.
        order_seed: of the random order.

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941 (there MNIST).
    """

    images_class = FashionMnist


class SequentialFashionMnistSmall(ImageSequence):
    """Turns a part of Fashion-MNIST into sequences; see `FashionMnistSmall`.

    Args:
        channels: pixels in each step; they divide 784.
        order: "rows", or "permuted": one random order for all images.
        order_seed: of the random order.

    Source: Le, Jaitly & Hinton 2015, arXiv:1504.00941 (there MNIST).
    """

    images_class = FashionMnistSmall
