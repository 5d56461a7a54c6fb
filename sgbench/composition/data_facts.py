"""What the catalogue says of a data set, read without loading it or its library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError

SPLITS = ("train", "validation", "test")
STATED = {"origin": "generated", "target": "class", "classes": None, "licence": "", "sha256": None}
"""Facts of `meta`, and what is meant where one is left out."""
UNREAD = "original"  # key of meta that says that nobody here has read a data set's files
MIN_CLASSES = 2
WITHOUT_CLASSES = ("trace", "spikes")


@dataclass(frozen=True)
class DataSetFacts:
    """Holds the numbers that boards and sweeps need; the class of the data set takes them from the same file."""

    classes: int | None  # None where the target is a trace or spikes: then the loss is the score
    sizes: dict[str, int]  # of the splits whose size is known
    sha256: str | None  # None until a confirmation is accepted
    target: str  # "class", or "class_per_step": each step has a class of its own
    in_time: bool  # whether a sample is a series: traces or spikes
    is_accepted: bool = True  # whether its files were read here, or a confirmation of them was accepted


def facts_of(entry: Entry) -> DataSetFacts:
    """Read the facts in `meta` of a data set's entry; sizes and checksum may lack where its files were never read.

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
    is_accepted = UNREAD not in entry.meta
    known = {split: size for split, size in sizes.items() if is_accepted or size is not None}
    if not all(_is_count(size, 1) for size in known.values()):
        raise _missing(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    if (is_accepted or sha256 is not None) and not _is_sha256(sha256):
        raise _missing(entry, "sha256", "sha256: <what sgbench data checksum prints>")
    return DataSetFacts(classes, known, sha256, target, _in_time(entry), is_accepted)


def stated(name: str) -> dict[str, Any]:
    """Return the facts in `meta` of a shipped data set, under the names of its class's attributes.

    Sizes that are known only once the files are read are 0.

    Raises:
        InputError: there is no such data set, or its sizes are missing.

    >>> stated("digits")["n_classes"], stated("digits")["sizes"]["test"]
    (10, 360)
    """
    entry = catalogue.entry("dataset", name)
    facts = {key: entry.meta.get(key, usual) for key, usual in STATED.items()}
    facts["n_classes"] = facts.pop("classes")
    sizes = entry.meta.get("sizes")
    if not isinstance(sizes, dict) or set(sizes) != set(SPLITS):
        raise _missing(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    if "form" in entry.meta:  # else the class says it, or its samples are values
        facts["form"] = entry.meta["form"]
    return {**facts, "sizes": {split: sizes[split] or 0 for split in SPLITS}}


def in_time(name: str, config_dirs: Iterable[Path] = ()) -> bool:
    """Return whether the samples of a data set are a series in time, by its file; False where that is unknown.

    >>> in_time("digits"), in_time("sequential_digits"), in_time("of somebody else")
    (False, True, False)
    """
    try:
        entry = catalogue.entry("dataset", name, config_dirs)
    except InputError:
        return False
    return _in_time(entry)


def _in_time(entry: Entry) -> bool:
    return entry.meta.get("form", entry.parameters.get("form")) in ("traces", "spikes")


def published_sha256(target: str, parameters: Mapping[str, Any]) -> str | None:
    """Look up the checksum of the shipped data set of this class and exactly these numbers, or None."""
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()}
    for entry in catalogue.entries("dataset").values():
        if entry.target == target and entry.parameters == given:
            return entry.meta.get("sha256")
    return None


def _is_count(value: object, low: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _missing(entry: Entry, key: str, example: str) -> InputError:
    return InputError(
        f"dataset '{entry.name}': meta.{key} is missing or not usable; add to {entry.path}, e.g. '{example}'"
    )
