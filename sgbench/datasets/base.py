"""The base class of data sets: facts known before any file is read, three fixed splits, and a checksum."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains
from fastspiking.signals.trajectory import Target
from sgbench.composition.data_facts import facts_as_attributes, published_sha256
from sgbench.encoders.base import Form, Values
from sgbench.errors import InputError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Origin = Literal["generated", "bundled", "files"]
"""Where samples come from: made from a seed, part of an installed library, or read from the user's files."""


class Samples(NamedTuple):
    """Holds one split of a data set in memory.

    Numbers are float64 in [0, 1], or uint8 that stand for value / 255. Spikes have times in microseconds; the
    encoder assigns them to steps.
    """

    values: Values  # numbers [samples, N], traces [samples, steps, N], or spike trains of N channels
    target: Tensor  # int64 classes [samples] or [samples, steps], or float64 [samples, steps, outputs]
    lengths: Tensor | None  # valid steps [samples]; None if the encoder determines them


class DataSet(ABC):
    """Defines a data set; its facts are attributes that can be read before any download.

    A subclass with `entry="NAME"` takes target, classes, sizes, origin, licence and checksum from `meta` in the
    entry's YAML file. An attribute that the class defines, or sets in its constructor, takes precedence.
    Constructor parameters are passed by keyword.
    """

    form: Form = "values"  # of the samples: values, traces or spikes
    origin: Origin = "generated"
    n_inputs: int  # input channels N
    image: tuple[int, int, int] | None = None  # channels, height and width; None if the inputs are no image
    target: Target = "class"
    n_classes: int  # 0 if the target is no class
    every_class_in_each_split: bool = True  # whether each split must have a sample of each class
    redraws_task: bool = False  # whether `drawn` changes what is to be learnt, beside the samples
    sizes: Mapping[Split, int]  # samples of each split; 0 if known only after the files are read
    source: str  # where the samples come from
    licence: str
    sha256: str | None  # expected result of `verify`; None if no checksum is published for these parameters

    given: Mapping[str, Any] = MappingProxyType({})  # maps each constructor parameter passed to its value

    def __init_subclass__(cls, *, entry: str | None = None, **others: Any) -> None:
        """Set the facts in the entry's YAML file as class attributes, e.g. `class Iris(DataSet, entry="iris")`.

        Attributes that the class defines itself stay. Its constructor is wrapped to keep its parameters in `given`.
        """
        super().__init_subclass__(**others)
        if "__init__" in vars(cls):
            cls.__init__ = _keep_parameters(cls.__init__)  # type: ignore[method-assign]
        if entry is not None:
            for name, value in facts_as_attributes(entry).items():
                if name not in vars(cls):
                    setattr(cls, name, value)

    def published_sha256(self) -> str | None:
        """Return the checksum of the catalogue entry with this class and these parameters; None without one."""
        own_class = type(self)
        return published_sha256(f"{own_class.__module__}.{own_class.__qualname__}", self.given)

    def outputs(self) -> int:
        """Return how many outputs a network needs: one for each class, target trace or target spike train."""
        return self.n_classes

    @abstractmethod
    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the samples of all splits, without the checks of `sgbench.datasets.checks.check`.

        Args:
            data_dir: root folder of all data files.

        Raises:
            InputError: files are missing or not the published ones; one line with the remedy.
        """

    def missing(self, data_dir: Path) -> str | None:
        """Describe in one line which files are missing and how to get them; return None if none are."""
        return None

    def drawn(self, seed: int) -> DataSet | None:
        """Return this data set with samples drawn anew from a run's seed; None if samples cannot be drawn.

        If `redraws_task` is set, each draw has another relation of inputs to targets, so that weights trained on
        one draw do not fit another.
        """
        return None

    def verify(self, splits: dict[Split, Samples]) -> str:
        """Hash the samples of all splits by SHA-256 and return the digest.

        Raises:
            InputError: the digest is not the published `sha256`.
        """
        checksum = fingerprint(splits)
        if self.sha256 is not None and checksum != self.sha256:
            is_generated = self.origin == "generated"
            why = "other numbers are" if is_generated else "the files or the library that bundles them differ from"
            raise InputError(
                f"data set {type(self).__name__}: checksum {checksum[:12]} is not the expected {self.sha256[:12]}; "
                f"{why} {self.source}"
            )
        return checksum


def _keep_parameters(constructor: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that it first stores its keyword parameters as `given`, for `published_sha256`."""

    @functools.wraps(constructor)
    def __init__(self: DataSet, *positional: Any, **parameters: Any) -> None:  # noqa: N807 - it replaces one
        if "given" not in vars(self):  # a subclass's constructor, called first, has stored its own
            self.given = parameters
        constructor(self, *positional, **parameters)

    return __init__


