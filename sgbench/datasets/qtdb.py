"""Electrocardiograms as events, with the wave of the heartbeat in each step as target."""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.datasets.event_files import find, problem_of
from sgbench.errors import InputError, require_choice

MAX_VALUES = 64 * 1024 * 1024  # of one array
MAX_BYTES = 256 * 1024 * 1024  # of the file
NUMERIC = (  # SciPy's names of MATLAB's numeric classes
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("single", "double", "logical"),
)


def read_mat(path: Path, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Map each of these names to its array in a MATLAB file of version 5."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes, at most {MAX_BYTES} are read; it is not the published file")
        _require_numbers({name: (shape, kind) for name, shape, kind in whosmat(path)}, names, path)
        variables = loadmat(path, variable_names=list(names), appendmat=False)
        return {name: np.asarray(variables[name]) for name in names}
    except InputError:
        raise
    except OSError as error:
        unreadable = f"{path}: cannot be read: {error.strerror}"
        raise InputError(_damaged(path, error) if error.errno is None else unreadable) from error
    except (ValueError, TypeError, LookupError, ArithmeticError, EOFError, NotImplementedError) as error:
        raise InputError(_damaged(path, error)) from error
    except (MatReadError, zlib.error, struct.error, MemoryError, RuntimeError) as error:
        raise InputError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{path}: no MATLAB file of version 5, cut off or damaged ({reason}); fetch it again"


def _require_numbers(held: dict[str, tuple[tuple[int, ...], str]], names: Sequence[str], path: Path) -> None:
    """Raise InputError unless each name is a numeric array of at most `MAX_VALUES`.

    `held` maps the names in the file to shape and MATLAB class.
    """
    for name in names:
        if name not in held:
            raise InputError(f"{path}: has no array '{name}'; it is cut off, or another file than the published one")
        shape, kind = held[name]
        if kind not in NUMERIC:
            raise InputError(f"{path}: '{name}' is {kind}, not numbers; nothing else is read")
        if min(shape) < 0 or math.prod(shape) > MAX_VALUES:
            raise InputError(f"{path}: '{name}' declares {shape}, more than {MAX_VALUES} values; fetch it again")


FILES = ("QTDB_train.mat", "QTDB_test.mat")
STEPS, CHANNELS, WAVES = 1300, 4, ("P", "PQ", "QR", "RS", "ST", "TP")
STEP_US = 4_000  # 250 samples a second
LAST_FOR_VALIDATION = 62  # samples at the end of the training file
UNLABELLED_STEPS = ("unscored", "p")
Array = np.ndarray[Any, Any]


class Qtdb(DataSet, entry="qtdb"):
    """Loads two-lead electrocardiograms; the target of each step is one of six waves of the heartbeat.

    A sample has level-crossing events in four channels (rises and falls of each lead), 1300 steps of 4 ms and about
    five beats; the classes are the waves P, PQ, QR, RS, ST and TP. The test is the official one. Validation is the
    last 62 samples of the training file: neighbours in the file are often of one recording (a third of the samples
    have their nearest neighbour at most ten samples away, 3 % would by chance), so validation is one piece.

    A further row after each sample (-1 in the first channel) marks its end and is dropped. 8 to 10 % of the steps
    have no label, most of them after the last annotated beat. Published accuracies (Yin et al.: 84 to 86 %) count
    these steps as P.

    Args:
        unlabelled: how to treat steps without a label: "unscored", or "p" to give them the class P.

    Raises:
        InputError: `unlabelled` has another value, or a file is missing, damaged or not the published one.

    Source: Yin, Corradi & Bohte 2021, Nature Machine Intelligence 3:905; Laguna et al. 1997, Computers in
    Cardiology 24 (the QT data base).
    """

    n_inputs: int = CHANNELS
    source: str = "github.com/byin-cwi/Efficient-spiking-networks"
    folder: ClassVar[str] = "QTDB"
    remedy: ClassVar[str] = (
        "put QTDB_train.mat and QTDB_test.mat of github.com/byin-cwi/Efficient-spiking-networks into the folder "
        "QTDB of the data root"
    )
    published: ClassVar[Mapping[str, str]] = {  # maps values of `unlabelled` without an entry to checksums
        "p": "1f4d53a079a265fe0d3b487d196db0636e32ea3e8d1fb85b0f6646fcb634206b"
    }

    def __init__(self, *, unlabelled: str) -> None:
        self.unlabelled = require_choice("dataset.unlabelled", unlabelled, UNLABELLED_STEPS)
        self.sha256: str | None = self.published_sha256() or self.published.get(unlabelled)

    def missing(self, data_dir: Path) -> str | None:
        return problem_of(lambda: [find(name, [data_dir / self.folder], self.remedy) for name in FILES])

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Read both files; the last recordings of the training file are for validation."""
        (events, labels), test = (self._read(name, data_dir) for name in FILES)
        border = len(events) - LAST_FOR_VALIDATION
        return {
            "train": _samples(events[:border], labels[:border]),
            "validation": _samples(events[border:], labels[border:]),
            "test": _samples(*test),
        }

    def _read(self, name: str, data_dir: Path) -> tuple[Array, Array]:
        """Read events (0 or 1) [samples, 1300, 4] and classes [samples, 1300] from a file."""
        path = find(name, [data_dir / self.folder], self.remedy)
        arrays = read_mat(path, ("x", "y"))
        x, y = arrays["x"], arrays["y"]
        if x.ndim != 3 or x.shape[1:] != (STEPS + 1, CHANNELS) or y.shape != (*x.shape[:2], len(WAVES)):  # noqa: PLR2004
            raise InputError(
                f"{path}: x {x.shape} and y {y.shape} are not [n, 1301, 4] and [n, 1301, 6]; {self.remedy}"
            )
        if not (np.isin(x[:, :STEPS], (0, 1)).all() and np.isin(y, (0, 1)).all() and (y.sum(2) <= 1).all()):
            raise InputError(f"{path}: x and y hold other numbers than events and one label a step; {self.remedy}")
        if name == FILES[0] and len(x) <= LAST_FOR_VALIDATION:
            raise InputError(f"{path}: {len(x)} samples are too few; {self.remedy}")
        labels = y.argmax(2).astype(np.int64)
        if self.unlabelled == "unscored":
            labels[~y.any(2)] = UNLABELLED
        return x[:, :STEPS], labels[:, :STEPS]


def _samples(events: Array, labels: Array) -> Samples:
    """Convert events (0 or 1) [samples, steps, channels] to spike trains, with labels [samples, steps]."""
    sample, step, channel = np.nonzero(events)
    duration_us = np.full(len(events), STEPS * STEP_US)
    trains = SpikeTrains.of(sample, channel, step * STEP_US + STEP_US // 2, duration_us, CHANNELS)
    return Samples(trains, torch.from_numpy(labels.copy()), None)
