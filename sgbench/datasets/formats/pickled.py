"""Numbers out of a pickle that is read as data: nothing in it is imported, called or instantiated.

The standard library's unpickler, whose every look-up of a name is answered here: the few names by which NumPy
writes an array stand for functions of this module, which make the array of the bytes beside them; any other is
refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from sgbench.errors import InputError

KIND = re.compile(r"[biuf][1248]")
PLAIN = (type(None), bool, int, float, str, bytes, bytearray, np.number, np.bool_)


def numbers_in(data: bytes, name: str) -> Any:
    """Read the numbers, text, lists, tuples, mappings and arrays of numbers that a pickle holds.

    Raises:
        InputError: it holds anything else, or is cut off or damaged; one line.

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
        raise InputError(
            f"{name}: not a pickle of plain numbers ({reason[:120]}); nothing in it is run"
        ) from None


def _require_small_memo(data: bytes) -> None:
    """Refuse a memo index beyond the length of the pickle, since the unpickler allocates memory up to it."""
    for code, argument, _ in pickletools.genops(data):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument) > len(data):  # type: ignore[arg-type]
            raise ValueError(f"memo index {argument} in a pickle of {len(data)} bytes")


class _Unpickler(pickle.Unpickler):
    """Reads a pickle without importing anything that it names."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the stand-in of a name in the pickle, which is never imported."""
        wanted = f"{module_name.replace('numpy.core', 'numpy._core')} {global_name}"
        if wanted not in CALLS:
            raise ValueError(f"it asks for {module_name}.{global_name}")
        return _Name(CALLS[wanted])


class _Stand:
    """Stands for an object of a pickle, which can do nothing but hold what it is given."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise TypeError("a state for what has none")


class _Name(_Stand):
    """Stands for what a pickle calls by name; made anew for each, so that none can be changed."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *given: Any) -> Any:
        return self._call(*given)


class _Kind(_Stand):
    """Holds the type of an array's numbers."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any, *_: Any) -> None:
        if not isinstance(text, str) or not KIND.fullmatch(text):
            raise ValueError(f"numbers of the kind {text!r}")
        self.text, self.order = text, "|"

    def __setstate__(self, state: Any) -> None:
        """Take the byte order of an array's numbers from the pickle."""
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"numbers in the order {state[1]!r}")
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the numbers as NumPy's own."""
        return np.dtype(self.order + self.text)


class _Array(_Stand):
    """Stands for an array that is announced, until its numbers come."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: np.ndarray[Any, Any] | None = None) -> None:
        self.numbers = numbers

    def __setstate__(self, state: Any) -> None:
        """Take the numbers of an announced array from the pickle."""
        _, shape, kind, columns_first, data = state
        self.numbers = _array(shape, kind, data, columns_first=bool(columns_first))


def _reconstruct(kind: Any, *_: Any) -> _Array:
    """Announce an array, whose numbers come later in the pickle."""
    if not isinstance(kind, _Name) or kind._call is not _ndarray:
        raise TypeError("an array of another class")
    return _Array()


def _ndarray(*_: Any) -> Any:
    """Refuse to make an array by its class, which NumPy never asks for."""
    raise ValueError("a call of numpy.ndarray")


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    """Make an array of the bytes that the pickle holds beside it."""
    return _Array(_array(shape, kind, data, columns_first=order == "F"))


def _scalar(kind: Any, data: Any) -> Any:
    """Make a single number of its type and bytes."""
    return _array((), kind, data, columns_first=False)[()]


def _encode(text: Any, codec: Any) -> bytes:
    """Encode the bytes that an old protocol writes as text."""
    if codec not in ("latin1", "latin-1"):
        raise ValueError(f"text in {codec!r}")
    data: bytes = text.encode("latin-1")
    return data


def _no_bytes() -> bytes:
    """Return empty bytes, which old protocols ask for by a call."""
    return b""


CALLS: dict[str, Callable[..., Any]] = {
    "numpy._core.multiarray _reconstruct": _reconstruct,
    "numpy._core.multiarray scalar": _scalar,
    "numpy._core.numeric _frombuffer": _frombuffer,
    "numpy ndarray": _ndarray,
    "numpy dtype": _Kind,
    "_codecs encode": _encode,
    "__builtin__ bytes": _no_bytes,
}


def _array(shape: Any, kind: Any, data: Any, *, columns_first: bool) -> np.ndarray[Any, Any]:
    """Make an array of bytes that have its shape and kind."""
    if not isinstance(kind, _Kind) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise TypeError("an array of something else than numbers")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"an array of the shape {shape}")
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise ValueError(f"an array of the shape {shape} in {len(data)} bytes")
    return np.frombuffer(bytes(data), kind.dtype).reshape(shape, order="F" if columns_first else "C")


def _plain(value: Any) -> Any:
    """Return the same tree with arrays of numbers in place of what announced them."""
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
