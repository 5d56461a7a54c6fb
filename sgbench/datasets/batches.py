"""Batches of any data set, encoded on the way; the order is a function of seed and epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.encoders.base import Encoder
from sgbench.errors import InputError
from sgbench.streams import generator
from sgbench.trajectory import Batch


class Batches:
    """One pass over a split.

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

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for position in self.order.split(self.batch_size):
            x = self.encoder.encode(self.samples.values[position].to(self.dtype), self.noise)
            if self.samples.lengths is None:
                lengths = torch.full((len(position),), x.shape[0], dtype=torch.int64)
            else:
                lengths = self.samples.lengths[position]
            yield Batch(x=x, target=self.samples.target[position], lengths=lengths, position=position)


class SpikingData:
    """Any data set under any encoder.

    Args:
        data_set: what to load.
        encoder: values to input over time.
        data_dir: where files are looked for.
        batch_size: samples per batch.
        seed: of the run; data order and encoding have streams of their own.
        dtype: of the input.
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
    ) -> None:
        self.data_set = data_set
        self.encoder = encoder
        self.data_dir = data_dir
        self.batch_size = batch_size
        self.seed = seed
        self.dtype = dtype
        self.splits: dict[Split, Samples] = {}
        self.sha256: str | None = None  # of the data, once they are loaded and verified

    def setup(self) -> None:
        """Load and verify the data once."""
        if self.splits:
            return
        splits = self.data_set.load(self.data_dir)
        name = type(self.data_set).__name__
        if set(splits) != set(SPLITS):
            raise InputError(f"data set {name}: exactly the splits {', '.join(SPLITS)} are needed")
        for split, samples in splits.items():
            problem = _problem(samples, self.data_set, split, self.encoder.steps)
            if problem is not None:
                raise InputError(f"data set {name}: split {split} {problem}")
        self.sha256 = self.data_set.verify(splits)
        self.splits = splits

    def share(self, other: SpikingData) -> None:
        """Take the splits that another run of the same data set has loaded and verified."""
        self.splits, self.sha256 = other.splits, other.sha256

    def epoch(self, epoch: int) -> Batches:
        """The training batches of one epoch."""
        count = len(self.splits["train"].target)
        order = torch.randperm(count, generator=generator(self.seed, "data_order", epoch))
        return self._batches("train", order, generator(self.seed, "encoding", "train", epoch))

    def evaluation(self, split: Split) -> Batches:
        """The batches of a split in its own order."""
        order = torch.arange(len(self.splits[split].target))
        return self._batches(split, order, generator(self.seed, "encoding", split))

    def _batches(self, split: Split, order: Tensor, noise: torch.Generator) -> Batches:
        return Batches(
            self.splits[split],
            self.encoder,
            batch_size=self.batch_size,
            order=order,
            noise=noise,
            dtype=self.dtype,
        )


def _problem(samples: Samples, facts: DataSet, split: Split, steps: int) -> str | None:
    """What is wrong with a split, if anything."""
    values, target, lengths = samples
    if len(target) == 0:
        return "is empty"
    if values.shape != (facts.sizes[split], facts.n_inputs) or len(target) != facts.sizes[split]:
        return f"has shape {tuple(values.shape)}, not the declared {(facts.sizes[split], facts.n_inputs)}"
    if not torch.isfinite(values).all():
        return "is not finite"
    if values.min() < 0 or values.max() > 1:
        return "has a value outside [0, 1]"
    if target.min() < 0 or target.max() >= facts.n_classes:
        return f"has a target outside 0..{facts.n_classes - 1}"
    if lengths is not None and (lengths.min() < 1 or lengths.max() > steps):
        return f"has a sample length outside 1..{steps}"
    return None
