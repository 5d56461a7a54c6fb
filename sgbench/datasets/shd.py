"""Spiking Heidelberg Digits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, present
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.formats.spike_hdf5 import LABELS, SPEAKER, numbers, recordings
from sgbench.errors import InputError

TRAIN, TEST = "shd_train.h5", "shd_test.h5"


class Shd(EventFiles, entry="shd"):
    """Loads spoken digits, English and German, as spikes of 700 channels of an artificial cochlea.

    The published files are training and test. Two of the twelve speakers are heard in the test file alone, so
    that it asks for unknown voices; validation therefore does so too: it is all that one or several speakers of
    the training file say. Selecting on the test file, as is common, is what this split is there to replace.

    Args:
        validation_speakers: numbers of the speakers of the training file that validation is made of.

    Raises:
        InputError: no list of numbers.

    Source: Cramer, Stradmann, Schemmel & Zenke 2022, IEEE Transactions on Neural Networks and
    Learning Systems 33(7).
    """

    n_inputs: int = 700
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {("train", "validation"): 8156}
    source: str = "zenkelab.org/resources/spiking-heidelberg-datasets-shd"
    name: ClassVar[str] = "shd"
    files: tuple[str, str] = (TRAIN, TEST)
    folder: ClassVar[str] = "SHD"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://zenkelab.org/datasets/shd_train.h5.zip",
            "shd_train.h5.zip",
            "f3252aeb598ac776c1b526422d90eecb",
            2_000_000_000,
            ("https://compneuro.net/datasets/shd_train.h5.zip",),
        ),
        FileToFetch(
            "https://zenkelab.org/datasets/shd_test.h5.zip",
            "shd_test.h5.zip",
            "1503a5064faa34311c398fb0a1ed0a6f",
            1_000_000_000,
            ("https://compneuro.net/datasets/shd_test.h5.zip",),
        ),
    )
    by_hand: ClassVar[str] = "or put shd_train.h5 and shd_test.h5 into the folder SHD of the data root"

    def __init__(self, *, validation_speakers: list[int]) -> None:
        super().__init__()
        given = list(validation_speakers) if isinstance(validation_speakers, list | tuple) else []
        if not given or not all(type(listed) is int and listed >= 0 for listed in given):
            raise InputError(
                f"dataset.validation_speakers={validation_speakers!r}: a list of numbers such as [9] is needed"
            )
        self.validation_speakers = sorted(set(given))

    def parameters(self) -> dict[str, object]:
        """Return the speakers held out for validation, as a part of what decides about the samples."""
        return {"validation_speakers": self.validation_speakers}

    def originals(self, root: Path) -> list[str]:
        """List both files, the training's first."""
        return present(root, self.files, self.remedy)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign training recordings to validation by speaker; the test file stays as it is."""
        train_file, test_file = (root / name for name in self.files)
        speaker = numbers(train_file, SPEAKER)
        absent = set(self.validation_speakers) - set(speaker.tolist())
        if absent:
            known = ", ".join(str(name) for name in np.unique(speaker).tolist())
            raise InputError(f"{train_file}: nobody is speaker {min(absent)}; speakers are {known}")
        held_out = np.isin(speaker, self.validation_speakers)
        test = np.arange(len(numbers(test_file, LABELS)))
        return {
            "train": recordings(train_file, np.flatnonzero(~held_out), self.n_classes),
            "validation": recordings(train_file, np.flatnonzero(held_out), self.n_classes),
            "test": recordings(test_file, test, self.n_classes),
        }
