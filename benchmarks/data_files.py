"""Recordings in SHD's format, made from a seed, and tonic's way of reading them."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.event_files import EventFiles, present
from sgbench.datasets.formats.event_store import Recording
from sgbench.datasets.formats.spike_hdf5 import recordings
from sgbench.errors import InputError

CHANNELS, CLASSES, SPEAKERS = 700, 20, 12
SECONDS = 1.0  # that a recording lasts
FILE = "shd_train.h5"


class Recorded(EventFiles):
    """As many recordings as were written, all for training; the other splits are their first."""

    name: ClassVar[str] = "recorded"
    folder: ClassVar[str] = "SHD"
    n_inputs: int = CHANNELS
    n_classes: int = CLASSES
    source: str = "made from a seed by numpy"
    licence: str = "MIT"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.sizes: Mapping[Split, int] = dict(zip(SPLITS, (count, 1, 1), strict=True))

    def originals(self, root: Path) -> list[str]:
        return present(root, [FILE], "write it")

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        return {split: recordings(root / FILE, range(self.sizes[split]), self.n_classes) for split in SPLITS}


def write(root: Path, count: int, spikes: int, seed: int) -> int:
    """Make the file below a data root; returns how many spikes it holds."""
    try:
        import h5py
    except ImportError as error:
        raise InputError("benchmarks data writes HDF5; run: pip install 'sgbench[events]'") from error
    random = np.random.default_rng(seed)
    folder = root / Recorded.folder
    folder.mkdir(parents=True)
    lengths = random.poisson(spikes, count)
    with h5py.File(folder / FILE, "w") as file:
        times = file.create_dataset("spikes/times", (count,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), dtype=h5py.vlen_dtype(np.uint16))
        for row, length in enumerate(lengths.tolist()):
            # The largest number of half precision below one second.
            drawn = np.minimum(random.random(length).astype(np.float16), np.float16(0.9995))
            times[row] = np.sort(drawn)
            units[row] = random.integers(0, CHANNELS, length).astype(np.uint16)
        file["labels"] = (np.arange(count) % CLASSES).astype(np.uint16)
        file["extra/speaker"] = (np.arange(count) % SPEAKERS).astype(np.uint16)
        file["extra/keys"] = np.array([f"word {number}".encode() for number in range(CLASSES)])
    (folder / f"{FILE}.zip").touch()  # tonic looks for the archive's name
    return int(lengths.sum())


def by_tonic(root: Path, steps: int, batch: int, workers: int) -> Iterator[Any] | None:
    """Tonic's batches without end, or None where tonic is not installed."""
    try:
        from tonic import datasets, transforms
        from tonic.collation import PadTensors
    except ImportError:
        return None
    from torch.utils.data import DataLoader

    to_frame = transforms.ToFrame(
        sensor_size=datasets.SHD.sensor_size, time_window=SECONDS * 1e6 / steps, include_incomplete=True
    )
    loader = DataLoader(
        datasets.SHD(str(root), train=True, transform=to_frame),  # pyright: ignore[reportArgumentType] - as documented
        batch_size=batch,
        shuffle=True,
        num_workers=workers,
        collate_fn=PadTensors(batch_first=False),
        persistent_workers=workers > 0,
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))
