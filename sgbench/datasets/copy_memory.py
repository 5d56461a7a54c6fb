"""The copy-memory task: repeat a few symbols after a silence."""

import numpy as np

from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.generated import SILENCE, Numbers, SymbolTask, whole
from sgbench.errors import require_count


class CopyMemory(SymbolTask, entry="copy_memory"):
    """Generates a few symbols, a silence, and a cue during which the symbols are to be repeated in order.

    Each step of the cue has the class of the symbol to be repeated in it; no other step has a class.

    Args:
        letters: number of different symbols to copy; the cue is one more.
        items: number of symbols to copy in each sample.
        silence: duration of the silence before the cue, in symbols.
        channels: input channels that stand for one symbol.

    Source: Arjovsky, Shah & Bengio 2016, ICML (arXiv:1511.06464), section 5.1 (ten symbols of eight kinds); here
    the cue lasts as long as the answer.

    >>> task = CopyMemory(letters=2, items=1, silence=1, channels=1, symbol_ms=2, rate_hz=1000.0, samples=[1, 1, 1],
    ...     seed=0)
    >>> symbols, classes = task.sequences(np.random.default_rng(1), 1)
    >>> symbols.tolist(), classes.tolist()
    ([[1, -1, 2]], [[-1, -1, 1]])
    """

    def __init__(
        self,
        *,
        letters: int,
        items: int,
        silence: int,
        channels: int,
        symbol_ms: int,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.letters = require_count("dataset.letters", letters, low=2)
        self.items = require_count("dataset.items", items)
        self.silence = require_count("dataset.silence", silence, low=0)
        super().__init__(
            symbols=letters + 1, channels=channels, symbol_ms=symbol_ms, rate_hz=rate_hz, samples=samples, seed=seed
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw letters, silence and cues as symbols, and classes of the cues' places, both [samples, places].

        places = items + silence + items; a place without a class is `UNLABELLED`.
        """
        letters = whole(random, self.letters, count * self.items).reshape(count, self.items)
        silence = np.full((count, self.silence), SILENCE)
        unlabelled = np.full((count, self.items + self.silence), UNLABELLED)
        cue = np.full_like(letters, self.letters)
        return np.concatenate([letters, silence, cue], 1), np.concatenate([unlabelled, letters], 1)
