"""The exclusive or of two spike times."""

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import DrawnBySplit, permutation
from sgbench.errors import InputError, require_number


class TemporalXor(DrawnBySplit, entry="temporal_xor"):
    """Generates two channels that fire once each, early or late; the class is 1 if they differ, else 0.

    Spike counts say nothing, as every sample has two spikes. The four patterns are equally frequent.

    Args:
        early_s: time of an early spike [s].
        late_s: time of a late spike [s].
        jitter_s: largest deviation of a spike time, uniformly distributed [s].
        duration_s: duration of a sample [s].
        seed: of the order of patterns and the jitter.

    Source: Mostafa 2017, IEEE Transactions on Neural Networks and Learning Systems 29(7); Neftci, Mostafa & Zenke
    2019, figure 6.

    >>> task = TemporalXor(early_s=0.005, late_s=0.01, jitter_s=0.0, duration_s=0.02, samples=[4, 4, 4], seed=0)
    >>> train = task.load(data_dir=None)["train"]
    >>> train.values.by_channel()[1].view(4, 2).tolist(), train.target.tolist()
    ([[10000, 10000], [10000, 5000], [5000, 10000], [5000, 5000]], [0, 1, 1, 0])
    """

    n_inputs: int = 2

    def __init__(
        self, *, early_s: float, late_s: float, jitter_s: float, duration_s: float, samples: list[int], seed: int
    ) -> None:
        self.jitter_s = require_number("dataset.jitter_s", jitter_s, low=0)
        self.early_s = require_number("dataset.early_s", early_s, low=self.jitter_s)
        self.late_s = require_number("dataset.late_s", late_s, low=self.early_s, open_low=True)
        self.duration_s = require_number("dataset.duration_s", duration_s, low=0, open_low=True)
        if self.late_s + self.jitter_s > self.duration_s:
            raise InputError(f"dataset.duration_s={duration_s:g}: the late spikes lie behind it")
        super().__init__(samples=samples, seed=seed)

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw an early or late spike on two channels; the class is their exclusive or."""
        pattern = permutation(random, count) % 4
        late = np.stack([pattern // 2, pattern % 2], 1)  # [samples, channels]
        time_s = np.where(late, self.late_s, self.early_s)
        time_s += self.jitter_s * (2 * random.random(late.shape) - 1)
        trains = SpikeTrains.of(
            np.repeat(np.arange(count), 2),
            np.tile([0, 1], count),
            np.floor(time_s * 1e6).ravel(),
            np.full(count, round(self.duration_s * 1e6)),
            2,
        )
        return Samples(trains, torch.from_numpy(late[:, 0] ^ late[:, 1]), None)
