"""The first 1100 recordings of N-MNIST."""

from typing import ClassVar

from sgbench.datasets.event_files import FileToFetch
from sgbench.datasets.nmnist import Nmnist


class Nmnist1100(Nmnist, entry="nmnist1100"):
    """Loads a small N-MNIST: the first 1000 training and the first 100 test recordings, about 4100 events each.

    Validation is a sixth of each digit's training recordings, chosen by the hash of file names. The test is small:
    the 95 % interval of an accuracy of 92 % is about 5 percentage points to either side.

    Source: Orchard, Jayawant, Cohen & Thakor 2015, Frontiers in Neuroscience 9:437.
    """

    name: ClassVar[str] = "nmnist1100"
    folder: ClassVar[str] = "NMNIST-1100"
    downloads: ClassVar[tuple[FileToFetch, ...]] = ()
    by_hand: ClassVar[str] = (
        "put recordings 00001 to 01000 of N-MNIST's folder Train and 00001 to 00100 of its folder Test into the "
        "folder NMNIST-1100 of the data root, in their folders of digits"
    )
    least: ClassVar[int] = 100
