"""Defines expected errors, whose messages name the thing and the remedy in one line, and checks of arguments."""

import errno
import math
import os
import re
from collections.abc import Sequence
from numbers import Real

from fastspiking.errors import (
    LONGEST_LINE,
    ExpectedError,
    InputError,
    StorageError,
    one_printable_line,
    printable,
    shortened,
    suggest,
)

__all__ = (
    "CUT_SHORT",
    "FULL",
    "HOW_TO_SEE",
    "INSTALLED_AS",
    "LINK_LOOP",
    "LONGEST_LINE",
    "TRACEBACK",
    "InputError",
    "NonFiniteError",
    "RunBusyError",
    "SgbenchError",
    "StorageError",
    "as_expected_error",
    "disk_full",
    "missing_package",
    "one_printable_line",
    "printable",
    "require_choice",
    "require_count",
    "require_counts",
    "require_flag",
    "require_number",
    "shortened",
    "shows_traceback",
    "suggest",
)


SgbenchError = ExpectedError
"""The base of all expected errors; the command prints its message on one line, without a traceback."""


class NonFiniteError(SgbenchError, ArithmeticError):
    """Reports that a layer produced NaN or infinity; the run stops and its record names the layer."""


class RunBusyError(SgbenchError):
    """Reports that another process is writing the same run."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CUT_SHORT = re.compile(r"\d+ requested and \d+ written")
"""Matches numpy's message about a full disk or a limit of file sizes, which has no error number."""


def disk_full(error: BaseException) -> StorageError | None:
    """Return a StorageError with a remedy if an error, or a cause of it, is a full disk; else None.

    >>> str(disk_full(OSError(errno.ENOSPC, "No space left on device", "/runs/a")))
    '/runs/a: No space left on device; free space or choose another folder'
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            where = "" if cause.filename is None else f"{cause.filename}: "
            return StorageError(f"{where}{cause.strerror}; free space or choose another folder")
        if isinstance(cause, OSError) and CUT_SHORT.search(str(cause)):
            return StorageError(f"the disk or its limit is full ({cause}); free space or choose another folder")
        cause = cause.__cause__ or cause.__context__
    return None


INSTALLED_AS = {"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "hydra": "hydra-core"}
"""Maps modules to the packages that provide them, where the names differ."""


def missing_package(error: ImportError) -> InputError | None:
    """Return an InputError that names the package to install for a missing module; None for a module of sgbench.

    >>> str(missing_package(ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm")))
    "No module named 'sklearn.svm'; pip install scikit-learn, and sgbench doctor says what else is missing"
    """
    module = (error.name or "").partition(".")[0]
    if module in ("sgbench", "hydra_plugins"):
        return None
    remedy = f"pip install {INSTALLED_AS.get(module, module).replace('_', '-')}, and " if module else ""
    return InputError(f"{str(error).rstrip('.')}; {remedy}sgbench doctor says what else is missing")


TRACEBACK = "SGBENCH_TRACEBACK"  # environment variable
LINK_LOOP, HOW_TO_SEE = "Symlink loop from ", "add --traceback to see where"


def shows_traceback() -> bool:
    """Return whether $SGBENCH_TRACEBACK or --traceback is set, so that errors are shown with a traceback."""
    return bool(os.environ.get(TRACEBACK))


def as_expected_error(error: BaseException) -> SgbenchError | None:
    """Convert an error of packages, files, disk or memory to one with a one-line message; None for a bug here.

    >>> str(as_expected_error(OSError(errno.ENAMETOOLONG, "File name too long", "/x")))
    '/x: File name too long; name another'
    >>> as_expected_error(KeyError("a")) is None
    True
    """
    if isinstance(error, SgbenchError):
        return error
    if isinstance(error, ImportError):
        return missing_package(error)
    full_disk = disk_full(error)
    if full_disk is not None or not isinstance(error, OSError | RuntimeError | MemoryError):
        return full_disk
    return _file_error(error) if isinstance(error, OSError) else _limit_error(error)


def _file_error(error: OSError) -> StorageError:
    """Convert an error of a file, or of the working folder if that is gone."""
    if error.filename is None:
        if isinstance(error, FileNotFoundError) and not _has_working_folder():
            return StorageError("the working folder is no longer there; cd to another")
        return StorageError(f"{error.strerror or error}; {HOW_TO_SEE}")
    return StorageError(f"{os.fsdecode(error.filename)}: {error.strerror or error}; name another")


def _has_working_folder() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - Path.cwd() raises the same error
    except FileNotFoundError:
        return False


def _limit_error(error: RuntimeError | MemoryError) -> SgbenchError:
    """Convert an error of memory, of nesting, of links in a circle, or of torch and other packages."""
    if isinstance(error, MemoryError):
        amount = f" ({error})" if str(error) else ""
        return SgbenchError(f"memory is too small for this{amount}; ask for less at a time")
    if isinstance(error, RecursionError):
        return InputError(f"something is nested too deep ({error}); {HOW_TO_SEE}")
    if str(error).startswith(LINK_LOOP):  # of pathlib, as a RuntimeError
        return StorageError(f"{str(error).removeprefix(LINK_LOOP)}: a link to itself; name another")
    return SgbenchError(f"{error or type(error).__name__}; {HOW_TO_SEE}")


def require_number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False
) -> float:
    """Return the value as a float, or raise an `InputError` that names it and the range low to high.

    The range includes its ends, except `low` if `open_low` is set.

    >>> require_number("beta", 0.9, low=0, high=1)
    0.9
    """
    left = "(" if open_low or low == -math.inf else "["
    right = ")" if high == math.inf else "]"
    complaint = f"{name}={value!r}: a number in {left}{low:g}, {high:g}{right} is needed"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(complaint)
    try:
        number = float(value)
    except OverflowError:  # of an integer
        number = math.inf
    is_above_low = number > low if open_low else number >= low
    if not (math.isfinite(number) and is_above_low and number <= high):
        raise InputError(complaint)
    return number


def require_count(name: str, value: object, *, low: int = 1) -> int:
    """Return the value as a whole number of at least `low`, or raise an `InputError`.

    >>> require_count("steps", 25)
    25
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{name}={value!r}: a whole number of at least {low} is needed")
    return value


def require_counts(name: str, values: object, wanted: str, *, may_be_empty: bool = False) -> list[int]:
    """Return a list of whole numbers of at least 1, or raise an `InputError`; `wanted`: what it says is needed.

    >>> require_counts("hidden", (64, 32), "a list such as [64]")
    [64, 32]
    """
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or not (values or may_be_empty):
        raise InputError(f"{name}={values!r}: {wanted} is needed")
    return [require_count(name, value) for value in values]  # type: ignore[attr-defined]


def require_flag(name: str, value: object) -> bool:
    """Return the value if it is true or false, or raise an `InputError`.

    >>> require_flag("bias", True)
    True
    """
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r}: true or false is needed")
    return value


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of `choices`, or raise an `InputError` that lists them.

    >>> require_choice("reset", "zero", ("subtract", "zero"))
    'zero'
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}={value!r}: one of {', '.join(choices)} is needed")
    return value
