"""Divides samples into training, validation and test, by class or by group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgbench.datasets.base import SPLITS, Split
from sgbench.errors import InputError, shortened
from sgbench.yours.arrays import Part

VALIDATION_SHARE = 0.2
SPLIT_SEED = 20260101
LONGEST_LABEL, LARGEST_LABEL = 100, 2**53
"""Most characters of a class's name; the largest label for which all smaller integers are exact in float64."""
MOST_LISTED = 3
"""Most names that a message lists."""

Divided = dict[Split, tuple[Part, NDArray[np.int64]]]
"""Maps each split to its samples and their class indices [samples]."""


def divide(
    train: Part, test: Part | None, validation: Part | None, *, groups: Any | None, notes: list[str]
) -> tuple[Divided, list[str]]:
    """Index the classes of all parts, and split validation and test off `train` if they are not given.

    Returns the three splits, and a list with the name of each class.
    """
    given: dict[Split, Part | None] = {"train": train, "validation": validation, "test": test}
    parts: dict[Split, Part] = {name: part for name, part in given.items() if part is not None}
    labels, class_indices = _index_classes(parts)
    group_of = None if groups is None else np.asarray(groups).reshape(-1)
    if group_of is not None and len(group_of) != len(train):
        raise InputError(f"groups: {len(group_of)} for {len(train)} training samples; one a sample is needed")
    for name in ("test", "validation"):
        if name in parts:
            continue
        remaining, held_out = _hold_out(class_indices["train"], group_of, name, notes)
        parts |= {name: parts["train"].select(held_out), "train": parts["train"].select(remaining)}
        class_indices |= {name: class_indices["train"][held_out], "train": class_indices["train"][remaining]}
        group_of = None if group_of is None else group_of[remaining]
    notes += _notes_on_missing_classes(labels, class_indices)
    return {name: (parts[name], class_indices[name]) for name in SPLITS}, labels


def commonest_share(class_indices: NDArray[np.int64]) -> float:
    """Compute the share of the commonest class: the accuracy of always predicting it.

    >>> commonest_share(np.array([0, 2, 2]))
    0.6666666666666666
    """
    return int(np.bincount(class_indices).max()) / len(class_indices)


def _index_classes(parts: dict[Split, Part]) -> tuple[list[str], dict[Split, NDArray[np.int64]]]:
    """Return the name of each class, in the order of its label, and the class index of each sample by split."""
    are_numbers = {part.labels.dtype.kind in "buif" for part in parts.values()}
    if len(are_numbers) > 1:
        raise InputError("labels are numbers in one part and words in another; give all as the same")
    all_labels = np.unique(np.concatenate([part.labels for part in parts.values()]))
    if len(all_labels) < 2:  # noqa: PLR2004 - classes
        raise InputError(f"all labels are {all_labels[0]!s}; two classes at least are needed")
    if all_labels.dtype.kind == "f":
        wrong = all_labels[(all_labels != np.floor(all_labels)) | (np.abs(all_labels) > LARGEST_LABEL)]
        if len(wrong):
            raise InputError(f"label {wrong[0]} is no class; give whole numbers or words")
    elif all_labels.dtype.kind not in "biu":
        wrong = [word for word in map(str, all_labels) if len(word) > LONGEST_LABEL or not word.isprintable()]
        if wrong:
            raise InputError(
                f"label {shortened(wrong[0], LONGEST_LABEL)!r} is no name of a class; give at most "
                f"{LONGEST_LABEL} characters that can be printed"
            )
    class_indices: dict[Split, NDArray[np.int64]] = {
        name: np.searchsorted(all_labels, part.labels).astype(np.int64) for name, part in parts.items()
    }
    named = [str(int(label)) if all_labels.dtype.kind in "buif" else str(label) for label in all_labels]
    return named, class_indices


def _notes_on_missing_classes(labels: list[str], class_indices: dict[Split, NDArray[np.int64]]) -> Iterator[str]:
    for name, present in class_indices.items():
        missing = sorted(set(range(len(labels))) - set(present.tolist()))
        if missing:
            names = ", ".join(labels[class_index] for class_index in missing[:MOST_LISTED])
            yield f"{name} has no sample of {len(missing)} of {len(labels)} classes: {names}"


def _hold_out(
    target: NDArray[np.int64], groups: NDArray[Any] | None, name: str, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a fifth of the training samples for the split `name`: of each class, or as whole groups if these are given.

    `target`, `groups`: class and group of each sample [samples]. Returns the sorted indices of the samples that stay,
    and of those held out; `notes` receives a line on them.
    """
    random = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    if groups is not None:
        return _hold_out_groups(target, groups, name, random, notes)
    held_out_by_class = []
    for label in np.unique(target):
        members = random.permutation(np.flatnonzero(target == label))
        count = 0 if len(members) < 2 else max(1, round(VALIDATION_SHARE * len(members)))  # noqa: PLR2004 - one stays
        held_out_by_class.append(members[:count])
    held_out = np.sort(np.concatenate(held_out_by_class))
    if not len(held_out):
        raise InputError(
            f"train: {len(target)} samples, no class with two of them, so none can be put aside for {name}; "
            f"give {name}=(x, y)"
        )
    notes.append(f"{name} is {len(held_out)} of {len(target)} training samples, a fifth of each class")
    return np.setdiff1d(np.arange(len(target)), held_out), held_out


def _hold_out_groups(
    target: NDArray[np.int64], groups: NDArray[Any], name: str, random: np.random.Generator, notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out groups in random order until they have a fifth of the samples, at least one group remaining."""
    names = random.permutation(np.unique(groups))
    if len(names) < 2:  # noqa: PLR2004 - one to learn from, one to validate on
        raise InputError(f"groups: all training samples are of one group; leave groups out, or give {name}=(x, y)")
    chosen: list[Any] = []
    while (len(chosen) < len(names) - 1) and np.isin(groups, chosen).sum() < VALIDATION_SHARE * len(target):
        chosen.append(names[len(chosen)])
    held_out = np.isin(groups, chosen)
    more = " ..." if len(chosen) > MOST_LISTED else ""
    groups_text = ", ".join(map(str, chosen[:MOST_LISTED])) + more
    notes.append(f"{name} is {int(held_out.sum())} of {len(target)} training samples, the groups {groups_text}")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
