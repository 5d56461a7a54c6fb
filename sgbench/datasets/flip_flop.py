"""Bits that pulses set, whose state is asked for in every step."""

from __future__ import annotations

import numpy as np

from sgbench.datasets.generated import Numbers, whole
from sgbench.datasets.symbols import SILENCE, SymbolTask
from sgbench.errors import require_count, require_number
from sgbench.signals.trajectory import UNLABELLED


class FlipFlop(SymbolTask, entry="flip_flop"):
    """Generates pulses that set one of a few bits; the class of a step is the state of all bits.

    The first symbols set every bit once, in order. Each later one is a pulse by chance, for a bit and with a
    value at random. Steps before all bits are set and steps of a pulse have no class.

    Args:
        bits: n of them; bit k is set to v by symbol 2 k + v, and there are 2^n classes.
        places: symbols of a sample, silent ones included, at least one more than bits.
        pulse_chance: that a later symbol is a pulse.
        channels: of each symbol.
        symbol_ms: duration of a symbol [ms].
        rate_hz: of a channel during its pulse [Hz].
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: a parameter out of range.

    Source: Sussillo & Barak 2013, Neural Computation 25(3), the 3-bit flip-flop.
    """

    def __init__(
        self,
        *,
        bits: int,
        places: int,
        pulse_chance: float,
        channels: int,
        symbol_ms: int,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.bits = require_count("dataset.bits", bits)
        self.places = require_count("dataset.places", places, low=self.bits + 1)
        self.chance = require_number("dataset.pulse_chance", pulse_chance, low=0, high=1)
        super().__init__(
            symbols=2 * bits,
            channels=channels,
            symbol_ms=symbol_ms,
            rate_hz=rate_hz,
            samples=samples,
            seed=seed,
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw pulses [samples, places], and the states that they leave as classes [samples, places]."""
        symbols = np.full((count, self.places), SILENCE)
        target = np.full((count, self.places), UNLABELLED)
        state = np.zeros(count, dtype=np.int64)
        for position in range(self.places):
            begins = position < self.bits
            bit = np.full(count, position) if begins else whole(random, self.bits, count)
            value = whole(random, 2, count)
            pulse = np.ones(count, dtype=bool) if begins else random.random(count) < self.chance
            state = np.where(pulse, (state & ~(1 << bit)) | (value << bit), state)
            symbols[pulse, position] = (2 * bit + value)[pulse]
            if not begins:
                target[~pulse, position] = state[~pulse]
        return symbols, target
