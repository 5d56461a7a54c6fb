"""Whether two marked numbers of a sequence are more than 1 together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import Generated, whole
from sgbench.errors import require_count


class Adding(Generated, entry="adding"):
    """Generates even numbers between 0 and 1 of which two are marked; the class is whether their sum is above 1.

    The first channel has a number in each step, the second is 1 at the two marks and 0 elsewhere. One mark is in
    the first half of the steps, one in the second.

    Args:
        places: numbers of a sample, one a step.
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: a parameter out of range.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), section 5.4, there the sum itself; as a class of
    two so that it has an accuracy.

    >>> train = Adding(places=4, samples=[3, 1, 1], seed=0).load(Path())["train"]
    >>> marked = (train.values[..., 0] * train.values[..., 1]).sum(1)
    >>> bool(((marked > 1) == train.target.bool()).all())
    True
    """

    n_inputs: int = 2

    def __init__(self, *, places: int, samples: list[int], seed: int) -> None:
        self.places = require_count("dataset.places", places, low=2)
        super().__init__(samples=samples, seed=seed)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        numbers = random.random((count, self.places))
        half, rows = self.places // 2, np.arange(count)
        marks = np.zeros_like(numbers)
        marks[rows, whole(random, half, count)] = 1
        marks[rows, half + whole(random, self.places - half, count)] = 1
        above = ((numbers * marks).sum(1) > 1).astype(np.int64)
        return Samples(torch.from_numpy(np.stack([numbers, marks], 2)), torch.from_numpy(above), None)
