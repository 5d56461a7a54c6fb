"""Encoded batches of any data set, in an order given by seed and epoch; the test split is locked."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from fastspiking.signals.spikes import Signal
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Batch
from sgbench.augmentations.base import Augmentation
from sgbench.datasets.base import DataSet, Samples, Split, first_samples
from sgbench.datasets.checks import check
from sgbench.datasets.kept import Kept, keep, numbers
from sgbench.encoders.base import Encoder, Values
from sgbench.errors import InputError

TEST_IS_LOCKED = (
    "the test split is closed until the last step of a run: validation selects, and the test is taken once; "
    "use data.evaluation('validation')"
)


class GuardedSplits(Mapping[Split, Samples]):
    """Maps split names to samples; `test` can be read only inside the context `open`.

    `splits`: the loaded and checked samples by split.
    """

    def __init__(self, splits: Mapping[Split, Samples]) -> None:
        self._splits = dict(splits)
        self._is_open = False
        self._stage: str | None = None
        self.listener: Callable[[str | None], None] = lambda _: None  # called before each access to `test`

    def __getitem__(self, name: Split) -> Samples:
        if name == "test":
            if not self._is_open:
                raise InputError(TEST_IS_LOCKED)
            self.listener(self._stage)
        return self._splits[name]

    def __iter__(self) -> Iterator[Split]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    @contextlib.contextmanager
    def open(self, stage: str | None = None) -> Iterator[None]:
        """Unlock the test split while the context lasts.

        `stage`: name passed to the listener, of a stage whose scores select nothing; None is a run's last step.
        """
        self._is_open, self._stage = True, stage
        try:
            yield
        finally:
            self._is_open, self._stage = False, None

    def anew(self) -> GuardedSplits:
        """Return the same samples with a new lock and no listener, for another run."""
        return GuardedSplits(self._splits)


class Batches:
    """Yields the encoded batches of one pass over a split.

    Args:
        samples: of the split.
        encoder: turns the samples' values into input over time.
        batch_size: samples per batch; the last may be smaller.
        order: index of each sample in the order in which they are visited, int64 [samples].
        noise: random generator of the encoder in this pass.
        dtype: of the input and of real-valued targets.
    """

    def __init__(
        self,
        samples: Samples,
        encoder: Encoder,
        *,
        batch_size: int,
        order: Tensor,
        noise: torch.Generator,
        dtype: torch.dtype,
    ) -> None:
        self.samples = samples
        self.encoder = encoder
        self.batch_size = batch_size
        self.order = order
        self.noise = noise
        self.dtype = dtype
        self.vary: Callable[[Values], Values] | None = None  # augmentation of values before they are encoded
        self.kept: Kept | None = None  # all samples already encoded, from which batches are copied

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for position in self.order.split(self.batch_size):
            x, filled = self._encoded(position) if self.kept is None else self.kept.batch(position)
            lengths = filled if self.samples.lengths is None else self.samples.lengths[position]
            target = self.samples.target[position]
            if target.is_floating_point():
                target = target.to(self.dtype)
            yield Batch(x=x, target=target, lengths=lengths, position=position)

    def _encoded(self, position: Tensor) -> tuple[Signal, Tensor]:
        """Encode the samples at these positions [B]; return the input and each sample's valid steps [B]."""
        values = numbers(self.samples.values[position], self.dtype)
        values = values if self.vary is None else self.vary(values)
        return self.encoder.encode(values, self.noise), self.encoder.lengths(values)


