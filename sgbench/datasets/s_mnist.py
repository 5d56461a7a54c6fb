"""Spiking sequential MNIST: images read pixel by pixel, with a spike where the grey value crosses a threshold."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, find
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.idx_images import FILES
from sgbench.datasets.mnist import Mnist
from sgbench.errors import InputError, require_count

PIXELS = 784
WHITE = 255


class SMnist(EventFiles, entry="s_mnist"):
    r"""Loads MNIST's images row by row; a channel fires where the grey value crosses its threshold.

    There are `channels` = 2 h + 1 channels and h thresholds theta_i, i = 0..h - 1, evenly spaced from 0 to 254.
    With the grey values x_k, k = 0..783, channel 2 h + 1 - i fires at pixel k if
    :math:`x_k < \theta_i \le x_{k+1}`, channel h + 1 - i if :math:`x_{k+1} < \theta_i \le x_k`, and channel 0 if
    x_k = 255. No grey value crosses theta_0 = 0, so channels 1 and h + 1 never fire, as in tonic. A pixel lasts
    `repeat` steps of `step_us`, with its spikes in each of them, as in tonic's SMNIST.

    Args:
        channels: number of channels, odd.
        repeat: number of steps for each pixel.
        step_us: duration of a step [us].

    Raises:
        InputError: the number of channels is even or below 3, or another number is below 1.

    Source: Bellec et al. 2018, Advances in Neural Information Processing Systems 31; tonic 1.7, SMNIST.
    """

    source: str = "yann.lecun.com/exdb/mnist"
    name: ClassVar[str] = "s_mnist"
    folder: ClassVar[str] = Mnist.folder
    downloads: ClassVar[tuple[FileToFetch, ...]] = Mnist().downloads
    by_hand: ClassVar[str] = Mnist.by_hand
    images: ClassVar[type[Mnist]] = Mnist

    def __init__(self, *, channels: int, repeat: int, step_us: int) -> None:
        super().__init__()
        self.n_inputs: int = require_count("dataset.channels", channels, low=3)
        if channels % 2 == 0:
            raise InputError(f"dataset.channels={channels}: an odd number is needed")
        self.repeat = require_count("dataset.repeat", repeat)
        self.step_us = require_count("dataset.step_us", step_us)

    def parameters(self) -> dict[str, object]:
        return {"channels": self.n_inputs, "repeat": self.repeat, "step_us": self.step_us}

    @property
    def remedy(self) -> str:
        return self.images().remedy

    def originals(self, root: Path) -> list[str]:
        return [find(name, [root], self.remedy).name for name in FILES]

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        splits = self.images().load(root.parent)
        return {split: self._read(samples) for split, samples in splits.items()}

    def _read(self, samples: Samples) -> Iterator[Recording]:
        """Yield the spikes of each image, pixels as uint8 [samples, 784]."""
        for image, label in zip(samples.values, samples.target.tolist(), strict=True):  # pyright: ignore[reportArgumentType]
            channel, pixel = crossings(image.numpy(), self.n_inputs)
            step = pixel[:, None] * self.repeat + np.arange(self.repeat)
            yield Recording(
                channel.repeat(self.repeat),
                step.reshape(-1) * self.step_us,
                label,
                duration_us=PIXELS * self.repeat * self.step_us,
            )


def crossings(image: NDArray[np.uint8], channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the spikes of an image [784] for an odd number `channels` = 2 h + 1; see `SMnist`.

    A rise or fall of the grey value from one pixel to the next fires once for each threshold that it crosses.
    Channel 0 fires at white pixels, 2..h at falls and h + 2..2 h at rises, the highest threshold first. The lowest
    threshold is 0, which no grey value crosses, so that channels 1 and h + 1 are silent.

    Returns:
        Channel and pixel of each spike, both [spikes].
    """
    thresholds = np.linspace(0.0, WHITE - 1, channels // 2).astype(np.uint8)
    above = image[:, None] >= thresholds
    rises, falls = np.nonzero(~above[:-1] & above[1:]), np.nonzero(above[:-1] & ~above[1:])
    (white,) = np.nonzero(image == WHITE)
    pixel = np.concatenate([rises[0], falls[0], white])
    channel = np.concatenate([channels - rises[1], channels // 2 + 1 - falls[1], np.zeros_like(white)])
    return channel, pixel
