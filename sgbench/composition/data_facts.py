"""Reads the facts that a data set's YAML file states, without loading the data or its library."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.errors import InputError

SPLITS = ("train", "validation", "test")
DEFAULT_FACTS = {"origin": "generated", "target": "class", "classes": None, "licence": "", "sha256": None}
"""Maps facts in `meta` to the values that they have if the file leaves them out."""
UNREAD_FILES = "original"  # key of `meta` in data sets whose files this project has not read yet
MIN_CLASSES = 2
WITHOUT_CLASSES = ("trace", "spikes")


@dataclass(frozen=True)
class DataSetFacts:
    """Holds the facts about a data set that boards and sweeps need, from its YAML file."""

    classes: int | None  # number of classes; None for traces and spikes, where the loss is the score
    sizes: dict[str, int]  # maps each split of known size to its number of samples
    sha256: str | None  # checksum of the data; None until a confirmation is accepted
    target: str  # "class", "class_per_step" (each step has a class of its own), "trace" or "spikes"
    in_time: bool  # whether a sample is a series in time: traces or spikes
    is_accepted: bool = True  # whether its files were read here, or a confirmation of them was accepted


def facts_of(entry: Entry) -> DataSetFacts:
    """Return the facts in `meta` of a data set's entry; sizes and checksum may be missing if its files are unread.

    >>> from sgbench.composition import catalogue
    >>> facts_of(catalogue.entry("dataset", "digits")).classes
    10
    """
    target = entry.meta.get("target", "class")
    classes, sizes, sha256 = classes_of(entry), entry.meta.get("sizes"), entry.meta.get("sha256")
    if not isinstance(sizes, dict) or set(sizes) != set(SPLITS):
        raise _unusable_fact(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    is_accepted = UNREAD_FILES not in entry.meta
    known = {split: size for split, size in sizes.items() if is_accepted or size is not None}
    if not all(_is_count(size, 1) for size in known.values()):
        raise _unusable_fact(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    is_sha256 = isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256) is not None
    if (is_accepted or sha256 is not None) and not is_sha256:
        raise _unusable_fact(entry, "sha256", "sha256: <what sgbench data checksum prints>")
    return DataSetFacts(classes, known, sha256, target, _in_time(entry), is_accepted)


def classes_of(entry: Entry) -> int | None:
    """Return the number of classes that a data set's entry states; None for traces and spikes.

    >>> from sgbench.composition import catalogue
    >>> classes_of(catalogue.entry("dataset", "digits"))
    10
    """
    if entry.meta.get("target", "class") in WITHOUT_CLASSES:
        return None
    classes = entry.meta.get("classes")
    if not _is_count(classes, MIN_CLASSES):
        raise _unusable_fact(entry, "classes", "classes: 10")
    return classes


def facts_as_attributes(name: str) -> dict[str, Any]:
    """Map the attributes of a shipped data set's class to the facts in its entry's `meta`.

    Unknown sizes are 0, facts that the file leaves out have their defaults.

    >>> facts_as_attributes("digits")["n_classes"], facts_as_attributes("digits")["sizes"]["test"]
    (10, 360)
    """
    entry = catalogue.entry("dataset", name)
    facts = {key: entry.meta.get(key, default) for key, default in DEFAULT_FACTS.items()}
    facts["n_classes"] = facts.pop("classes")
    sizes = entry.meta.get("sizes")
    if not isinstance(sizes, dict) or set(sizes) != set(SPLITS):
        raise _unusable_fact(entry, "sizes", "sizes: {train: 600, validation: 200, test: 200}")
    if "form" in entry.meta:  # otherwise the class declares the form of samples, or they are plain values
        facts["form"] = entry.meta["form"]
    return {**facts, "sizes": {split: sizes[split] or 0 for split in SPLITS}}


def in_time(name: str, config_dirs: Iterable[Path] = ()) -> bool:
    """Return whether a data set's file declares samples that are series in time; False for an unknown data set.

    >>> in_time("digits"), in_time("sequential_digits"), in_time("of somebody else")
    (False, True, False)
    """
    try:
        entry = catalogue.entry("dataset", name, config_dirs)
    except InputError:
        return False
    return _in_time(entry)


def _in_time(entry: Entry) -> bool:
    """Return whether an entry's `meta`, or a parameter `form` of the user's own data, declares series in time."""
    return entry.meta.get("form", entry.parameters.get("form")) in ("traces", "spikes")


def published_sha256(target: str, parameters: Mapping[str, Any]) -> str | None:
    """Look up the checksum of the shipped data set with this class and these parameters; None if there is none."""
    wanted = {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()}
    for entry in catalogue.entries("dataset").values():
        if entry.target == target and entry.parameters == wanted:
            return entry.meta.get("sha256")
    return None


def _is_count(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _unusable_fact(entry: Entry, key: str, example: str) -> InputError:
    return InputError(
        f"dataset '{entry.name}': meta.{key} is missing or not usable; add to {entry.path}, e.g. '{example}'"
    )
