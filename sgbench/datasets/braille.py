"""Braille letters felt by a fingertip, as pressures and as changes of pressure."""

import gzip
import io
import math
import pickle
import pickletools
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.datasets.event_files import find, problem_of
from sgbench.datasets.formats.npz import read_npz
from sgbench.errors import InputError, require_count

NUMERIC_TYPE = re.compile(r"[biuf][1248]")  # NumPy's codes, e.g. "f8"
PLAIN = (type(None), bool, int, float, str, bytes, bytearray, np.number, np.bool_)


def numbers_in(data: bytes, name: str) -> Any:
    """Read a pickle of numbers, text, arrays of numbers, and lists, tuples and dictionaries of them; run nothing in it.

    The standard library's unpickler is used, but we answer every look-up of a name. The few names with which NumPy
    pickles arrays are replaced by functions of this module that build an array from bytes; others are refused.

    >>> numbers_in(pickle.dumps([{"a": np.array([1, 2])}, 0.5]), "x.pkl")
    [{'a': array([1, 2])}, 0.5]
    """
    try:
        _require_small_memo(data)
        return _plain(_Unpickler(io.BytesIO(data), fix_imports=False, encoding="latin1").load())
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError),
        *(ArithmeticError, RecursionError, MemoryError),
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: not a pickle of plain numbers ({reason[:120]}); nothing in it is run") from None


def _require_small_memo(data: bytes) -> None:
    """Refuse a pickle with a memo index beyond its size: the unpickler would reserve memory up to it."""
    for code, argument, _ in pickletools.genops(data):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument) > len(data):  # type: ignore[arg-type]
            raise ValueError(f"memo index {argument} in a pickle of {len(data)} bytes")


class _Unpickler(pickle.Unpickler):
    """Reads a pickle without importing anything that it names."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        wanted = f"{module_name.replace('numpy.core', 'numpy._core')} {global_name}"
        if wanted not in CALLS:
            raise ValueError(f"it asks for {module_name}.{global_name}")
        return _Name(CALLS[wanted])


class _Placeholder:
    """Stands for an object that the pickle creates; by default it refuses the state that a pickle can set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise TypeError("a state for what has none")


class _Name(_Placeholder):
    """Stands for a function that the pickle names and calls; a new object for each, so that none can be altered."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


class _Type(_Placeholder):
    """Stands for `numpy.dtype`: holds code and byte order of a numeric type, e.g. "f8" and "<"."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any, *_: Any) -> None:
        if not isinstance(text, str) or not NUMERIC_TYPE.fullmatch(text):
            raise ValueError(f"numbers of the kind {text!r}")
        self.text, self.order = text, "|"

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"numbers in the order {state[1]!r}")
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.text)


class _Array(_Placeholder):
    """Stands for an array; `numbers` is None until the pickle sets its state."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: np.ndarray[Any, Any] | None = None) -> None:
        self.numbers = numbers

    def __setstate__(self, state: Any) -> None:
        _, shape, type_, columns_first, data = state
        self.numbers = _array(shape, type_, data, columns_first=bool(columns_first))


def _reconstruct(array_class: Any, *_: Any) -> _Array:
    """Return an array without numbers, instead of NumPy's function; the pickle later sets its state."""
    if not isinstance(array_class, _Name) or array_class._call is not _ndarray:
        raise TypeError("an array of another class")
    return _Array()


def _ndarray(*_: Any) -> Any:
    """Refuse a call of `numpy.ndarray`, which NumPy's pickles name but never call."""
    raise ValueError("a call of numpy.ndarray")


def _frombuffer(data: Any, type_: Any, shape: Any, order: Any) -> _Array:
    """Return an array of this type, shape and order ("C" or "F") made of bytes, instead of NumPy's function."""
    return _Array(_array(shape, type_, data, columns_first=order == "F"))


def _encode(text: Any, codec: Any) -> bytes:
    """Stand in for the function by which Python 2's pickles hold bytes."""
    if codec not in ("latin1", "latin-1"):
        raise ValueError(f"text in {codec!r}")
    data: bytes = text.encode("latin-1")
    return data


CALLS: dict[str, Callable[..., Any]] = {  # maps a pickle's names to their replacements
    "numpy._core.multiarray _reconstruct": _reconstruct,
    "numpy._core.multiarray scalar": lambda type_, data: _array((), type_, data, columns_first=False)[()],
    "numpy._core.numeric _frombuffer": _frombuffer,
    "numpy ndarray": _ndarray,
    "numpy dtype": _Type,
    "_codecs encode": _encode,
    "__builtin__ bytes": lambda: b"",
}


def _array(shape: Any, type_: Any, data: Any, *, columns_first: bool) -> np.ndarray[Any, Any]:
    """Make an array of a pickle's bytes, in C or Fortran order; raise an error unless shape, type and bytes fit."""
    is_array = isinstance(data, bytes | bytearray) and isinstance(shape, tuple)
    if not isinstance(type_, _Type) or not is_array:
        raise TypeError("an array of something else than numbers")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"an array of the shape {shape}")
    if math.prod(shape) * type_.dtype.itemsize != len(data):
        raise ValueError(f"an array of the shape {shape} in {len(data)} bytes")
    return np.frombuffer(bytes(data), type_.dtype).reshape(shape, order="F" if columns_first else "C")


