"""The base class of tasks on sequences of symbols, each a group of channels that fires while the symbol lasts."""

from abc import abstractmethod

import numpy as np
import torch

from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import Samples
from sgbench.datasets.generated import NATIVE_STEP_US, ActiveBlocks, DrawnBySplit, Numbers, fire
from sgbench.errors import require_count, require_number

SILENCE = -1  # instead of a symbol: no channel fires


class SymbolTask(DrawnBySplit):
    """Generates sequences of symbols; each symbol has channels of its own that fire at random while it lasts.

    Args:
        symbols: number of different symbols; symbol k has the n channels k n to (k + 1) n - 1.
        channels: number n of input channels that stand for one symbol.
        symbol_ms: duration of a symbol [ms].
        rate_hz: firing rate of a channel while its symbol lasts [Hz].
        seed: of all random numbers.
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
        """Draw `count` sequences of symbols, and their classes.

        Returns symbols int64 [samples, places], each from 0 on or `SILENCE`; classes int64 [samples] of sequences, or
        [samples, places] of symbols, `UNLABELLED` where a place has none.
        """

    def _generate(self, count: int, random: np.random.Generator) -> Samples:
        symbols, target = self.sequences(random, count)
        if target.ndim > 1:  # the class of a symbol is that of all of its steps
            target = np.repeat(target, self.symbol_ms, axis=1)
        return Samples(self._spikes(random, symbols), torch.from_numpy(target), None)

    def _spikes(self, random: np.random.Generator, symbols: Numbers) -> SpikeTrains:
        """Draw the spikes of sequences of symbols [samples, places]."""
        sample, position = np.nonzero(symbols != SILENCE)
        ones = np.ones_like(sample)
        blocks = ActiveBlocks(
            sample,
            channel=symbols[sample, position] * self.channels,
            channels=self.channels * ones,
            step=position * self.symbol_ms,
            steps=self.symbol_ms * ones,
        )
        duration_us = np.full(len(symbols), symbols.shape[1] * self.symbol_ms * NATIVE_STEP_US)
        return SpikeTrains.of(*fire(random, [(blocks, self.rate_hz)]), duration_us, self.n_inputs)
