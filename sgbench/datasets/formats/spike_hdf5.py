"""A strict reader of spikes in the HDF5 layout of the Heidelberg data sets: only plain numbers inside one file.

For each sample, `spikes/times` [s] and `spikes/units` (channels) hold a list of numbers, `labels` a class and
`extra/speaker` a speaker. Links out of the file, virtual and external data, references and strings are refused.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastspiking.signals.spikes import MICRO, SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError, StorageError

AT_ONCE = 64  # samples read at a time
MOST = 10_000_000  # samples in a file
TIMES, UNITS, LABELS, SPEAKER = "spikes/times", "spikes/units", "labels", "extra/speaker"


def numbers(path: Path, name: str) -> NDArray[np.int64]:
    """Read the list of whole numbers `name` from an HDF5 file, int64 [samples]."""
    with _open(path) as file:
        data = _data(file, path, name)
        if data.dtype.kind not in "iu":
            raise InputError(f"{path}: {name} holds {data.dtype}, not whole numbers")
        return np.asarray(data[()], np.int64)


def recordings(path: Path, rows: Sequence[int] | NDArray[np.int64], classes: int) -> Iterator[Recording]:
    """Yield the samples with the indices `rows`, in this order; times are rounded to microseconds."""
    labels = numbers(path, LABELS)
    with _open(path) as file:
        times, units = _require_lists(file, path, TIMES, "f"), _require_lists(file, path, UNITS, "iu")
        if not len(times) == len(units) == len(labels):
            raise InputError(f"{path}: {len(times)} lists of times, {len(units)} of units, {len(labels)} labels")
        chosen = np.asarray(rows, np.int64)
        for part in np.split(chosen, range(AT_ONCE, len(chosen), AT_ONCE)):
            try:
                trains = zip(part.tolist(), times[part], units[part], strict=True)
                for row, time_s, unit in trains:
                    yield _recording(path, row, time_s, unit, int(labels[row]), classes)
            except (OSError, RuntimeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{path}: cut off or damaged ({error}); fetch it again") from error


def _recording(path: Path, row: int, time_s: NDArray[Any], unit: NDArray[Any], label: int, classes: int) -> Recording:
    """Make a recording of the times and units [spikes] of the sample with index `row`."""
    name = f"{path}: sample {row}"
    if not 0 <= label < classes:
        raise InputError(f"{name} has label {label}, outside 0..{classes - 1}")
    seconds = time_s.astype(np.float64)
    if not np.isfinite(seconds).all():
        raise InputError(f"{name} has a time that is not finite")
    return Recording(unit, np.round(seconds * 1e6), label, name=name)


def _open(path: Path) -> Any:
    """Open an HDF5 file to read; InputError without h5py, or if the file is damaged."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: reading HDF5 needs h5py; run: pip install 'sgbench[events]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: not a whole HDF5 file ({str(error).splitlines()[0][:120]}); fetch it again"
        ) from error


def _data(file: Any, path: Path, name: str) -> Any:
    """Return an array with one entry a sample that lies in this very file: links could lead to others."""
    import h5py

    node = file
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name} is missing, or is a link; not a file of this layout")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external:
        raise InputError(f"{path}: {name} does not lie in the file itself")
    if node.ndim != 1 or len(node) > MOST:
        raise InputError(f"{path}: {name} has shape {node.shape}, not one entry a sample")
    return node


def _require_lists(file: Any, path: Path, name: str, kinds: str) -> Any:
    """Return the data set `name` of an open HDF5 file, with a list of numbers for each sample.

    Raise InputError if it holds anything else; kinds: NumPy's letters of the allowed types, "f" or "iu".
    """
    import h5py

    data = _data(file, path, name)
    inner: Any = h5py.check_vlen_dtype(data.dtype)
    if not isinstance(inner, np.dtype) or inner.kind not in kinds:
        raise InputError(
            f"{path}: {name} holds {getattr(inner, '__name__', inner) or data.dtype}, not lists of numbers"
        )
    return data


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
    """Write each sample's spikes: times [s] and channels."""
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
