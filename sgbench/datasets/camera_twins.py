"""Fashion-MNIST seen by a simulated event camera, in the formats of N-MNIST and of CIFAR10-DVS."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import SPLITS, Samples, Split, first_samples
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.generated import three_sizes

Pictures = NDArray[np.uint8]  # [pictures, rows, columns]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GRID = 2.0**20  # log intensities are rounded to multiples of 1 / GRID, so that all processors agree on events


@dataclass(frozen=True)
class EventCamera:
    r"""Simulates a square event camera that watches a picture move along straight lines.

    A picture's pixel value p has the log intensity :math:`\ln(p + d)` with the dark level d. Between pixels, log
    intensities are interpolated bilinearly; beyond the picture's edge, p = 0. A camera pixel stores the log
    intensity :math:`\ell` of its last event. In each step it sends n events, where I is the intensity it sees and

    .. math:: n = \left\lfloor \frac{|\ln I - \ell|}{\theta} \right\rfloor, \qquad
        \ell \leftarrow \ell + n \theta\,\mathrm{sign}(\ln I - \ell)

    spread evenly over the step, of polarity 1 if the intensity rises, else 0. The threshold :math:`\theta` of each
    pixel is drawn once, uniformly with the relative standard deviation `mismatch`. Nothing else is random: there
    are no noise events and no refractory time.

    Source: Lichtsteiner, Posch & Delbruck 2008, IEEE Journal of Solid-State Circuits 43(2) (pixels, and their
    mismatch of 2.1 %).

    >>> camera = EventCamera(side=6, magnify=1, threshold=0.5, dark=10.0, corners=((0, 0), (2, 0)), line_s=0.1)
    >>> dot = np.zeros((1, 2, 2), np.uint8)
    >>> dot[0, 0, 0] = 255
    >>> ((time_us, channel),) = camera.watch(dot)
    >>> np.unique(channel[channel >= 36] - 36).tolist(), np.unique(channel[channel < 36]).tolist()
    ([15, 16], [14, 15])
    """

    side: int  # camera pixels in a row and in a column
    magnify: int  # side of a picture's pixel, in camera pixels
    threshold: float  # mean of theta, a change of log intensity
    dark: float  # d, in units of pixel values
    # Path of the picture: its offsets from the centre, (columns, rows) in camera pixels, at the ends of lines.
    corners: tuple[tuple[float, float], ...]
    line_s: float  # duration of a line between two corners
    step_s: float = 0.002
    mismatch: float = 0.021  # standard deviation of thresholds, relative to their mean

    @property
    def duration_us(self) -> int:
        """Return the duration of a recording [us]."""
        return round((len(self.corners) - 1) * self.line_s * 1e6)

    def path(self) -> Floats:
        """Return the picture's offset (columns, rows) at the start and after each step [steps + 1, 2]."""
        steps_per_line = round(self.line_s / self.step_s)
        lines_done = np.arange((len(self.corners) - 1) * steps_per_line + 1) / steps_per_line
        corners = np.array(self.corners, np.float64)
        return np.stack([np.interp(lines_done, np.arange(len(corners)), axis) for axis in corners.T], axis=1)

    def thresholds(self) -> Floats:
        """Draw the threshold of each pixel [side, side], the same in every call."""
        random = np.random.Generator(np.random.PCG64(0))
        uniform = 2 * random.random((self.side, self.side)) - 1  # of standard deviation 1 / sqrt(3)
        return self.threshold * (1 + math.sqrt(3) * self.mismatch * uniform)

    def watch(self, pictures: Pictures) -> list[tuple[Ints, Ints]]:
        """Return times [us] and channels of the events of each picture [rows, columns], sorted by time.

        Polarity p of camera pixel (x, y) is channel (p side + y) side + x. Pictures in one call share computation;
        no picture's events depend on another.
        """
        crossing_pixel, polarity, count, step = self._crossings(pictures)
        picture, pixel = np.divmod(crossing_pixel, self.side**2)
        step_us = round(self.step_s * 1e6)
        crossing = np.repeat(np.arange(len(count)), count)  # of each event
        first = np.cumsum(count) - count  # event of each crossing
        position = np.arange(len(crossing)) - np.repeat(first, count)  # 0, 1, ... in a crossing
        time_us = step[crossing] * step_us + (position + 1) * step_us // (count[crossing] + 1)
        channel = polarity[crossing] * self.side**2 + pixel[crossing]
        order = np.lexsort((channel, time_us, picture[crossing]))
        ends = np.cumsum(np.bincount(picture[crossing], minlength=len(pictures)))[:-1]
        return list(zip(np.split(time_us[order], ends), np.split(channel[order], ends), strict=True))

    def _crossings(self, pictures: Pictures) -> tuple[Ints, Ints, Ints, Ints]:
        """Find where and when a pixel's log intensity has crossed its threshold.

        Returns of each crossing [crossings]: picture and pixel as picture * side^2 + pixel, polarity, number of events,
        and step.
        """
        levels = np.round(GRID * np.log(np.arange(256) + self.dark)) / GRID
        scene = _enlarge(levels[pictures], self.magnify, float(levels[0]))
        theta = self.thresholds()
        path = self.path()
        last = self._shifted_view(scene, path[0], float(levels[0]))
        found: list[Sequence[Ints]] = []
        for step, offset in enumerate(path[1:]):
            change = self._shifted_view(scene, offset, float(levels[0])) - last
            pixel = np.flatnonzero(np.abs(change) >= theta)
            pixel_change = change.reshape(-1)[pixel]
            pixel_theta = theta.reshape(-1)[pixel % theta.size]
            count = np.floor(np.abs(pixel_change) / pixel_theta).astype(np.int64)
            # The level that the next change is measured from moves by whole thresholds, the rest is carried over.
            last.reshape(-1)[pixel] += np.sign(pixel_change) * count * pixel_theta
            found.append((pixel, (pixel_change > 0).astype(np.int64), count, np.full(len(pixel), step)))
        pixels, polarity, count, steps = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return pixels, polarity, count, steps

    def _shifted_view(self, scene: Floats, offset: Floats, dark: float) -> Floats:
        """Return the log intensity at each camera pixel [pictures, side, side] when scenes are off centre.

        `scene`: log intensities [pictures, rows, columns], in camera pixels. `offset`: columns and rows by which the
        scenes are moved from the centre [2]; interpolated bilinearly.
        """
        column, row = np.floor(offset).astype(int)
        right, down = offset - np.floor(offset)
        height, width = scene.shape[1:]
        framed = np.full((len(scene), height + 2, width + 2), dark)
        framed[:, 1:-1, 1:-1] = scene
        mixed = (1 - down) * framed[:, 1:] + down * framed[:, :-1]
        mixed = (1 - right) * mixed[:, :, 1:] + right * mixed[:, :, :-1]
        view = np.full((len(scene), self.side, self.side), dark)
        rows, scene_rows = _overlap((self.side - height) // 2 + row, height + 1, self.side)
        columns, scene_columns = _overlap((self.side - width) // 2 + column, width + 1, self.side)
        view[:, rows, columns] = mixed[:, scene_rows, scene_columns]
        return view


def _overlap(first: int, length: int, side: int) -> tuple[slice, slice]:
    """Find which of the positions first to first + length - 1 are within 0 to side - 1.

    Return these positions, and their indices counted from `first`.
    """
    begin, end = max(first, 0), min(first + length, side)
    return slice(begin, end), slice(begin - first, end - first)


def _enlarge(pictures: Floats, factor: int, dark: float) -> Floats:
    """Scale up pictures [pictures, rows, columns] `factor` times, bilinearly; beyond their edge they are `dark`."""
    if factor == 1:
        return pictures
    framed = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), constant_values=dark)
    for axis in (1, 2):
        length = (framed.shape[axis] - 2) * factor
        source = (np.arange(length) + 0.5) / factor + 0.5
        below = source.astype(int)
        weight = (source - below).reshape([-1 if each == axis else 1 for each in range(3)])
        framed = (1 - weight) * framed.take(below, axis) + weight * framed.take(below + 1, axis)
    return framed


