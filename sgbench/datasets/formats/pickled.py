"""A reader of numbers in pickles that runs nothing in them: no class or function they name is imported or called.

The standard library's unpickler is used, but this module answers every look-up of a name. The few names with which
NumPy pickles arrays are replaced by functions of this module that build an array from bytes; others are refused.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from sgbench.errors import InputError

NUMERIC_TYPE = re.compile(r"[biuf][1248]")  # NumPy's codes, e.g. "f8"
PLAIN = (type(None), bool, int, float, str, bytes, bytearray, np.number, np.bool_)


def numbers_in(data: bytes, name: str) -> Any:
    """Read a pickle of numbers, text, arrays of numbers, and lists, tuples and dictionaries of them.

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
