"""Numbers out of a pickle that is read as data: nothing in it is imported, called or instantiated.

A pickle is a program for a stack machine. The steps that make numbers, text, lists and mappings are carried out
here; of calls those by which NumPy writes an array are recognised by their names, and the array is made of the
bytes beside them. Every other step is refused.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from sgbench.errors import InputError

KIND = re.compile(r"[biuf][1248]")
RECONSTRUCT, FROM_BUFFER, SCALAR, ENCODE = "_reconstruct", "_frombuffer", "scalar", "encode"
NAMES = {
    **{f"{core}.multiarray _reconstruct": RECONSTRUCT for core in ("numpy.core", "numpy._core")},
    **{f"{core}.multiarray scalar": SCALAR for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric _frombuffer": FROM_BUFFER for core in ("numpy.core", "numpy._core")},
    "_codecs encode": ENCODE,
    "__builtin__ bytes": "bytes",  # of nothing, in old protocols
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
VALUES = (
    *(
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "FLOAT",
        "BINFLOAT",
    ),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
IGNORED = ("PROTO", "FRAME", "STOP")
KEPT = ("PUT", "BINPUT", "LONG_BINPUT")
FETCHED = ("GET", "BINGET", "LONG_BINGET")


class _Name(str):
    """What a pickle calls by name; it stays a name."""

    __slots__ = ()


class _Kind:
    """The type of an array's numbers."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not KIND.fullmatch(text):
            raise ValueError(f"numbers of the kind {text!r}")
        self.text, self.order = text, "|"

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy's own."""
        return np.dtype(self.order + self.text)


class _Array:
    """An array that is announced, until its numbers come."""

    def __init__(self) -> None:
        self.numbers: np.ndarray[Any, Any] | None = None


def numbers_in(data: bytes, name: str) -> Any:
    """Numbers, text, lists, tuples, mappings and arrays of numbers that a pickle holds.

    Args:
        data: of the file, unpacked.
        name: of the file, for messages.

    Raises:
        InputError: it holds anything else, or is cut off or damaged; one line.

    >>> import pickle
    >>> numbers_in(pickle.dumps([{"a": np.array([1, 2])}, 0.5]), "x.pkl")
    [{'a': array([1, 2])}, 0.5]
    """
    machine = _Machine()
    try:
        for code, argument, _ in pickletools.genops(data):
            machine.step(code.name, argument)
        return _plain(machine.stack[-1])
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{name}: not a pickle of plain numbers ({reason[:120]}); nothing in it is run"
        ) from None


class _Machine:
    """The stack and the memory."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.steps: dict[str, Callable[[], object]] = {
            "MARK": lambda: self.marks.append(len(self.stack)),
            "POP": lambda: self._drop(1),
            "POP_MARK": lambda: self._drop(len(self.stack) - self.marks.pop()),
            "MEMOIZE": lambda: self.memory.__setitem__(len(self.memory), self.stack[-1]),
            "EMPTY_LIST": lambda: self.stack.append([]),
            "EMPTY_DICT": lambda: self.stack.append({}),
            "EMPTY_TUPLE": lambda: self.stack.append(()),
            "LIST": lambda: self.stack.append(self._since_mark()),
            "TUPLE": lambda: self.stack.append(tuple(self._since_mark())),
            "DICT": lambda: self.stack.append(_mapping(self._since_mark())),
            "TUPLE1": lambda: self.stack.append(tuple(self._drop(1))),
            "TUPLE2": lambda: self.stack.append(tuple(self._drop(2))),
            "TUPLE3": lambda: self.stack.append(tuple(self._drop(3))),
            "APPEND": lambda: self._extend(self._drop(1)),
            "APPENDS": lambda: self._extend(self._since_mark()),
            "SETITEM": lambda: self._update(self._drop(2)),
            "SETITEMS": lambda: self._update(self._since_mark()),
            "STACK_GLOBAL": lambda: self.stack.append(_named(" ".join(self._drop(2)))),
            "REDUCE": lambda: self.stack.append(_called(*self._drop(2))),
            "BUILD": lambda: self.stack.append(_built(*self._drop(2))),
        }

    def step(self, code: str, argument: Any) -> None:
        """Carry out one."""
        if code in IGNORED:
            return
        if code in VALUES:
            self.stack.append(CONSTANTS.get(code, argument))
        elif code in KEPT:
            self.memory[int(argument)] = self.stack[-1]
        elif code in FETCHED:
            self.stack.append(self.memory[int(argument)])
        elif code == "GLOBAL":
            self.stack.append(_named(argument))
        elif code in self.steps:
            self.steps[code]()
        else:
            raise ValueError(f"the step {code}")

    def _drop(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self.stack):
            raise ValueError("more is taken than is there")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _since_mark(self) -> list[Any]:
        return self._drop(len(self.stack) - self.marks.pop())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("items for what is no list")
        self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise TypeError("entries for what is no mapping")
        self.stack[-1].update(_mapping(items))


def _mapping(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _named(name: str) -> _Name:
    if name not in NAMES:
        raise ValueError(f"it asks for {name.replace(' ', '.')}")
    return _Name(NAMES[name])


def _called(name: Any, given: Any) -> Any:
    """What a call by which NumPy writes numbers stands for."""
    if not isinstance(name, _Name) or not isinstance(given, tuple):
        raise TypeError("a call of what is no name")
    if name == RECONSTRUCT and isinstance(given[0], _Name) and given[0] == "ndarray":
        return _Array()
    if name == "dtype":
        return _Kind(given[0])
    if name == ENCODE and given[1:] in (("latin1",), ("latin-1",)):
        return given[0].encode("latin-1")
    if name == "bytes" and not given:
        return b""
    if name == SCALAR:
        return _array((), given[0], given[1], columns_first=False)[()]
    if name == FROM_BUFFER:
        found = _Array()
        found.numbers = _array(given[2], given[1], given[0], columns_first=given[3] == "F")
        return found
    raise ValueError(f"a call of {name}")


def _built(target: Any, state: Any) -> Any:
    """An announced array with its numbers, or a kind with its byte order."""
    if isinstance(target, _Kind) and state[1] in ("<", ">", "|", "="):
        target.order = state[1]
    elif isinstance(target, _Array):
        _, shape, kind, columns_first, data = state
        target.numbers = _array(shape, kind, data, columns_first=bool(columns_first))
    else:
        raise TypeError("a state for what has none")
    return target


def _array(shape: Any, kind: Any, data: Any, *, columns_first: bool) -> np.ndarray[Any, Any]:
    if not isinstance(kind, _Kind) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise TypeError("an array of something else than numbers")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"an array of the shape {shape}")
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise ValueError(f"an array of the shape {shape} in {len(data)} bytes")
    return np.frombuffer(bytes(data), kind.dtype).reshape(shape, order="F" if columns_first else "C")


def _plain(value: Any) -> Any:
    """The same with arrays in place of what announced them."""
    if isinstance(value, _Array):
        if value.numbers is None:
            raise ValueError("an array without numbers")
        return value.numbers
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(each) for each in value)
    if isinstance(value, _Name | _Kind):
        raise TypeError("a name among the numbers")
    return value
