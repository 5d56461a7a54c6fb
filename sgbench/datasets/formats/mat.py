"""A reader of numeric arrays in MATLAB files of version 5; cells, structures and objects are refused unread."""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.errors import InputError

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
