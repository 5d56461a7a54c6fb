"""N-MNIST: handwritten digits recorded by a moving event camera."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from sgbench.datasets.base import Split, scattered
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats import event_bin
from sgbench.datasets.formats.event_store import Recording

VALIDATION_SHARE = 6  # one in six training recordings of each digit is for validation
MENDELEY = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"


class Nmnist(EventFiles, entry="nmnist"):
    """Loads recordings of MNIST's 70000 digits by an event camera of 34x34 pixels in three movements, 0.3 s in all.

    The test is the official one; validation is a sixth of each digit's training recordings, chosen by the hash of
    file names. An event at pixel (x, y) is in channel (34 p + y) 34 + x; p is 0 for darker and 1 for brighter.

    Source: Orchard, Jayawant, Cohen & Thakor 2015, Frontiers in Neuroscience 9:437.
    """

    image: tuple[int, int, int] | None = (2, 34, 34)
    n_inputs: int = 2 * 34 * 34
    source: str = "www.garrickorchard.com/datasets/n-mnist"
    name: ClassVar[str] = "nmnist"
    folder: ClassVar[str] = "NMNIST"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            f"{MENDELEY}/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
            "train.zip",
            "20959b8e626244a1b502305a9e6e2031",
            4_000_000_000,
        ),
        FileToFetch(
            f"{MENDELEY}/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
            "test.zip",
            "69ca8762b2fe404d9b9bad1103e97832",
            1_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = "or put the folders Train and Test into the folder NMNIST of the data root"
    least: ClassVar[int] = 10_000  # recordings that each folder must have

    def originals(self, root: Path) -> list[str]:
        pattern = "[0-9]/*.bin"
        train = below(root / "Train", pattern, self.remedy, least=self.least)
        test = below(root / "Test", pattern, self.remedy, least=self.least)
        return [*(f"Train/{name}" for name in train), *(f"Test/{name}" for name in test)]

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign the test folder to the test, and divide the training folder between training and validation."""
        names = self.originals(root)
        validation: set[str] = set()
        for digit in range(self.n_classes):
            of_digit = scattered(name for name in names if name.startswith(f"Train/{digit}/"))
            validation.update(of_digit[: len(of_digit) // VALIDATION_SHARE])
        train = [name for name in names if name.startswith("Train/") and name not in validation]
        test = [name for name in names if name.startswith("Test/")]
        return {
            "train": self.read(root, train),
            "validation": self.read(root, sorted(validation)),
            "test": self.read(root, test),
        }

    def read(self, root: Path, names: Iterable[str]) -> Iterator[Recording]:
        """Yield the files of these names as recordings; a file's folder is named after its class."""
        files = ((name, int(name.split("/")[-2])) for name in names)
        return camera_recordings(root, files, event_bin.read, (2, 34, 34))
