"""A data set of the user's own, in the files that `sgbench data add` and `sgbench.benchmark` write."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.generated import three_sizes
from sgbench.encoders.base import Form
from sgbench.errors import InputError, require_choice, require_count

FOLDER = "yours"  # relative to the root of all data files
TRAINS = ("indptr", "channel", "time_us", "duration_us")  # arrays of spike trains, one file each
SMALL_BYTES = 4096  # files up to this size are read, larger ones mapped
DIGITS = re.compile(r"[0-9a-f]{64}")


class Own(DataSet):
    """Loads samples from NumPy files in a folder named by their checksum.

    Files are mapped into memory, so that only the samples of a batch are read. A split may lack a class.

    Args:
        sha256: of the samples, as `fingerprint` computes it.
        form: "values", "traces" or "spikes".
        n_inputs: number of values in a sample, of traces, or of spiking channels.
        classes: number of classes, at least 2.
        samples: numbers of train, validation and test samples.
    """

    origin = "files"
    every_class_in_each_split = False
    source: str = "a user's own data"
    licence: str = "the user's own"

    def __init__(self, *, sha256: str, form: str, n_inputs: int, classes: int, samples: object) -> None:
        if not isinstance(sha256, str) or not DIGITS.fullmatch(sha256):
            raise InputError(f"dataset.sha256={sha256!r}: 64 hexadecimal digits are needed")
        self.sha256: str | None = sha256
        self.form: Form = require_choice("dataset.form", form, ("values", "traces", "spikes"))  # pyright: ignore[reportAttributeAccessIssue]
        self.n_inputs = require_count("dataset.n_inputs", n_inputs)
        self.n_classes = require_count("dataset.classes", classes, low=2)
        self.sizes = three_sizes(samples)

    def folder(self, data_dir: Path) -> Path:
        """Return the folder of the samples' files, named by the first 16 digits of their checksum."""
        return data_dir / FOLDER / str(self.sha256)[:16]

    def missing(self, data_dir: Path) -> str | None:
        folder = self.folder(data_dir)
        if (folder / "train_target.npy").is_file():
            return None
        return f"{folder} is missing; add the data again: sgbench data add NAME TRAIN.npz TEST.npz"

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        reason = self.missing(data_dir)
        if reason is not None:
            raise InputError(f"data set of your own: {reason}")
        return {split: self._read(self.folder(data_dir), split) for split in SPLITS}

    def _read(self, folder: Path, split: Split) -> Samples:
        """Map a split's arrays from the .npy files of a folder; lengths are optional."""
        target = _map_file(folder / f"{split}_target.npy")
        if self.form == "spikes":
            trains = [_map_file(folder / f"{split}_{part}.npy") for part in TRAINS]
            return Samples(SpikeTrains(*trains, n_channels=self.n_inputs), target, None)
        lengths = folder / f"{split}_lengths.npy"
        values = _map_file(folder / f"{split}_values.npy")
        return Samples(values, target, _map_file(lengths) if lengths.is_file() else None)


def _map_file(path: Path) -> Tensor:
    try:
        is_large = path.stat().st_size > SMALL_BYTES  # an empty array cannot be mapped
        return torch.from_numpy(np.load(path, mmap_mode="c" if is_large else None, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}; add the data again") from error


def store(splits: dict[Split, Samples], folder: Path) -> None:
    """Write samples into the files that `Own` reads; the training targets last, as they mark a complete folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in reversed(SPLITS):
        samples, values = splits[split], splits[split].values
        is_spikes = isinstance(values, SpikeTrains)
        arrays = {name: getattr(values, name) for name in TRAINS} if is_spikes else {"values": values}
        for name, numbers in {**arrays, "lengths": samples.lengths, "target": samples.target}.items():
            if numbers is not None:
                np.save(folder / f"{split}_{name}.npy", numbers.numpy())
