"""A strict reader of spikes in the HDF5 layout of the Heidelberg data sets: only plain numbers inside one file.

For each sample, `spikes/times` [s] and `spikes/units` (channels) hold a list of numbers, `labels` a class and
`extra/speaker` a speaker. Links out of the file, virtual and external data, references and strings are refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

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
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: reading HDF5 needs h5py; run: pip install 'sgbench[events]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not a whole HDF5 file ({_first_line(error)}); fetch it again") from error


def _data(file: Any, path: Path, name: str) -> Any:
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:120]
