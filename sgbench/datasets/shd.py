"""Spiking Heidelberg Digits: spoken digits as spikes of an artificial cochlea."""

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

    The published files are a training and a test set. Two of the twelve speakers are in the test file only, so the
    test asks for unknown voices. Validation does too: it has all recordings of the `validation_speakers`. With it,
    there is no need to select networks on the test file, as is common.

    Args:
        validation_speakers: numbers of the speakers of the training file that are held out for validation.

    Raises:
        InputError: `validation_speakers` is not a list of whole numbers from 0 on.

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
        speakers = list(validation_speakers) if isinstance(validation_speakers, list | tuple) else []
        if not speakers or not all(type(speaker) is int and speaker >= 0 for speaker in speakers):
            raise InputError(
                f"dataset.validation_speakers={validation_speakers!r}: a list of numbers such as [9] is needed"
            )
        self.validation_speakers = sorted(set(speakers))

    def parameters(self) -> dict[str, object]:
        return {"validation_speakers": self.validation_speakers}

    def originals(self, root: Path) -> list[str]:
        return present(root, self.files, self.remedy)

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Divide the training file between training and validation by speaker; the test file is the test."""
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
