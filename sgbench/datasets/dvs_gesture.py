"""DVS128 Gesture: arm and hand movements before an event camera."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from sgbench.datasets.base import Split
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats.event_bin import Pixels
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

TRAIN, TEST = "ibmGestureTrain", "ibmGestureTest"
COLUMNS = 4
NAME = re.compile(r"[^/]+/user(\d+)_[^/]+/(\d+)\.npy")


class DvsGesture(EventFiles, entry="dvs_gesture"):
    """Loads 11 gestures of 29 people under three lights, recorded by an event camera of 128x128 pixels.

    The files are those that the library tonic distributes: one gesture each, times in whole milliseconds. Users 24
    to 29 are the official test set. Validation has all gestures of `validation_users`, so that its people are
    unknown to the network, like those of the test.

    Args:
        validation_users: numbers of the users of the training folder that are held out for validation.

    Raises:
        InputError: `validation_users` is not a list of whole numbers from 1 on.

    Source: Amir et al. 2017, IEEE Conference on Computer Vision and Pattern Recognition.
    """

    image: tuple[int, int, int] | None = (2, 128, 128)
    n_inputs: int = 2 * 128 * 128
    source: str = "research.ibm.com/interactive/dvsgesture, cut into gestures (figshare files 38022171, 38020584)"
    name: ClassVar[str] = "dvs_gesture"
    folder: ClassVar[str] = "DVSGesture"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://figshare.com/ndownloader/files/38022171",
            f"{TRAIN}.tar.gz",
            "3a8f0d4120a166bac7591f77409cb105",
            20_000_000_000,
        ),
        FileToFetch(
            "https://figshare.com/ndownloader/files/38020584",
            f"{TEST}.tar.gz",
            "56070e45dadaa85fff82e0fbfbc06de5",
            10_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = (
        "figshare turns some programs away: then fetch figshare.com/ndownloader/files/38022171 and 38020584 with a "
        "browser and unpack them in the folder DVSGesture of the data root"
    )

    def __init__(self, *, validation_users: list[int]) -> None:
        super().__init__()
        users = list(validation_users) if isinstance(validation_users, list | tuple) else []
        if not users or not all(type(user) is int and user >= 1 for user in users):
            raise InputError(
                f"dataset.validation_users={validation_users!r}: a list of numbers such as [20, 21] is needed"
            )
        self.validation_users = sorted(set(users))

    def parameters(self) -> dict[str, object]:
        return {"validation_users": self.validation_users}

    def originals(self, root: Path) -> list[str]:
        train, test = (
            [f"{part}/{name}" for name in below(root / part, "user*/*.npy", self.remedy)] for part in (TRAIN, TEST)
        )
        return train + test

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Assign recordings to splits by folder and user; the number in a file's name is its class."""
        parts: dict[Split, list[tuple[str, int]]] = {"train": [], "validation": [], "test": []}
        for name in self.originals(root):
            match = NAME.fullmatch(name)
            if match is None or int(match[2]) >= self.n_classes:
                raise InputError(f"{root / name}: not named userNN_LIGHT/0..{self.n_classes - 1}.npy")
            held_out = int(match[1]) in self.validation_users
            split: Split = "test" if name.startswith(TEST) else "validation" if held_out else "train"
            parts[split].append((name, int(match[2])))
        image = (2, 128, 128)
        return {split: camera_recordings(root, files, read_table, image) for split, files in parts.items()}


def read_table(path: Path) -> Pixels:
    """Read events from a .npy file with the columns x, y, polarity and time [ms]."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
        # A mapped file takes no more memory than it has bytes, whatever its header claims.
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a whole array of numbers ({error}); fetch it again") from error
    if not isinstance(table, np.ndarray) or table.dtype.kind not in "iu" or table.shape[1:] != (COLUMNS,):
        raise InputError(f"{path}: holds {table.dtype} of shape {table.shape}, not rows x, y, polarity, time")
    x, y, polarity, time_ms = np.asarray(table).astype(np.int64).T
    return Pixels(x, y, polarity, time_ms * 1000)
