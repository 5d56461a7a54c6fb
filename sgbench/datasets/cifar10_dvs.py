"""CIFAR10-DVS: pictures moved before an event camera."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, below
from sgbench.datasets.formats import aedat4
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EACH = 1000  # recordings of a class
NUMBER = re.compile(r"(\d+)\.aedat4")
SPLIT_FILE = Path(__file__).parent / "splits" / "cifar10_dvs.json"


class Cifar10Dvs(EventFiles, entry="cifar10_dvs"):
    """Loads 10000 pictures of CIFAR-10 moved before a camera of 128x128 pixels, a thousand of each class.

    There is no official split, so that published figures compare different tests. Ours is a file of the package:
    of each class 100 recordings for validation and 100 for the test, by the hash of their names.

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
        """List every recording's file, class by class."""
        files: list[str] = []
        for name in CLASSES:
            files += [f"{name}/{file}" for file in below(root / name, "*.aedat4", self.remedy, least=EACH)]
        return files

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign recordings to splits by the package's own list of held-out numbers."""
        of_number = json.loads(SPLIT_FILE.read_text())
        parts: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
        for name in self.originals(root):
            match = NUMBER.search(name)
            if match is None:
                raise InputError(f"{root / name}: its name has no number")
            listed = of_number[name.split("/")[0]]
            held_out: list[Split] = [split for split in SPLITS if int(match[1]) in listed.get(split, [])]
            split: Split = held_out[0] if held_out else "train"
            parts[split].append(name)
        return {split: self._read(root, names) for split, names in parts.items()}

    def _read(self, root: Path, names: Iterable[str]) -> Iterator[Recording]:
        """Yield the recordings of these files."""
        for name in names:
            pixels = aedat4.read(root / name)
            channel = pixels.channel((2, 128, 128), str(root / name))
            yield Recording(channel, pixels.time_us, CLASSES.index(name.split("/")[0]), name=str(root / name))
