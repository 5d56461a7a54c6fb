"""Splits for data sets without official ones: they follow from file names, so are the same on every machine."""

import hashlib
from collections.abc import Iterable, Mapping

from sgbench.datasets.base import SPLITS, Split


def scattered(names: Iterable[str]) -> list[str]:
    """Sort names by their SHA-256: an order that looks random, and depends on the names alone.

    >>> scattered(["a", "b", "c"]) == scattered(["c", "a", "b"])
    True
    """
    return sorted(names, key=lambda name: (hashlib.sha256(name.encode()).digest(), name))


def divide_classes(classes: Mapping[str, Iterable[str]], tenths: tuple[int, int]) -> dict[Split, list[str]]:
    """Divide each class among the splits.

    `classes`: maps each class to the names of its samples. `tenths`: tenths of each class for validation and for test,
    at least one sample each; training gets the rest. Returns the sorted names of each split.

    >>> parts = divide_classes({"a": ["1", "2", "3", "4"], "b": ["5", "6", "7"]}, (1, 1))
    >>> [len(parts[split]) for split in ("train", "validation", "test")]
    [3, 2, 2]
    """
    parts: dict[Split, list[str]] = {split: [] for split in SPLITS}
    for names in classes.values():
        order = scattered(names)
        validation, test = (max(1, len(order) * share // 10) for share in tenths)
        parts["test"] += order[:test]
        parts["validation"] += order[test : test + validation]
        parts["train"] += order[test + validation :]
    return {split: sorted(parts[split]) for split in SPLITS}
