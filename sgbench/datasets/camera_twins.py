"""Fashion-MNIST before a simulated event camera, in the forms of N-MNIST and of CIFAR10-DVS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sgbench.datasets.base import SPLITS, Samples, Split
from sgbench.datasets.event_camera import EventCamera
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.generated import three_sizes
from sgbench.datasets.part import first_samples

PIXELS_AT_ONCE = 150_000  # of all pictures that are watched together


class CameraTwin(EventFiles):
    """Records what a simulated event camera sees of Fashion-MNIST's pictures, once, at the first use.

    Training and validation are of its training pictures, the test of its test pictures, the classes in turn.

    Args:
        samples: how many recordings of train, validation and test.

    Raises:
        InputError: no three numbers, or pictures are missing or not the published ones.

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
        """Take the shape of the inputs from the camera."""
        side = cls.camera.side
        cls.image, cls.n_inputs = (2, side, side), 2 * side * side
        super().__init_subclass__(**others)

    def parameters(self) -> dict[str, object]:
        """Return the sizes and the camera, which decide about the samples."""
        return {"samples": [self.sizes[split] for split in SPLITS], "camera": asdict(self.camera)}

    def missing(self, data_dir: Path) -> str | None:
        """Describe which pictures are missing and how to get them; return None where all are there."""
        return FashionMnist().missing(data_dir)

    def originals(self, root: Path) -> list[str]:
        """List none: pictures may lie elsewhere, and are compared with the published ones as they are read."""
        return []

    def checksum_of_originals(self, root: Path) -> str:
        """Return the published checksum of the pictures."""
        return str(FashionMnist.sha256)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Record the first pictures of each class."""
        splits = FashionMnist().load(root.parent)
        return {split: self._film(first_samples(splits[split], self.sizes[split])) for split in SPLITS}

    def _film(self, part: Samples) -> Iterator[Recording]:
        """Yield what the camera sees of each picture."""
        pictures = np.asarray(part.values).reshape(-1, 28, 28)
        many = max(1, PIXELS_AT_ONCE // self.camera.side**2)
        for first in range(0, len(pictures), many):
            seen = self.camera.watch(pictures[first : first + many])
            labels = part.target[first : first + many].tolist()
            for (time_us, channel), label in zip(seen, labels, strict=True):
                yield Recording(channel, time_us, label, self.camera.duration_us, name="a picture")


class SaccadeTwin(CameraTwin, entry="saccade_twin"):
    """Loads clothes seen by a simulated camera of 34x34 pixels in three movements of 0.1 s, as N-MNIST has digits.

    Those of Orchard et al. are the size of the sensor, the polarities and three straight movements along a triangle
    of 0.1 s each. Corners and sizes are chosen (theirs are 60000 and 10000), and the threshold so that a recording
    has about as many events as one of N-MNIST.

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
    """Loads clothes moving in loops before a simulated camera of 128x128 pixels, as CIFAR10-DVS has pictures.

    Those of Li et al. are the size of the sensor, the polarities, smooth movement in repeated closed loops and ten
    classes. Size of the pictures, loops, their duration, the threshold and sizes are chosen (theirs are 10000
    recordings), so that all fit on a disk.

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
