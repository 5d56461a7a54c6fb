"""Fashion-MNIST seen by a simulated event camera, in the formats of N-MNIST and of CIFAR10-DVS."""

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
        """Return the numbers of samples and the camera's parameters, on which the recordings depend."""
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
