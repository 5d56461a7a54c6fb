"""Reads a user's data for their own network, unscaled and in any shape, and makes batches of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sgbench.datasets.base import Split
from sgbench.errors import InputError
from sgbench.yours.arrays import PAIR, Part, iterate_pairs, to_array
from sgbench.yours.division import Divided, commonest_share, divide
from sgbench.yours.scratch import SpilledArrays, stack_arrays


@dataclass(frozen=True)
class OwnData:
    """Holds inputs and classes of train, validation and test."""

    parts: Divided  # maps each split to its samples and class indices
    notes: list[str]  # lines on how the data were read and divided

    @property
    def guess(self) -> float:
        return commonest_share(self.parts["test"][1])

    def count(self, split: Split) -> int:
        return len(self.parts[split][0])

    def batch(self, split: Split, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs [B, ...] (real ones as float32) and class indices [B] of the samples `chosen` [B]."""
        part, class_indices = self.parts[split]
        x = torch.from_numpy(np.asarray(part.values)[part.order[chosen.numpy()]])
        return x.float() if x.is_floating_point() else x, torch.from_numpy(class_indices[chosen.numpy()])


def read_own_data(train: Any, test: Any | None, validation: Any | None, groups: Any | None) -> OwnData:
    """Read a user's data and divide them into train, validation and test."""
    notes: list[str] = []
    others = (
        None if part is None else _read_part(part, name) for name, part in (("test", test), ("validation", validation))
    )
    divided, _ = divide(_read_part(train, "train"), *others, groups=groups, notes=notes)
    return OwnData(divided, notes)


def _read_part(given: Any, name: str) -> Part:
    if isinstance(given, tuple | list) and len(given) == PAIR:
        x, y = to_array(given[0]), to_array(given[1])
    else:
        x, y = _read_one_by_one(given, name)
    if not x.ndim or len(x) != len(y) or not len(y) or y.ndim != 1 or y.dtype.kind == "f":
        raise InputError(f"{name}: {x.shape} inputs and {y.shape} classes; one whole number or word a sample")
    if x.dtype.kind not in "buif":
        raise InputError(f"{name}: inputs are of type {x.dtype}, numbers are needed; give frames of events")
    if x.dtype.kind == "f":
        bad = next((index for index, sample in enumerate(x) if not np.isfinite(sample).all()), None)
        if bad is not None:
            raise InputError(f"{name}: sample {bad} holds NaN or infinity; leave it out or fill it in")
    return Part(x, y)


def _read_one_by_one(given: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read the inputs and classes of a data set sample by sample; inputs above 64 MB in all go to a file."""
    samples, labels = SpilledArrays(), []
    for sample, label in iterate_pairs(given, name):
        samples.add(to_array(sample))
        labels.append(label)
    arrays = samples.arrays()
    if not arrays:
        raise InputError(f"{name}: has no samples")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise InputError(f"{name}: samples have shapes such as {sorted(shapes)[:2]}; your network needs equal shapes")
    return stack_arrays(arrays), np.asarray(labels)
