"""The Yin-Yang data set: points in the three regions of the yin-yang symbol."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.datasets.generated import three_sizes
from sgbench.errors import InputError, require_count

RADIUS = 0.5  # of the symbol, whose centre is (0.5, 0.5)
DOT = 0.1  # radius of a dot
YANG, YIN, EYE = 0, 1, 2


class YinYang(DataSet, entry="yin_yang"):
    """Generates points in the yin-yang symbol; the classes are its two halves and the two dots together.

    The four inputs of a point are x, y, 1 - x and 1 - y. A class is drawn first, then points until one falls into
    it, so the three classes are equally likely. A network without a hidden layer reaches 64 %, one with 30
    rectified units 97.6 %. The seeds 42, 41 and 40 give the published samples bit for bit.

    Args:
        samples: numbers of train, validation and test samples.
        seeds: of the train, validation and test samples.

    Raises:
        InputError: a parameter is out of range.

    Source: Kriener, Göltz & Petrovici 2022, NICE (arXiv:2102.08211); lkriener/yin_yang_data_set.

    >>> splits = YinYang(samples=[5, 5, 5], seeds=[42, 41, 40]).load(Path())
    >>> [round(x, 4) for x in splits["train"].values[0].tolist()], splits["train"].target.tolist()
    ([0.6803, 0.4505, 0.3197, 0.5495], [2, 1, 2, 1, 1])
    """

    n_inputs: int = 4
    source: str = "generated as by lkriener/yin_yang_data_set"

    def __init__(self, *, samples: Sequence[int], seeds: Sequence[int]) -> None:
        self.sizes: Mapping[Split, int] = three_sizes(samples)
        if isinstance(seeds, str) or not isinstance(seeds, list | tuple) or len(seeds) != len(SPLITS):
            raise InputError(f"dataset.seeds={seeds!r}: of train, validation and test, e.g. [42, 41, 40]")
        self.seeds = tuple(require_count("dataset.seeds", seed, low=0) for seed in seeds)
        self.sha256: str | None = self.published_sha256()

    def drawn(self, seed: int) -> YinYang:
        """Return the data set with other samples, which the seed draws."""
        other = copy.copy(self)
        states = (np.random.SeedSequence([split_seed, seed]).generate_state(1) for split_seed in self.seeds)
        other.seeds, other.sha256 = tuple(int(state[0]) for state in states), None
        return other

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw the points of all splits, each with its own seed; `data_dir` is not used."""
        splits: dict[Split, Samples] = {}
        for name, seed in zip(SPLITS, self.seeds, strict=True):
            # The published samples come from this generator, whose stream is frozen.
            random = np.random.RandomState(seed)
            drawn = [_draw(random) for _ in range(self.sizes[name])]
            points = np.array([(x, y, 1 - x, 1 - y) for x, y, _ in drawn])
            target = np.array([label for *_, label in drawn])
            splits[name] = Samples(torch.from_numpy(points), torch.from_numpy(target), None)
        return splits


def _draw(random: np.random.RandomState) -> tuple[float, float, int]:
    """Draw a class, then a point of this class; return the point's x and y, and the class."""
    wanted = random.randint(3)
    while True:
        x, y = (2 * RADIUS * number for number in random.random_sample(2).tolist())
        if math.dist((x, y), (RADIUS, RADIUS)) <= RADIUS and label_of(x, y) == wanted:
            return x, y, wanted


def label_of(x: float, y: float) -> int:
    """Return the class of a point inside the symbol: `YANG`, `YIN` or, in one of the dots, `EYE`."""
    right, left = math.dist((x, y), (1.5 * RADIUS, RADIUS)), math.dist((x, y), (0.5 * RADIUS, RADIUS))
    if right < DOT or left < DOT:
        return EYE
    upper = y > RADIUS and right > RADIUS / 2
    return YIN if right <= DOT or DOT < left <= RADIUS / 2 or upper else YANG
