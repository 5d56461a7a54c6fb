"""The contract of a data set: facts before any file is touched, an official split, verified bytes."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.composition.data_facts import published_sha256, stated
from sgbench.encoders.base import Form, Values
from sgbench.errors import InputError
from sgbench.signals.spike_trains import SpikeTrains
from sgbench.signals.trajectory import Target

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Origin = Literal["generated", "bundled", "files"]
"""Made from a seed, part of an installed library, or read from files that a user has to have."""


class Samples(NamedTuple):
    """Holds one split of a data set in memory.

    Numbers are float64 in [0, 1], or uint8 that stand for themselves divided by 255. Spikes have times of their
    own and are put into steps by the encoder.
    """

    values: Values  # [samples, N], [samples, steps, N] where they are traces, or spike trains
    target: Tensor  # [samples] int64 classes, or float64 traces or spikes [samples, steps, outputs]
    lengths: Tensor | None  # [samples] valid steps, or None where the encoder knows them


class DataSet(ABC):
    """Defines a data set, whose facts are attributes that are known before a download.

    A class that names its entry takes target, classes, sizes, origin, licence and checksum from the `meta` of that
    file, where they are stated once; what it states itself, or computes from its parameters, goes first. Its
    parameters are given by name.
    """

    form: Form = "values"  # of the samples
    origin: Origin = "generated"
    n_inputs: int
    image: tuple[int, int, int] | None = (
        None  # channels, height and width, where the inputs are those of an image
    )
    target: Target = "class"
    n_classes: int  # 0 where the target is no class
    every_class_in_each_split: bool = True
    redraws_task: bool = False  # whether another draw of `drawn` has something else to be learnt
    sizes: Mapping[Split, int]  # 0 where it is known only once the files are read
    source: str
    licence: str
    sha256: str | None  # of `fingerprint`; None where the numbers differ from those that are published

    given: Mapping[str, Any] = MappingProxyType({})  # the parameters it was made with

    def __init_subclass__(cls, *, entry: str | None = None, **others: Any) -> None:
        """Take the facts that an entry's file states, e.g. `class Iris(DataSet, entry="iris")`."""
        super().__init_subclass__(**others)
        if "__init__" in vars(cls):
            cls.__init__ = _keeping_parameters(cls.__init__)  # type: ignore[method-assign]
        if entry is not None:
            for name, value in stated(entry).items():
                if name not in vars(cls):
                    setattr(cls, name, value)

    def published_sha256(self) -> str | None:
        """Look up the checksum of the entry with this class and exactly these parameters, if there is one."""
        kind = type(self)
        return published_sha256(f"{kind.__module__}.{kind.__qualname__}", self.given)

    def outputs(self) -> int:
        """Return how many outputs a network needs: one for each class, trace or train of the target."""
        return self.n_classes

    @abstractmethod
    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the samples of all splits; `SpikingData` checks them against the facts.

        Raises:
            InputError: files are missing or not the published ones; one line with the remedy.
        """

    def missing(self, data_dir: Path) -> str | None:
        """Describe in one line what is missing and how to get it; return None where nothing is."""
        return None

    def drawn(self, seed: int) -> DataSet | None:
        """Return the data set with the samples of a run of this seed; None where only its splits change by seed.

        Where `redraws_task` is set, what is to be learnt is drawn too, so weights of other draws do not fit it.
        """
        return None

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Compare the loaded bytes and the split with the published ones, and return their SHA-256."""
        checksum = fingerprint(splits)
        if self.sha256 is not None and checksum != self.sha256:
            is_generated = self.origin == "generated"
            why = (
                "other numbers are"
                if is_generated
                else "the files or the library that bundles them differ from"
            )
            raise InputError(
                f"data set {type(self).__name__}: checksum {checksum[:12]} is not the expected {self.sha256[:12]}; "
                f"{why} {self.source}"
            )
        return checksum


def _keeping_parameters(begin: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that it keeps its parameters, by which published numbers are known."""

    @functools.wraps(begin)
    def __init__(self: DataSet, *positional: Any, **parameters: Any) -> None:  # noqa: N807 - it replaces one
        if "given" not in vars(self):  # not those that a subclass hands on
            self.given = parameters
        begin(self, *positional, **parameters)

    return __init__


def fingerprint(splits: dict[Split, Samples]) -> str:
    """Hash values (floats as float32), targets and lengths of all splits, in order, by SHA-256."""
    digest = hashlib.sha256()
    for name in SPLITS:
        samples = splits[name]
        digest.update(name.encode())
        target = samples.target.to(torch.float32 if samples.target.is_floating_point() else torch.int64)
        for part in (*_parts(samples.values), target):
            _add(digest, part)
        if samples.lengths is not None:
            _add(digest, samples.lengths.to(torch.int64))
    return digest.hexdigest()


AT_ONCE = 2**24
"""Bytes that are hashed together, so that data larger than memory can be."""


def _add(digest: Any, numbers: Tensor) -> None:
    """Add a tensor's bytes to a digest, a piece at a time."""
    plain = numbers.contiguous().reshape(-1).numpy().view(np.uint8)
    for start in range(0, len(plain), AT_ONCE):
        digest.update(plain[start : start + AT_ONCE].data)


def _parts(values: Values) -> Iterator[Tensor]:
    """Yield the tensors of a split in the form that its checksum covers."""
    if not isinstance(values, SpikeTrains):
        yield values if values.dtype == torch.uint8 else values.to(torch.float32)
        return
    yield values.indptr
    pieces = list(values.places())
    ordered = (values[piece].by_channel() for piece in pieces)
    if len(pieces) == 1:
        yield from next(ordered)
    else:  # sorted twice, so that data larger than memory can be
        yield from (channel for channel, _ in ordered)
        yield from (values[piece].by_channel()[1] for piece in pieces)
    yield values.duration_us


def sizes(train: int, validation: int, test: int) -> dict[Split, int]:
    """Pair the numbers of samples with the names of the three splits."""
    return {"train": train, "validation": validation, "test": test}


def stratified_split(
    target: np.ndarray, fractions: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices of train, validation and test with each class in the given proportions.

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
