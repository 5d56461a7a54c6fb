"""The delayed exclusive or: do two windows have different firing rates?"""

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, DrawnBySplit, fire, permutation
from sgbench.errors import require_count, require_number


class DelayedXor(DrawnBySplit, entry="delayed_xor"):
    """Generates two windows in which all channels fire at a low or a high rate; the class is 1 if the rates differ.

    Between and after the windows all channels fire at the noise rate, so the first window's rate has to be
    remembered over the delay.

    Args:
        channels: input channels N, all with the same rate.
        window_ms: duration of each window [ms].
        delay_ms: time between the windows [ms].
        answer_ms: time after the second window [ms].
        low_hz: lower rate [Hz], at most 1000.
        high_hz: higher rate [Hz], at most 1000.
        noise_hz: rate outside the windows [Hz].
        seed: of all random numbers.

    Source: the task of Zheng et al. 2024, Nature Communications 15:277 (DH-SNN), with one pool of channels.
    """

    def __init__(  # noqa: PLR0913 - the task has so many numbers
        self,
        *,
        channels: int,
        window_ms: int,
        delay_ms: int,
        answer_ms: int,
        low_hz: float,
        high_hz: float,
        noise_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.n_inputs: int = require_count("dataset.channels", channels)
        self.window_ms = require_count("dataset.window_ms", window_ms)
        self.delay_ms = require_count("dataset.delay_ms", delay_ms, low=0)
        self.answer_ms = require_count("dataset.answer_ms", answer_ms, low=0)
        self.noise_hz = require_number("dataset.noise_hz", noise_hz, low=0, high=1000)
        low = require_number("dataset.low_hz", low_hz, low=0, high=1000)
        self.rates_hz = (low, require_number("dataset.high_hz", high_hz, low=low, high=1000, open_low=True))
        super().__init__(samples=samples, seed=seed)

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        """Draw two windows at a low or a high rate, with noise between and after; the class is their exclusive or."""
        pattern = permutation(random, count) % 4
        bits = np.stack([pattern // 2, pattern % 2], 1)  # 1 is the high rate [samples, 2 windows]
        second_ms = self.window_ms + self.delay_ms
        end_ms = second_ms + self.window_ms + self.answer_ms
        windows = ((0, self.window_ms), (second_ms, self.window_ms))  # start and duration
        quiet = ((self.window_ms, self.delay_ms), (second_ms + self.window_ms, self.answer_ms))
        parts = [
            (self._blocks(np.flatnonzero(bits[:, number] == bit), *window), rate_hz)
            for number, window in enumerate(windows)
            for bit, rate_hz in enumerate(self.rates_hz)
        ]
        parts += [(self._blocks(np.arange(count), *span), self.noise_hz) for span in quiet]
        trains = SpikeTrains.of(*fire(random, parts), np.full(count, end_ms * NATIVE_STEP_US), self.n_inputs)
        return Samples(trains, torch.from_numpy(bits[:, 0] ^ bits[:, 1]), None)

    def _blocks(self, sample: np.ndarray, step: int, steps: int) -> ActiveBlocks:
        ones = np.ones_like(sample)
        return ActiveBlocks(sample, 0 * ones, self.n_inputs * ones, step * ones, steps * ones)
