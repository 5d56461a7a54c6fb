"""Spikes written in the HDF5 layout of the Heidelberg data sets; the same spikes give the same bytes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.datasets.base import Samples
from sgbench.errors import InputError, StorageError
from sgbench.signals.spike_trains import MICRO, SpikeTrains


def write(
    path: Path,
    part: Samples,
    *,
    words: Sequence[str],
    speakers: Sequence[str],
    numbers: Sequence[int],
    known: Sequence[str] | None = None,
    made_by: str | None = None,
) -> None:
    """Write `spikes/times` [s], `spikes/units`, `labels` and `extra`, one sample after the other.

    `extra/keys` are the words of the classes, `extra/speaker` the index of the speaker in
    `extra/speaker_names`, and `extra/meta_info/recording` its number among those of the word and speaker.

    Args:
        path: of the file; what is there is replaced, when all is written.
        part: samples with spikes.
        words: of the classes.
        speakers: one a sample.
        numbers: one a sample.
        known: all speakers there are, in order, of whom some may not speak here; default: those who do, sorted.
        made_by: program that spoke, which goes to `extra/meta_info/made_by`.

    Raises:
        InputError: h5py is not installed.
        StorageError: the file cannot be written.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: writing HDF5 needs h5py; run: pip install 'sgbench[events]'") from error
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The old format of version 1.6 keeps no times of writing, so that bytes do not depend on the day.
        with h5py.File(half, "w", libver=("earliest", "v110")) as file:
            _spikes(file, part, h5py)
            names = sorted(set(speakers)) if known is None else list(known)
            file["labels"] = part.target.numpy().astype(np.uint16)
            file["extra/keys"] = np.array([word.encode() for word in words])
            file["extra/speaker"] = np.array([names.index(speaker) for speaker in speakers], np.uint16)
            file["extra/speaker_names"] = np.array([name.encode() for name in names])
            file["extra/meta_info/recording"] = np.array(numbers, np.uint32)
            if made_by is not None:
                file["extra/meta_info/made_by"] = np.bytes_(made_by)
        half.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        half.unlink(missing_ok=True)


def _spikes(file: Any, part: Samples, h5py: Any) -> None:
    trains = part.values
    if not isinstance(trains, SpikeTrains):
        raise TypeError("samples of spikes are needed")
    kinds = {"times": np.float32, "units": np.uint16}
    lists = {
        name: file.create_dataset(f"spikes/{name}", (len(trains),), dtype=h5py.vlen_dtype(kind))
        for name, kind in kinds.items()
    }
    ends = trains.indptr.tolist()
    for row, (first, last) in enumerate(itertools.pairwise(ends)):
        lists["times"][row] = (trains.time_us[first:last].numpy() * MICRO).astype(np.float32)
        lists["units"][row] = trains.channel[first:last].numpy().astype(np.uint16)
