"""Lists the files of a submission's untrusted folder, and checks names, kinds and sizes before any is opened."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from fastspiking.formula import canonical_formula
from sgbench.errors import InputError, printable
from sgbench.records.base import LETTERS, SCRIPT

SUBMISSION, TUNING = "submission.json", "tuning.json"
MIB = 1024 * 1024
MAX_FILES = 3002
MAX_TOTAL_BYTES = 512 * MIB


class FileKind(NamedTuple):
    """Describes the files of one folder of a submission, which are called SEED.suffix."""

    suffix: str  # without the dot
    max_bytes: int


FOLDERS = {
    "records": FileKind("json", 4 * MIB),
    "predictions": FileKind("csv", 64 * MIB),
    "weights": FileKind("safetensors", 64 * MIB),
}
"""Maps each folder of a submission to the kind of its files."""
_SEED = re.compile(r"0|[1-9][0-9]{0,9}")
Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """Describes one problem of a submission, and its remedy."""

    code: str  # names the check that failed
    path: str  # the file, relative to the submission
    message: str  # the problem and its remedy
    level: Level = "error"


@dataclass(frozen=True)
class Contents:
    """Holds the files of a submission, in the order of their paths."""

    root: Path
    files: dict[str, Path]  # maps paths inside the submission to paths on this machine

    def seeds(self, folder: str) -> list[int]:
        prefix = f"{folder}/"
        return sorted(int(Path(path).stem) for path in self.files if path.startswith(prefix))


def list_contents(root: Path) -> tuple[Contents, list[Problem]]:
    """List the files of a submission's folder, and a problem for each that has no place in one; none is opened."""
    if root.is_symlink():
        raise InputError(f"{root}: is a link; name the folder itself")
    if root.is_file():
        raise InputError(f"{root}: is a file; archives are not opened, unpack it and name the folder")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; make one with: sgbench submit make")
    inner = sorted(path.parent.name for path in root.glob(f"*/{SUBMISSION}"))
    if inner and not (root / SUBMISSION).exists():
        raise InputError(f"{root}: holds submissions, and is none; name one of {', '.join(inner[:12])} in it")
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    total = 0
    for path, kind_problem in _walk(root):
        name = path.relative_to(root).as_posix()
        if len(files) >= MAX_FILES:
            problems.append(Problem("count", "", f"more than {MAX_FILES} files; nothing beyond was looked at"))
            break
        problem = kind_problem or _name_problem(name) or _size_problem(name, path)
        if problem is not None:
            code, message = problem
            shown_name = printable(ascii(name)[1:-1])  # without ascii's quotes
            problems.append(Problem(code, shown_name, message))
            continue
        files[name] = path
        total += path.stat().st_size
    if total > MAX_TOTAL_BYTES:
        problems.append(Problem("size", "", f"all files together exceed {MAX_TOTAL_BYTES // MIB} MiB"))
    return Contents(root, dict(sorted(files.items()))), problems


def _walk(root: Path) -> Iterator[tuple[Path, tuple[str, str] | None]]:
    """Yield each file of a submission in order, with (code, message) if it is a link or no regular file."""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False) and entry.name in FOLDERS:
            for inner in sorted(os.scandir(entry.path), key=lambda inner: inner.name):
                yield Path(inner.path), _kind_problem(inner)
        else:
            yield Path(entry.path), _kind_problem(entry)


def _kind_problem(entry: os.DirEntry[str]) -> tuple[str, str] | None:
    """Return code and text of what is wrong with an entry that is no plain file; None if it is one."""
    if entry.is_symlink():
        return "link", "is a link, and none is followed; put the file itself here"
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode):
        return "folder", f"no such folder belongs here; there are {', '.join(FOLDERS)}"
    if not stat.S_ISREG(mode):
        return "kind", "is no regular file; remove it"
    return None


def _name_problem(name: str) -> tuple[str, str] | None:
    """Return code and message for a path that no file of a submission has, or None."""
    if name in (SUBMISSION, TUNING):
        return None
    folder, _, file = name.partition("/")
    if folder in FOLDERS and file:
        ending = FOLDERS[folder].suffix
        stem, _, suffix = file.partition(".")
        if suffix == ending and _SEED.fullmatch(stem):
            return None
        return "name", f"files of {folder} are called SEED.{ending}, for example 0.{ending}"
    return "name", f"belongs to no submission; there are {SUBMISSION}, {TUNING} and {', '.join(FOLDERS)}"


def _size_problem(name: str, path: Path) -> tuple[str, str] | None:
    folder = name.partition("/")[0]
    limit = FOLDERS[folder].max_bytes if folder in FOLDERS else 4 * MIB
    if path.stat().st_size > limit:
        return "size", f"is larger than {limit // MIB} MiB, which none of its kind is"
    return None


ALLOWED = ".,:;'\"()[]+-/=%_^@"
"""Punctuation that plain text may have: that in names of machines, versions and reasons."""
_PLAIN = re.compile(rf"[{LETTERS} {re.escape(ALLOWED)}]*")
_LINK = re.compile(r"\]\s*[(:\[]|@(?! )")  # a Markdown link or a mention, unlike '2 cores @ 3 GHz'
FORMULA = "parameters.surrogate.formula"
"""Key of the only text that may be a formula, with its operators."""
OWN_RULES = frozenset({"contact", "paper", "code"})
"""Keys of addresses, which have their own rules."""


def markup_keys(tree: object, key: str = "") -> Iterator[str]:
    """Yield the dotted keys of all texts in a tree that are not plain, and of parts with a name that is not.

    >>> list(markup_keys({"name": "atan", "layers": [{"reason": "<b>"}]}))
    ['layers.0.reason']
    """
    if isinstance(tree, dict):
        for name, value in tree.items():
            inner = f"{key}.{name}" if key else str(name)
            if not is_plain(str(name)):
                yield key
            elif inner not in OWN_RULES:
                yield from markup_keys(value, inner)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from markup_keys(value, f"{key}.{index}")
    elif isinstance(tree, str) and not is_plain(tree) and not (key.endswith(FORMULA) and _is_formula(tree)):
        yield key


def _is_formula(text: str) -> bool:
    """Return whether a text is a slope's formula in canonical form, whose characters cannot be markup.

    >>> _is_formula("1/(1+abs(a*u))**2"), _is_formula("u<b>0")
    (True, False)
    """
    try:
        return canonical_formula(text) == text
    except InputError:
        return False


def is_plain(text: str) -> bool:
    """Return whether a text has only Latin letters, digits and a little punctuation, and no link or address.

    >>> [is_plain(text) for text in ("Intel(R) Core(TM) @ 3 GHz", "in [0, 1].", "see [me](x)", "hi @you", "a|b")]
    [True, True, False, False, False]
    """
    return bool(_PLAIN.fullmatch(text)) and not _LINK.search(text) and not SCRIPT.search(text)


def markup_message(key: str) -> str:
    return (
        f"{printable(key)}: plain text is needed: Latin letters, digits, spaces and {ALLOWED}, no address and no markup"
    )
