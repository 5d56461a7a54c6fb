"""Spiking Speech Commands: spoken words as spikes of an artificial cochlea."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, present
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.formats.spike_hdf5 import LABELS, numbers, recordings

FILES: dict[Split, str] = {"train": "ssc_train.h5", "validation": "ssc_valid.h5", "test": "ssc_test.h5"}
MD5 = {
    "train": "d102be95e7144fcc0553d1f45ba94170",
    "validation": "b4eee3516a4a90dd0c71a6ac23a8ae43",
    "test": "a35ff1e9cffdd02a20eb850c17c37748",
}


class Ssc(EventFiles, entry="ssc"):
    """Loads 35 spoken words as spikes of 700 channels of an artificial cochlea, with the official splits.

    Source: Cramer, Stradmann, Schemmel & Zenke 2022, IEEE Transactions on Neural Networks and
    Learning Systems 33(7).
    """

    n_inputs: int = 700
    source: str = "zenkelab.org/resources/spiking-heidelberg-datasets-shd"
    name: ClassVar[str] = "ssc"
    folder: ClassVar[str] = "SSC"
    downloads: ClassVar[tuple[FileToFetch, ...]] = tuple(
        FileToFetch(
            f"https://zenkelab.org/datasets/{name}.zip",
            f"{name}.zip",
            MD5[split],
            10_000_000_000,
            (f"https://compneuro.net/datasets/{name}.zip",),
        )
        for split, name in FILES.items()
    )
    by_hand: ClassVar[str] = "or put ssc_train.h5, ssc_valid.h5 and ssc_test.h5 into the folder SSC of the data root"

    def originals(self, root: Path) -> list[str]:
        return present(root, FILES.values(), self.remedy)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        parts: dict[Split, Iterable[Recording]] = {}
        for split, name in FILES.items():
            rows = np.arange(len(numbers(root / name, LABELS)))
            parts[split] = recordings(root / name, rows, self.n_classes)
        return parts
