"""CIFAR10-DVS: pictures moved before an event camera."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats import aedat4
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EACH = 1000  # recordings of a class
NUMBER = re.compile(r"(\d+)\.aedat4")
SPLIT_FILE = Path(__file__).parent / "splits" / "cifar10_dvs.json"


class Cifar10Dvs(EventFiles, entry="cifar10_dvs"):
    """Loads recordings of 10000 CIFAR-10 pictures moved before an event camera of 128x128 pixels, 1000 a class.

    There is no official split, so published accuracies are of different test sets. This split is stored in the
    package: 100 recordings of each class for validation and 100 for the test, chosen by the hash of file names.

    Source: Li, Liu, Ji, Li & Shi 2017, Frontiers in Neuroscience 11:309.
    """

    image: tuple[int, int, int] | None = (2, 128, 128)
    n_inputs: int = 2 * 128 * 128
    source: str = "Li et al. 2017; converted for tonic (figshare file 38023437)"
    name: ClassVar[str] = "cifar10_dvs"
    folder: ClassVar[str] = "CIFAR10DVS"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://figshare.com/ndownloader/files/38023437",
            "CIFAR10DVS.zip",
            "ce3a4a0682dc0943703bd8f749a7701c",
            30_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = (
        "figshare turns some programs away: then fetch figshare.com/ndownloader/files/38023437 with a browser and "
        "unpack it, and what is in it, in the folder CIFAR10DVS of the data root"
    )

    def originals(self, root: Path) -> list[str]:
        files: list[str] = []
        for name in CLASSES:
            files += [f"{name}/{file}" for file in below(root / name, "*.aedat4", self.remedy, least=EACH)]
        return files

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign recordings to splits by the package's list of held-out recordings' numbers."""
        # Maps class, then split, to numbers in file names.
        held_out_numbers = json.loads(SPLIT_FILE.read_text())
        parts: dict[Split, list[tuple[str, int]]] = {"train": [], "validation": [], "test": []}
        for name in self.originals(root):
            match = NUMBER.search(name)
            if match is None:
                raise InputError(f"{root / name}: its name has no number")
            class_name = name.split("/")[0]
            of_class = held_out_numbers[class_name]
            held_out: list[Split] = [split for split in SPLITS if int(match[1]) in of_class.get(split, [])]
            split: Split = held_out[0] if held_out else "train"
            parts[split].append((name, CLASSES.index(class_name)))
        image = (2, 128, 128)
        return {split: camera_recordings(root, files, aedat4.read, image) for split, files in parts.items()}
