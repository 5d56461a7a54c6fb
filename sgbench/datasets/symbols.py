"""What tasks on sequences of symbols share: each symbol is a group of channels that fires while it lasts."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np
import torch

from sgbench.datasets.base import Samples, Split
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, Generated, Numbers, fire
from sgbench.errors import require_count, require_number
from sgbench.signals.spike_trains import SpikeTrains

SILENCE = -1
"""In place of a symbol, where no channel fires."""


class SymbolTask(Generated):
    """Generates sequences of symbols, each a group of channels of its own that fires at random while it lasts.

    Args:
        symbols: different symbols; symbol k has the channels k n to (k + 1) n - 1.
        channels: n, of each symbol.
        symbol_ms: duration of a symbol [ms].
        rate_hz: of a channel while its symbol lasts [Hz].
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: a parameter out of range.
    """

    def __init__(
        self, *, symbols: int, channels: int, symbol_ms: int, rate_hz: float, samples: list[int], seed: int
    ) -> None:
        self.channels = require_count("dataset.channels", channels)
        self.symbol_ms = require_count("dataset.symbol_ms", symbol_ms)
        self.rate_hz = require_number("dataset.rate_hz", rate_hz, low=0, high=1000, open_low=True)
        self.n_inputs: int = symbols * channels
        super().__init__(samples=samples, seed=seed)

    @abstractmethod
    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw symbols [samples, places], some of them `SILENCE`, and classes [samples] or [samples, places]."""

    def load(self, data_dir: Path) -> dict[Split, Samples]:
        """Draw each split by a generator of its own, see `each_split`; `data_dir` is not read."""
        return {name: self._generate(size, random) for name, size, random in self.each_split()}

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        symbols, target = self.sequences(random, count)
        if target.ndim > 1:  # the class of a symbol is that of all of its steps
            target = np.repeat(target, self.symbol_ms, axis=1)
        return Samples(self._spikes(random, symbols), torch.from_numpy(target), None)

    def _spikes(self, random: np.random.Generator, symbols: Numbers) -> SpikeTrains:
        """Draw the spikes of sequences [samples, places]."""
        sample, position = np.nonzero(symbols != SILENCE)
        same = np.ones_like(sample)
        blocks = ActiveBlocks(
            sample,
            symbols[sample, position] * self.channels,
            self.channels * same,
            position * self.symbol_ms,
            self.symbol_ms * same,
        )
        duration_us = np.full(len(symbols), symbols.shape[1] * self.symbol_ms * NATIVE_STEP_US)
        return SpikeTrains.of(*fire(random, [(blocks, self.rate_hz)]), duration_us, self.n_inputs)