def fingerprint(splits: dict[Split, Samples]) -> str:
    """Hash values, targets and lengths of all splits in order by SHA-256; floats as float32. Return hex digits."""
    digest = hashlib.sha256()
    for name in SPLITS:
        samples = splits[name]
        digest.update(name.encode())
        target = samples.target.to(torch.float32 if samples.target.is_floating_point() else torch.int64)
        for tensor in (*_hashed_tensors(samples.values), target):
            _add(digest, tensor)
        if samples.lengths is not None:
            _add(digest, samples.lengths.to(torch.int64))
    return digest.hexdigest()


AT_ONCE = 2**24
"""Bytes that are hashed at a time, so that mapped files larger than memory can be hashed."""


def _add(digest: Any, tensor: Tensor) -> None:
    """Add a tensor's bytes to a checksum, a piece at a time to spare memory."""
    plain = tensor.contiguous().reshape(-1).numpy().view(np.uint8)
    for start in range(0, len(plain), AT_ONCE):
        digest.update(plain[start : start + AT_ONCE].data)


def _hashed_tensors(values: Values) -> Iterator[Tensor]:
    """Yield the tensors that the checksum of a split's values covers, in order.

    These are bytes unchanged, other numbers as float32; of spike trains `indptr`, channels, times (sorted by
    channel) and durations.
    """
    if not isinstance(values, SpikeTrains):
        yield values if values.dtype == torch.uint8 else values.to(torch.float32)
        return
    yield values.indptr
    pieces = list(values.places())
    ordered = (values[piece].by_channel() for piece in pieces)
    if len(pieces) == 1:
        yield from next(ordered)
    else:  # sort twice, so that one piece at a time is in memory
        yield from (channel for channel, _ in ordered)
        yield from (values[piece].by_channel()[1] for piece in pieces)
    yield values.duration_us


def sizes(train: int, validation: int, test: int) -> dict[Split, int]:
    """Map the names of the three splits to their numbers of samples."""
    return {"train": train, "validation": validation, "test": test}


def stratified_split(
    target: np.ndarray, fractions: tuple[float, float, float], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sorted indices of train, validation and test samples, each class in the same proportions.

    `target`: class of each sample [samples]. `fractions`: shares of train, validation and test; they sum to 1. `seed`:
    of the random choice; part of the data set, not of a run.

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


def first_samples(samples: Samples, count: int) -> Samples:
    """Take `count` samples of a split, the first ones of each class, in their stored order.

    Classes take turns: first samples of all classes, then second ones, and so on. Targets that are no single class
    are not balanced: the first `count` samples are taken. If there are fewer, all are.

    >>> whole = Samples(torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 1, 1, 2]), None)
    >>> first_samples(whole, 4).target.tolist()
    [0, 0, 1, 2]
    """
    target = samples.target
    if count >= len(target):
        return samples
    turn = torch.arange(len(target)) if target.dim() > 1 else _rank_in_class(target)
    chosen = torch.argsort(turn, stable=True)[:count].sort().values
    lengths = None if samples.lengths is None else samples.lengths[chosen]
    return Samples(samples.values[chosen], target[chosen], lengths)


def _rank_in_class(target: Tensor) -> Tensor:
    """Count for each sample how many samples of its class come before it, int64 [samples]."""
    rank = torch.empty_like(target)
    for label in target.unique():
        positions = (target == label).nonzero()[:, 0]
        rank[positions] = torch.arange(len(positions))
    return rank


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