def _plain(value: Any) -> Any:
    """Replace the placeholders of arrays in nested lists, tuples and dictionaries by NumPy arrays."""
    if isinstance(value, _Array):
        if value.numbers is None:
            raise ValueError("an array without numbers")
        return value.numbers
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if not isinstance(value, PLAIN):
        raise TypeError(f"a {type(value).__name__} among the numbers")
    return value


FILE = "braille_letters.npz"
ORIGINAL = "tutorial5_braille_spiking_data.pkl.gz"
CLASSES, REPETITIONS, STEPS, TAXELS = 27, 50, 76, 12  # a taxel is one pressure sensor of the fingertip
COUNT = CLASSES * REPETITIONS
FULL = 255  # reading of an untouched sensor
MOST_BYTES = 256 * 1024 * 1024  # of the original, unpacked
STEP_US = 25_000  # the skin is read 40 times a second
FIRST_VALIDATION, FIRST_TEST = 32, 40  # first repetition in validation and in test
Pressures = np.ndarray[Any, np.dtype[np.uint8]]


class BrailleLetters(DataSet):
    """Reads the recordings that `Braille` and `BrailleDelta` share, and splits them by repetition.

    A robot's fingertip slid over each of 27 letters (space, A to Z) 50 times. Repetitions 0 to 31 are for training,
    32 to 39 for validation and 40 to 49 for the test, so every split has every letter equally often.

    Source: Müller-Cleve et al. 2022, Frontiers in Neuroscience 16:951164; doi 10.5281/zenodo.6556273.
    """

    source: str = "doi.org/10.5281/zenodo.6556273"
    folder: ClassVar[str] = "braille"
    remedy: ClassVar[str] = (
        f"put {ORIGINAL} of github.com/fzenke/spytorch (notebooks/data) there, or {FILE} with arrays x uint8 "
        f"[1350, 76, 12] (255 - taxel_data), y [1350] and repetition [1350]"
    )

    def missing(self, data_dir: Path) -> str | None:
        return problem_of(lambda: self._path(data_dir))

    def read(self, data_dir: Path) -> dict[Split, tuple[Pressures, np.ndarray[Any, Any]]]:
        """Map each split to its pressures, uint8 [samples, 76, 12], and letters, int64 [samples].

        Samples are sorted by letter and repetition.

        Raises:
            InputError: the file is missing, damaged, or lacks a repetition of a letter.
        """
        path, (x, y, repetition) = self._arrays(data_dir)
        order = np.lexsort((repetition, y))
        expected_letter, expected_repetition = np.divmod(np.arange(COUNT), REPETITIONS)
        if (y[order] != expected_letter).any() or (repetition[order] != expected_repetition).any():
            raise InputError(f"{path}: not {REPETITIONS} repetitions of each of {CLASSES} letters; {self.remedy}")
        repetitions = {
            "train": (0, FIRST_VALIDATION),
            "validation": (FIRST_VALIDATION, FIRST_TEST),
            "test": (FIRST_TEST, REPETITIONS),
        }
        chosen = {
            name: order[(expected_repetition >= low) & (expected_repetition < high)]
            for name, (low, high) in repetitions.items()
        }
        return {name: (x[positions], y[positions].astype(np.int64)) for name, positions in chosen.items()}  # type: ignore[misc]

    def _arrays(self, data_dir: Path) -> tuple[Path, tuple[Pressures, Any, Any]]:
        """Return the file found and its arrays: pressures [1350, 76, 12], letters [1350], repetitions [1350]."""
        path = self._path(data_dir)
        if path.name == ORIGINAL:
            letter, repetition = np.divmod(np.arange(COUNT), REPETITIONS)
            return path, (trials_in(path), letter, repetition)
        arrays = read_npz(path, ("x", "y", "repetition"))
        x, y, repetition = (arrays[name] for name in ("x", "y", "repetition"))
        shapes = (x.shape, y.shape, repetition.shape)
        if x.dtype != np.uint8 or shapes != ((COUNT, STEPS, TAXELS), (COUNT,), (COUNT,)):
            raise InputError(f"{path}: x is {x.dtype} {x.shape}, not uint8 {(COUNT, STEPS, TAXELS)}; {self.remedy}")
        return path, (x, y, repetition)

    def _path(self, data_dir: Path) -> Path:
        folder = data_dir / self.folder
        packed = folder / ORIGINAL
        return packed if packed.is_file() else find(FILE, [folder], self.remedy)


class Braille(BrailleLetters, entry="braille"):
    """Loads Braille letters as the pressures on twelve sensors, four of which touch, in 76 steps of 25 ms.

    In this form a nearest-neighbour classifier recognises every letter; `BrailleDelta` is harder.

    Raises:
        InputError: the file is missing, damaged or another one.
    """

    n_inputs: int = TAXELS

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        return {
            name: Samples(torch.from_numpy(x), torch.from_numpy(y), None)
            for name, (x, y) in self.read(data_dir).items()
        }