class SpikingData:
    """Loads and verifies a data set, and makes encoded batches of its splits.

    Args:
        data_set: to load.
        encoder: turns the samples' values into input over time.
        data_dir: root folder of all data files.
        batch_size: samples per batch.
        seed: of the run; data order, encoding and augmentation each draw from a generator of their own.
        dtype: of the input.
        augmentation: random change of the training samples; None for none.
        first: samples of each split to use, after all are verified; None for all.
    """

    def __init__(
        self,
        data_set: DataSet,
        encoder: Encoder,
        *,
        data_dir: Path,
        batch_size: int,
        seed: int,
        dtype: torch.dtype,
        augmentation: Augmentation | None = None,
        first: int | None = None,
    ) -> None:
        if data_set.form not in encoder.takes:
            raise InputError(_encoder_mismatch(data_set, encoder))
        if augmentation is not None and data_set.form not in augmentation.takes:
            raise InputError(
                f"augmentation {type(augmentation).__name__}: takes {' or '.join(augmentation.takes)}, but "
                f"data set {type(data_set).__name__} holds {data_set.form}; use augmentation=none"
            )
        self.augmentation = augmentation
        self.first = first
        self.data_set = data_set
        self.encoder = encoder
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.seed = seed
        self.dtype = dtype
        self.splits = GuardedSplits({})
        self.sha256: str | None = None  # of the data; None until they are verified
        # {"train": encoded training samples, or None if they must be encoded in each epoch}; empty until decided.
        self.kept: dict[str, Kept | None] = {}
        self.truncated: dict[Split, int] = {}  # spikes cut off after the last step, of splits that have any

    def setup(self) -> None:
        """Load and verify all splits on the first call; do nothing on later ones."""
        if self.splits:
            return
        splits: dict[Split, Samples] = self.data_set.load(self.data_dir)
        self.sha256 = check(self.data_set, splits)
        if self.first is not None:
            splits = {split: first_samples(samples, self.first) for split, samples in splits.items()}
        for split, samples in splits.items():
            _check_lengths(self.data_set, split, samples, self.encoder)
            late = self.encoder.truncated(samples.values)
            if late:
                self.truncated[split] = late
        self.splits = GuardedSplits(splits)

    def share(self, other: SpikingData) -> None:
        """Take over the splits and encoded samples that `other`, of the same data set, has loaded."""
        self.truncated = other.truncated
        self.splits, self.sha256 = other.splits.anew(), other.sha256
        self.kept = other.kept

    def last_step(self) -> AbstractContextManager[None]:
        """Unlock the test split while the context lasts, for the one test of the selected network."""
        return self.splits.open()

    def watched(self, epoch: int) -> AbstractContextManager[None]:
        """Unlock the test split while the context lasts, for a score of this epoch that selects nothing."""
        return self.splits.open(f"epoch {epoch}")

    @property
    def batches_per_epoch(self) -> int:
        return math.ceil(len(self.splits["train"].target) / self.batch_size)

    def epoch(self, epoch: int) -> Batches:
        """Return the training batches of one epoch; order and random numbers depend on seed and epoch alone."""
        samples = self.splits["train"]
        order = torch.randperm(len(samples.target), generator=generator(self.seed, "data_order", epoch))
        batches = self._batches(samples, order, generator(self.seed, "encoding", "train", epoch))
        if self.augmentation is not None and self.augmentation.varies:
            noise, image = generator(self.seed, "augmentation", epoch), self.data_set.image
            batches.vary = functools.partial(self.augmentation.vary, generator=noise, image=image)
        elif epoch > 0:  # encoding all samples ahead would not pay in a run of one epoch
            if "train" not in self.kept:
                trial = generator(self.seed, "encoding", "train", epoch)  # leaves that of `batches` unused
                self.kept["train"] = keep(samples.values, self.encoder, trial, self.dtype)
            batches.kept = self.kept["train"]
        return batches

    def evaluation(self, split: Split) -> Batches:
        """Return the batches of a split in their stored order, encoded with the same noise at every call."""
        samples = self.splits[split]
        order = torch.arange(len(samples.target))
        return self._batches(samples, order, generator(self.seed, "encoding", split))

    def _batches(self, samples: Samples, order: Tensor, noise: torch.Generator) -> Batches:
        return Batches(samples, self.encoder, batch_size=self.batch_size, order=order, noise=noise, dtype=self.dtype)


def _encoder_mismatch(data_set: DataSet, encoder: Encoder) -> str:
    remedy = {"values": "latency", "traces": "direct", "spikes": "binned"}[data_set.form]
    return (
        f"encoder {type(encoder).__name__}: takes {' or '.join(encoder.takes)}, but data set "
        f"{type(data_set).__name__} holds {data_set.form}; use encoder={remedy}"
    )


def _check_lengths(data_set: DataSet, split: Split, samples: Samples, encoder: Encoder) -> None:
    """Raise InputError for samples longer than the encoder's steps, or targets over time of another length."""
    lengths = encoder.lengths(samples.values) if samples.lengths is None else samples.lengths
    longest = int(lengths.max())
    if longest > encoder.steps:
        raise InputError(
            f"data set {type(data_set).__name__}: split {split} has samples of up to {longest} steps, the protocol "
            f"{encoder.steps}; set protocol.steps={longest}"
        )
    target_steps = encoder.steps if data_set.target == "class" else samples.target.shape[1]
    if target_steps != encoder.steps:
        raise InputError(
            f"data set {type(data_set).__name__}: split {split} has targets of {target_steps} steps, the protocol "
            f"{encoder.steps}; set protocol.steps={target_steps}"
        )