PIXELS_AT_ONCE = 150_000  # camera pixels of all pictures that are recorded together


class CameraTwin(EventFiles):
    """Simulates recordings of Fashion-MNIST by an event camera at the first use, and keeps them on disk.

    Training, validation and test have the first pictures of the same split of Fashion-MNIST, classes in turn.

    Args:
        samples: numbers of train, validation and test recordings.

    Raises:
        InputError: `samples` is not three numbers, or pictures are missing or not the published ones.

    Source: Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747 (pictures); `EventCamera` (camera).
    """

    camera: ClassVar[EventCamera]
    source: str = "Fashion-MNIST (github.com/zalandoresearch/fashion-mnist) before a simulated camera"
    folder: ClassVar[str] = FashionMnist.folder
    made_here: ClassVar[bool] = True

    def __init__(self, *, samples: object) -> None:
        super().__init__()
        self.sizes: Mapping[Split, int] = three_sizes(samples)
        self.sha256: str | None = self.published_sha256()

    def __init_subclass__(cls, **others: Any) -> None:
        side = cls.camera.side
        cls.image, cls.n_inputs = (2, side, side), 2 * side * side
        super().__init_subclass__(**others)

    def parameters(self) -> dict[str, object]:
        return {"samples": [self.sizes[split] for split in SPLITS], "camera": asdict(self.camera)}

    def missing(self, data_dir: Path) -> str | None:
        return FashionMnist().missing(data_dir)

    def originals(self, root: Path) -> list[str]:
        """Return no files: `FashionMnist` finds the pictures and verifies them as it reads them."""
        return []

    def checksum_of_originals(self, root: Path) -> str:
        return str(FashionMnist.sha256)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Record the first pictures of each split, classes in turn."""
        splits = FashionMnist().load(root.parent)
        return {split: self._film(first_samples(splits[split], self.sizes[split])) for split in SPLITS}

    def _film(self, part: Samples) -> Iterator[Recording]:
        """Yield the events of each picture moved before the camera, a few pictures at a time to spare memory."""
        pictures = np.asarray(part.values).reshape(-1, 28, 28)
        batch_size = max(1, PIXELS_AT_ONCE // self.camera.side**2)
        for first in range(0, len(pictures), batch_size):
            events = self.camera.watch(pictures[first : first + batch_size])
            labels = part.target[first : first + batch_size].tolist()
            for (time_us, channel), label in zip(events, labels, strict=True):
                yield Recording(channel, time_us, label, self.camera.duration_us, name="a picture")


class SaccadeTwin(CameraTwin, entry="saccade_twin"):
    """Loads Fashion-MNIST seen by a simulated camera of 34x34 pixels in three movements, like N-MNIST's digits.

    Sensor size, polarities and three straight movements of 0.1 s along a triangle are those of Orchard et al. The
    corners of the triangle and the numbers of samples (theirs: 60000 and 10000) are chosen here, and the threshold
    such that a recording has about as many events as one of N-MNIST.

    Source: Orchard, Jayawant, Cohen & Thakor 2015, Frontiers in Neuroscience 9:437 (form); see `CameraTwin`.
    """

    name: ClassVar[str] = "saccade_twin"
    camera: ClassVar[EventCamera] = EventCamera(
        side=34,
        magnify=1,
        threshold=0.6,
        dark=20.0,
        corners=((-3.5, -3.5), (0.0, 3.5), (3.5, -3.5), (-3.5, -3.5)),
        line_s=0.1,
    )


class LoopTwin(CameraTwin, entry="loop_twin"):
    """Loads Fashion-MNIST moving in loops before a simulated camera of 128x128 pixels, like CIFAR10-DVS.

    Sensor size, polarities, smooth movement in repeated closed loops and ten classes are those of Li et al. Picture
    size, shape and duration of the loops, threshold and numbers of samples (theirs: 10000 in all) are chosen here,
    so that all recordings fit on a disk.

    Source: Li, Liu, Ji, Li & Shi 2017, Frontiers in Neuroscience 11:309 (form); see `CameraTwin`.
    """

    name: ClassVar[str] = "loop_twin"
    camera: ClassVar[EventCamera] = EventCamera(
        side=128,
        magnify=3,
        threshold=1.0,
        dark=20.0,
        corners=((0.0, -8.0), (8.0, 0.0), (0.0, 8.0), (-8.0, 0.0)) * 2 + ((0.0, -8.0),),
        line_s=0.1,
        step_s=0.005,
    )
