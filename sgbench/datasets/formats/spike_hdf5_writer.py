"""A writer of spikes in the HDF5 layout of the Heidelberg data sets; the same spikes give the same bytes."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastspiking.signals.spike_trains import MICRO, SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.errors import InputError, StorageError


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
    """Write samples of spikes to an HDF5 file: `spikes/times` [s], `spikes/units`, `labels` and `extra`.

    `path`: of the file; an existing file is replaced once the new one is complete. `part`: samples whose values are
    spikes. `words`: the word of each class, written to `extra/keys`. `speakers`: speaker's name of each sample; its
    index in `known` is written to `extra/speaker`. `numbers`: of each recording among those of its word and speaker,
    written to `extra/meta_info/recording`. `known`: names of all speakers, written to `extra/speaker_names`; None for
    those in `speakers`, sorted. `made_by`: program that synthesised the speech, written to `extra/meta_info/made_by`;
    None to leave it out.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: writing HDF5 needs h5py; run: pip install 'sgbench[events]'") from error
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The format of version 1.6 stores no times of writing, so that the bytes depend on the samples alone.
        with h5py.File(partial, "w", libver=("earliest", "v110")) as file:
            _spikes(file, part, h5py)
            names = sorted(set(speakers)) if known is None else list(known)
            file["labels"] = part.target.numpy().astype(np.uint16)
            file["extra/keys"] = np.array([word.encode() for word in words])
            file["extra/speaker"] = np.array([names.index(speaker) for speaker in speakers], np.uint16)
            file["extra/speaker_names"] = np.array([name.encode() for name in names])
            file["extra/meta_info/recording"] = np.array(numbers, np.uint32)
            if made_by is not None:
                file["extra/meta_info/made_by"] = np.bytes_(made_by)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _spikes(file: Any, part: Samples, h5py: Any) -> None:
    trains = part.values
    if not isinstance(trains, SpikeTrains):
        raise TypeError("samples of spikes are needed")
    dtypes = {"times": np.float32, "units": np.uint16}
    lists = {
        name: file.create_dataset(f"spikes/{name}", (len(trains),), dtype=h5py.vlen_dtype(dtype))
        for name, dtype in dtypes.items()
    }
    for sample, (first, last) in enumerate(itertools.pairwise(trains.indptr.tolist())):
        lists["times"][sample] = (trains.time_us[first:last].numpy() * MICRO).astype(np.float32)
        lists["units"][sample] = trains.channel[first:last].numpy().astype(np.uint16)
