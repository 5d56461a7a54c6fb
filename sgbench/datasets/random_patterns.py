"""The memorisation task: random spike patterns with random labels."""

from pathlib import Path

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire, whole
from sgbench.errors import require_count, require_number


class RandomPatterns(Generated, entry="random_patterns"):
    """Generates Poisson spike patterns, each with one of two labels at random; there is nothing to generalise.

    The task is to memorise: validation and test are the training patterns, and the accuracy is the share of
    patterns whose label the network has learnt.

    Args:
        patterns: number of patterns.
        channels: input channels N.
        duration_s: duration of a pattern [s], rounded to milliseconds.
        rate_hz: firing rate of each channel [Hz].
        seed: of the patterns and the labels.

    Source: Neftci, Mostafa & Zenke 2019, companion code (SpyTorch, tutorial 1).

    >>> task = RandomPatterns(patterns=4, channels=5, duration_s=0.02, rate_hz=100.0, seed=0)
    >>> splits = task.load(Path())
    >>> splits["train"] is splits["test"], len(splits["train"].values)
    (True, 4)
    """

    redraws_task: bool = True

    def __init__(self, *, patterns: int, channels: int, duration_s: float, rate_hz: float, seed: int) -> None:
        count = require_count("dataset.patterns", patterns, low=2)
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.duration_s = require_number("dataset.duration_s", duration_s, low=0.001)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        super().__init__(samples=[count] * 3, seed=seed)

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Generate the patterns, the same for all three splits; `data_dir` is not used."""
        count, steps = self.sizes["train"], round(self.duration_s * 1e6 / NATIVE_STEP_US)
        random = self.random(0)
        ones = np.ones(count, dtype=np.int64)
        blocks = ActiveBlocks(np.arange(count), 0 * ones, self.n_inputs * ones, 0 * ones, steps * ones)
        spikes = fire(random, [(blocks, self.rate_hz)])
        trains = SpikeTrains.of(*spikes, steps * NATIVE_STEP_US * ones, self.n_inputs)
        patterns = Samples(trains, torch.from_numpy(whole(random, 2, count)), None)
        return {"train": patterns, "validation": patterns, "test": patterns}
