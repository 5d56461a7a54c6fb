"""The contract of a data set: facts before any file is touched, an official split, verified bytes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.errors import InputError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Samples(NamedTuple):
    """One split in memory."""

    values: Tensor  # [samples, N] float64 in [0, 1]
    target: Tensor  # [samples] int64
    lengths: Tensor | None  # [samples] valid steps, or None where all samples are as long as the protocol


class DataSet(ABC):
    """A data set; its facts are class attributes, known before a download.

    A data set that is read from files also provides a small fake of its own on-disk format for tests; one that
    a dependency bundles needs none.
    """

    n_inputs: ClassVar[int]
    n_classes: ClassVar[int]
    sizes: ClassVar[dict[Split, int]]
    source: ClassVar[str]
    licence: ClassVar[str]
    sha256: ClassVar[str]  # of `fingerprint`, the arrays and their split

    @abstractmethod
    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """All splits, time first where samples have a time; `SpikingData` checks them against the facts.

        Raises:
            InputError: files are missing or not the published ones; one line with the remedy.
        """

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Compare the loaded bytes and the split with the published ones; returns their SHA-256."""
        found = fingerprint(splits)
        if found != self.sha256:
            raise InputError(
                f"data set {type(self).__name__}: checksum {found[:12]} is not the expected {self.sha256[:12]}; "
                f"the files or the library that bundles them differ from {self.source}"
            )
        return found


def fingerprint(splits: dict[Split, Samples]) -> str:
    """SHA-256 over values (as float32), targets and lengths of all splits, in order."""
    digest = hashlib.sha256()
    for name in SPLITS:
        samples = splits[name]
        digest.update(name.encode())
        digest.update(samples.values.to(torch.float32).numpy().tobytes())
        digest.update(samples.target.to(torch.int64).numpy().tobytes())
        if samples.lengths is not None:
            digest.update(samples.lengths.to(torch.int64).numpy().tobytes())
    return digest.hexdigest()


def stratified_split(
    target: np.ndarray, fractions: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of train, validation and test with each class in the given proportions.

    Args:
        target: class of each sample [samples].
        fractions: of train, validation and test; they sum to 1.
        seed: of the split, which is part of the data set and not of a run.

    >>> train, validation, test = stratified_split(np.array([0] * 5 + [1] * 5), (0.6, 0.2, 0.2), seed=0)
    >>> len(train), len(validation), len(test)
    (6, 2, 2)
    """
    random = np.random.Generator(np.random.PCG64(seed))
    parts: tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]] = ([], [], [])
    for label in np.unique(target):
        members = random.permutation(np.flatnonzero(target == label))
        first = round(fractions[0] * len(members))
        second = first + round(fractions[1] * len(members))
        for part, chosen in zip(parts, np.split(members, [first, second]), strict=True):
            part.append(chosen)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test
