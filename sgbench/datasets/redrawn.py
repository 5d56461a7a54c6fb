"""Data sets as a run draws them: new samples, or the same samples divided anew among the splits by a seed."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastspiking.signals.spikes import SpikeTrains, concatenated
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.encoders.base import Values
from sgbench.errors import InputError


class Redrawn(DataSet):
    """Divides the samples of another data set anew among splits of the same sizes, stratified by class.

    The n samples of a class get the ranks (r + 1/2) / n, r = 0 to n - 1, in a random order. All samples, sorted by
    rank, fill train, then validation, then test. So each split has each class in proportion, to within one sample.
    `seed`: of the random order.
    """

    def __init__(self, original: DataSet, seed: int) -> None:
        self.original = original
        self.seed = seed
        self.form = original.form
        self.origin = original.origin
        self.n_inputs: int = original.n_inputs
        self.image = original.image
        self.target = original.target
        self.n_classes: int = original.n_classes
        self.sizes = original.sizes
        self.source: str = original.source
        self.licence: str = original.licence
        self.sha256: str | None = None  # depends on the seed; a protocol states it

    def missing(self, data_dir: Path) -> str | None:
        return self.original.missing(data_dir)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Load the original, join its splits, and divide all samples anew with the same sizes and shares of classes."""
        splits = self.original.load(data_dir)
        self.original.verify(splits)
        self.sizes = self.original.sizes  # some are known only after loading
        parts = [splits[name] for name in SPLITS]
        values = _join([part.values for part in parts])
        target = torch.cat([part.target for part in parts])
        lengths = None
        if all(part.lengths is not None for part in parts):
            lengths = torch.cat([part.lengths for part in parts if part.lengths is not None])
        order = stratified_order(target, self.seed)
        ends = np.cumsum([len(part.target) for part in parts])[:-1]
        return {
            name: Samples(values[positions], target[positions], None if lengths is None else lengths[positions])
            for name, positions in zip(SPLITS, torch.tensor_split(order, torch.from_numpy(ends)), strict=True)
        }


def draw(data_set: DataSet, seed: int) -> DataSet:
    """Return the data set as a run of this seed draws it: new samples if it can, else the same in other splits."""
    other = data_set.drawn(seed)
    if other is not None:
        return other
    if data_set.target not in ("class", "class_per_step"):
        raise InputError(
            f"data set {type(data_set).__name__}: its target is no class, so its splits cannot be drawn anew; "
            f"use protocol.draw=null"
        )
    return Redrawn(data_set, seed)


def stratified_order(target: Tensor, seed: int) -> Tensor:
    """Return a random order of samples, int64 [samples]; any slice of it has all classes in proportion.

    The members of a class are shuffled and spread evenly over 0..1, and all samples are sorted by these positions.

    `target`: class of each sample [samples]; classes of steps [samples, steps] are not stratified.

    >>> stratified_order(torch.tensor([0, 0, 1, 1]), seed=0).sort().values.tolist()
    [0, 1, 2, 3]
    """
    random = np.random.Generator(np.random.PCG64(seed))
    label = target.numpy() if target.ndim == 1 else np.zeros(len(target), dtype=np.int64)
    position = np.empty(len(label))
    for one_class in np.unique(label):
        members = np.flatnonzero(label == one_class)
        shuffled = np.argsort(random.random(len(members)), kind="stable")
        position[members[shuffled]] = (np.arange(len(members)) + 0.5) / len(members)
    tie = random.random(len(label))
    return torch.from_numpy(np.lexsort((tie, position)))  # by position first


def _join(values: list[Values]) -> Values:
    trains = [value for value in values if isinstance(value, SpikeTrains)]
    if trains:
        return concatenated(trains)
    return torch.cat([value for value in values if isinstance(value, Tensor)])
