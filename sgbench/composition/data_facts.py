"""What the catalogue says of a data set, read without loading it or its library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeGuard

from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError

SPLITS = ("train", "validation", "test")
MIN_CLASSES = 2
WITHOUT_CLASSES = ("trace", "spikes")


@dataclass(frozen=True)
class Facts:
    """The same numbers as the class attributes of the data set."""

    classes: int | None  # None where the target is a trace or spikes: then the loss is the score
    sizes: dict[str, int]
    sha256: str
    target: str  # "class", or "class_per_step": each step has a class of its own


def facts_of(entry: Entry) -> Facts:
    """The facts in `meta` of a data set's entry.

    Raises:
        InputError: a fact is missing or not usable; the message names the key to add.

    >>> from sgbench.composition import catalogue
    >>> facts_of(catalogue.entry("dataset", "digits")).classes
    10
    """
    target = entry.meta.get("target", "class")
    classes, sizes, sha256 = (entry.meta.get(key) for key in ("classes", "sizes", "sha256"))
    if target in WITHOUT_CLASSES:
        classes = None
    elif not _is_count(classes, MIN_CLASSES):
        raise _missing(entry, "classes", "classes: 10")
    if not isinstance(sizes, dict) or set(sizes) != set(SPLITS):
        raise _missing(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    if not all(_is_count(size, 1) for size in sizes.values()):
        raise _missing(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise _missing(entry, "sha256", "sha256: <the 64 digits of the data set's class>")
    return Facts(classes, sizes, sha256, target)


def _is_count(value: object, low: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _missing(entry: Entry, key: str, example: str) -> InputError:
    return InputError(
        f"dataset '{entry.name}': meta.{key} is missing or not usable; add to {entry.path}, e.g. '{example}'"
    )
