"""The adding task: is the sum of two marked numbers of a sequence above 1?"""

import numpy as np
import torch

from sgbench.datasets.base import Samples
from sgbench.datasets.generated import DrawnBySplit, whole
from sgbench.errors import require_count


class Adding(DrawnBySplit, entry="adding"):
    """Generates uniform numbers in [0, 1), two of them marked; the class is 1 if the marked sum exceeds 1, else 0.

    The first channel has a number in each step, the second is 1 at the two marks and 0 elsewhere. One mark is in
    the first half of the steps, one in the second.

    Args:
        places: steps of a sample, each with one number; at least 2.
        seed: of all random numbers.

    Raises:
        InputError: a parameter out of range.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), section 5.4. There the sum itself is the target;
    here it is one of two classes, so that there is an accuracy.

    >>> train = Adding(places=4, samples=[3, 1, 1], seed=0).load(data_dir=None)["train"]
    >>> marked = (train.values[..., 0] * train.values[..., 1]).sum(1)
    >>> bool(((marked > 1) == train.target.bool()).all())
    True
    """

    n_inputs: int = 2

    def __init__(self, *, places: int, samples: list[int], seed: int) -> None:
        self.places = require_count("dataset.places", places, low=2)
        super().__init__(samples=samples, seed=seed)

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw numbers, and marks of one in each half; the class is whether the marked ones sum to more than 1."""
        numbers = random.random((count, self.places))
        half, rows = self.places // 2, np.arange(count)
        marks = np.zeros_like(numbers)
        marks[rows, whole(random, half, count)] = 1
        marks[rows, half + whole(random, self.places - half, count)] = 1
        above = ((numbers * marks).sum(1) > 1).astype(np.int64)
        return Samples(torch.from_numpy(np.stack([numbers, marks], 2)), torch.from_numpy(above), None)