class BrailleDelta(BrailleLetters, entry="braille_delta"):
    r"""Loads Braille letters as events: a sensor sends one when its pressure has changed by a threshold.

    .. math:: s^{\pm}[t] = [\pm(x[t] - r[t-1]) \ge \theta], \qquad r[t] = x[t] \text{ after an event, else } r[t-1]

    x[t] is the pressure (0 to 255) of a sensor in step t, s the event (0 or 1) of a rise or a fall, r the pressure
    at the last event, with r[0] = x[0]. Channel n has the rises of sensor n, channel 12 + n its falls. An event
    lies in the middle of its step of 25 ms. Most samples of the letter "space" have no event.

    Args:
        threshold: theta, a whole number from 1 on; at 10 a sample has 12.1 events on average, at 20 4.4.

    Raises:
        InputError: a threshold that is no whole number above 0, or the file is missing, damaged or another one.

    Source: sample-based encoding of Müller-Cleve et al. 2022, Frontiers in Neuroscience 16:951164, section 2.1.
    """

    n_inputs: int = 2 * TAXELS
    published: ClassVar[Mapping[int, str]] = {  # maps thresholds without a catalogue entry to checksums
        20: "4419107729a1193d099d9a60db1b473ba2cb47694fb59e5a95c99a9583dbd678"
    }

    def __init__(self, *, threshold: int) -> None:
        self.threshold = require_count("dataset.threshold", threshold)
        self.sha256: str | None = self.published_sha256() or self.published.get(threshold)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        return {name: self._samples(*part) for name, part in self.read(data_dir).items()}

    def _samples(self, x: Pressures, y: np.ndarray[Any, Any]) -> Samples:
        """Convert pressures x [samples, 76, 12] to events, with the letters y [samples] as classes."""
        sample, step, channel = np.nonzero(send_on_delta(x, self.threshold))
        duration_us = np.full(len(x), STEPS * STEP_US)
        trains = SpikeTrains.of(sample, channel, step * STEP_US + STEP_US // 2, duration_us, self.n_inputs)
        return Samples(trains, torch.from_numpy(y), None)


def send_on_delta(x: Pressures, threshold: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Mark where numbers have risen or fallen by the threshold since their last event.

    `x`: whole numbers [samples, steps, N]. `threshold`: least change that makes an event.

    Returns:
        Rises of all N numbers, then their falls [samples, steps, 2 N].

    >>> send_on_delta(np.array([[[10], [12], [14], [9]]], dtype=np.uint8), 3)[0].astype(int).tolist()
    [[0, 0], [0, 0], [1, 0], [0, 1]]
    """
    level = x.astype(np.int64)
    reference, events = level[:, 0], np.zeros((*x.shape[:2], 2 * x.shape[2]), dtype=np.bool_)
    for step in range(1, x.shape[1]):
        change = level[:, step] - reference
        events[:, step] = np.concatenate([change >= threshold, change <= -threshold], 1)
        reference = np.where(np.abs(change) >= threshold, level[:, step], reference)
    return events


def trials_in(path: Path) -> Pressures:
    """Read the pressures [1350, 76, 12] in the published gzipped pickle, without running anything in it."""
    try:
        with gzip.open(path) as file:
            data = file.read(MOST_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    trials = numbers_in(data, str(path))
    if isinstance(trials, dict) and set(trials) == set(range(len(trials))):
        trials = [trials[number] for number in range(len(trials))]
    if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
        raise InputError(f"{path}: not a list of trials; it is another file than the published one")
    if len(trials) != COUNT:
        raise InputError(f"{path}: {len(trials)} trials, not {COUNT}; it is another file than the published one")
    return np.stack([_pressure(trial, f"{path}: trial {number}") for number, trial in enumerate(trials)])


def _pressure(trial: dict[str, Any], where: str) -> Pressures:
    """Return the first 76 steps of a trial's `taxel_data` as 255 minus the reading, uint8 [76, 12].

    `where` names file and trial in the InputError raised for another shape or for readings outside 0 to 255.
    """
    if "taxel_data" not in trial:
        raise InputError(f"{where} has no taxel_data; it is another file than the published one")
    pressures = np.asarray(trial["taxel_data"])
    if (
        pressures.ndim != 2  # noqa: PLR2004
        or len(pressures) < STEPS
        or pressures.shape[1] != TAXELS
        or pressures.dtype.kind not in "iuf"
    ):
        raise InputError(f"{where} has taxel_data of shape {pressures.shape}, not [at least {STEPS}, {TAXELS}] numbers")
    whole = np.round(pressures[:STEPS])
    if not ((whole >= 0) & (whole <= FULL) & (whole == pressures[:STEPS])).all():
        raise InputError(f"{where} has a value outside 0..{FULL}, or none that is whole")
    return (FULL - whole).astype(np.uint8)
