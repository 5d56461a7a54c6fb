"""Batches of any data set, encoded on the way, in an order of seed and epoch; the test split under lock."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from sgbench.augmentations.base import Augmentation
from sgbench.datasets.base import DataSet, Samples, Split
from sgbench.datasets.checks import check
from sgbench.datasets.kept import Kept, keep, numbers
from sgbench.datasets.part import first_samples
from sgbench.encoders.base import Encoder, Values
from sgbench.errors import InputError
from sgbench.signals.spikes import Signal
from sgbench.signals.streams import generator
from sgbench.signals.trajectory import Batch

CLOSED = (
    "the test split is closed until the last step of a run: validation selects, and the test is taken once; "
    "use data.evaluation('validation')"
)


def forget(stage: str | None) -> None:
    """Do nothing when the test split is handed out, as no listener is set."""


class GuardedSplits(Mapping[Split, Samples]):
    """Holds splits by name, of which `test` is handed out inside `open` alone.

    Args:
        splits: loaded and checked.
    """

    def __init__(self, splits: Mapping[Split, Samples]) -> None:
        self._splits = dict(splits)
        self._is_open = False
        self._stage: str | None = None
        self.listener: Callable[[str | None], None] = forget  # each time before the test split is handed out

    def __getitem__(self, name: Split) -> Samples:
        """Return the samples of one split; before the test split the listener is called.

        Raises:
            InputError: the test split, before the last step.
        """
        if name == "test":
            if not self._is_open:
                raise InputError(CLOSED)
            self.listener(self._stage)
        return self._splits[name]

    def __iter__(self) -> Iterator[Split]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    @contextlib.contextmanager
    def open(self, stage: str | None = None) -> Iterator[None]:
        """Unlock the test split for the last step, or for a stage whose scores select nothing.

        Args:
            stage: its name for the listener; None for the last step.
        """
        self._is_open, self._stage = True, stage
        try:
            yield
        finally:
            self._is_open, self._stage = False, None

    def anew(self) -> GuardedSplits:
        """Return the same samples under a lock of their own, for another run."""
        return GuardedSplits(self._splits)


class Batches:
    """Yields the batches of one pass over a split.

    Args:
        samples: the split.
        encoder: values to input over time.
        batch_size: samples per batch; the last may be smaller.
        order: positions in the order of visiting [samples].
        noise: generator of the encoding's stream, fresh for this pass.
        dtype: of the input.
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
        self.vary: Callable[[Values], Values] | None = None  # before they are encoded, if anything
        self.kept: Kept | None = None  # the code of all samples

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
        """Encode some samples, and count the steps that the code of each fills."""
        values = numbers(self.samples.values[position], self.dtype)
        values = values if self.vary is None else self.vary(values)
        return self.encoder.encode(values, self.noise), self.encoder.lengths(values)


class SpikingData:
    """Encodes any data set with any encoder.

    Args:
        data_set: what to load.
        encoder: values to input over time.
        data_dir: where files are looked for.
        batch_size: samples per batch.
        seed: of the run; data order, encoding and augmentation have streams of their own.
        dtype: of the input.
        augmentation: of the training samples, or None.
        first: how many samples of each split to use, once all are verified; None is all.

    Raises:
        InputError: the encoder or the augmentation does not take samples of this form.
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
        self.sha256: str | None = None  # of the data, once they are loaded and verified
        self.kept: dict[
            str, Kept | None
        ] = {}  # the training samples' code, once it is known whether it stays
        self.truncated: dict[Split, int] = {}  # spikes beyond the last step, of splits that have any

    def setup(self) -> None:
        """Load and verify all splits at the first call, and do nothing at later ones."""
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
        """Take over the splits that another run of the same data set has loaded and verified."""
        self.truncated = other.truncated
        self.splits, self.sha256 = other.splits.anew(), other.sha256
        self.kept = other.kept

    def last_step(self) -> AbstractContextManager[None]:
        """Unlock the test split while the context lasts, since validation has selected by then."""
        return self.splits.open()

    def watched(self, epoch: int) -> AbstractContextManager[None]:
        """Unlock the test split while the context lasts, for the score of an epoch that selects nothing."""
        return self.splits.open(f"epoch {epoch}")

    @property
    def batches_per_epoch(self) -> int:
        """Count the batches of one training epoch."""
        return math.ceil(len(self.splits["train"].target) / self.batch_size)

    def epoch(self, epoch: int) -> Batches:
        """Return the training batches of one epoch, whose order and noise are a function of its number."""
        samples = self.splits["train"]
        order = torch.randperm(len(samples.target), generator=generator(self.seed, "data_order", epoch))
        batches = self._batches(samples, order, generator(self.seed, "encoding", "train", epoch))
        if self.augmentation is not None and self.augmentation.varies:
            noise, image = generator(self.seed, "augmentation", epoch), self.data_set.image
            batches.vary = functools.partial(self.augmentation.vary, generator=noise, image=image)
        elif epoch > 0:  # a run that takes one look at the data does not pay for it
            if "train" not in self.kept:
                trial = generator(self.seed, "encoding", "train", epoch)  # the pass's own stays where it is
                self.kept["train"] = keep(samples.values, self.encoder, trial, self.dtype)
            batches.kept = self.kept["train"]
        return batches

    def evaluation(self, split: Split) -> Batches:
        """Return the batches of a split in its own order.

        Raises:
            InputError: the test split, outside `last_step` and `watched`.
        """
        samples = self.splits[split]
        order = torch.arange(len(samples.target))
        return self._batches(samples, order, generator(self.seed, "encoding", split))

    def _batches(self, samples: Samples, order: Tensor, noise: torch.Generator) -> Batches:
        return Batches(
            samples,
            self.encoder,
            batch_size=self.batch_size,
            order=order,
            noise=noise,
            dtype=self.dtype,
        )


def _encoder_mismatch(data_set: DataSet, encoder: Encoder) -> str:
    """Write that an encoder cannot take what a data set holds, and which one can."""
    remedy = {"values": "latency", "traces": "direct", "spikes": "binned"}[data_set.form]
    return (
        f"encoder {type(encoder).__name__}: takes {' or '.join(encoder.takes)}, but data set "
        f"{type(data_set).__name__} holds {data_set.form}; use encoder={remedy}"
    )


def _check_lengths(data_set: DataSet, split: Split, samples: Samples, encoder: Encoder) -> None:
    """Refuse samples that are longer than the protocol's steps, and targets of another length."""
    lengths = encoder.lengths(samples.values) if samples.lengths is None else samples.lengths
    longest = int(lengths.max())
    if longest > encoder.steps:
        raise InputError(
            f"data set {type(data_set).__name__}: split {split} has samples of up to {longest} steps, the protocol "
            f"{encoder.steps}; set protocol.steps={longest}"
        )
    wanted = encoder.steps if data_set.target == "class" else samples.target.shape[1]
    if wanted != encoder.steps:
        raise InputError(
            f"data set {type(data_set).__name__}: split {split} has targets of {wanted} steps, the protocol "
            f"{encoder.steps}; set protocol.steps={wanted}"
        )
