"""Exclusive or of two rates with a silence between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, fire, permutation
from sgbench.errors import require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains


class DelayedXor(Generated, entry="delayed_xor"):
    """Generates two windows in which all channels fire at a low or a high rate; the class is whether they differ.

    Between the windows, and after them while the answer is due, there is noise alone, so the first bit has to be
    remembered for the delay.

    Args:
        channels: input channels N, which share the rates.
        window_ms: duration of each window [ms].
        delay_ms: between the windows [ms].
        answer_ms: after the second window [ms].
        low_hz: lower rate [Hz], at most 1000.
        high_hz: higher rate [Hz], at most 1000.
        noise_hz: rate outside the windows [Hz].
        samples: of train, validation and test.
        seed: of everything random.

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

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        pattern = permutation(random, count) % 4
        bits = np.stack([pattern // 2, pattern % 2], 1)
        second = self.window_ms + self.delay_ms
        end = second + self.window_ms + self.answer_ms
        windows = ((0, self.window_ms), (second, self.window_ms))
        quiet = ((self.window_ms, self.delay_ms), (second + self.window_ms, self.answer_ms))
        parts = [
            (self._blocks(np.flatnonzero(bits[:, number] == bit), *window), rate_hz)
            for number, window in enumerate(windows)
            for bit, rate_hz in enumerate(self.rates_hz)
        ]
        parts += [(self._blocks(np.arange(count), *part), self.noise_hz) for part in quiet]
        trains = SpikeTrains.of(*fire(random, parts), np.full(count, end * NATIVE_STEP_US), self.n_inputs)
        return Samples(trains, torch.from_numpy(bits[:, 0] ^ bits[:, 1]), None)

    def _blocks(self, sample: np.ndarray, step: int, steps: int) -> ActiveBlocks:
        """Describe all channels of some samples as active for some steps from a step on."""
        same = np.ones_like(sample)
        return ActiveBlocks(sample, 0 * same, self.n_inputs * same, step * same, steps * same)
