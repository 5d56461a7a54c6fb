"""The flip-flop task: pulses set bits, and the state of all bits is asked for in every step."""

import numpy as np

from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.generated import SILENCE, Numbers, SymbolTask, whole
from sgbench.errors import require_count, require_number


class FlipFlop(SymbolTask, entry="flip_flop"):
    """Generates pulses that set one of a few bits; the class of a step is the state of all bits.

    The first `bits` symbols set every bit once, in order. Each later symbol is, with `pulse_chance`, a pulse that
    sets a random bit to a random value, else silence. Steps of a pulse and those before all bits are set have no
    class.

    Args:
        bits: number n of bits; symbol 2 k + v sets bit k to v (0 or 1), and there are 2^n classes.
        places: symbols in a sample, silent ones included; more than `bits`.
        pulse_chance: probability that a symbol after the first `bits` is a pulse.
        channels: input channels that stand for one symbol.
        rate_hz: firing rate of a channel during its pulse [Hz].

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
            symbols=2 * bits, channels=channels, symbol_ms=symbol_ms, rate_hz=rate_hz, samples=samples, seed=seed
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw symbols (pulses or `SILENCE`) and the states that they leave as classes, both [samples, places]."""
        symbols = np.full((count, self.places), SILENCE)
        target = np.full((count, self.places), UNLABELLED)
        state = np.zeros(count, dtype=np.int64)
        for position in range(self.places):
            is_setting = position < self.bits
            bit = np.full(count, position) if is_setting else whole(random, self.bits, count)
            value = whole(random, 2, count)
            pulse = np.ones(count, dtype=bool) if is_setting else random.random(count) < self.chance
            state = np.where(pulse, (state & ~(1 << bit)) | (value << bit), state)
            symbols[pulse, position] = (2 * bit + value)[pulse]
            if not is_setting:
                target[~pulse, position] = state[~pulse]
        return symbols, target
