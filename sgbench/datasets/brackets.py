"""Which bracket may be closed next."""

from __future__ import annotations

import numpy as np

from sgbench.datasets.generated import Numbers
from sgbench.datasets.symbols import SymbolTask
from sgbench.errors import require_count


class Brackets(SymbolTask, entry="brackets"):
    """Generates beginnings of well-nested words of brackets; the class is the kind that may be closed next.

    It is the innermost one that is open at the end, so that what is open has to be kept in order (a stack). Where
    both are allowed, the next bracket opens or closes with the same chance; a word whose brackets are all closed
    at the end asks nothing and is drawn again.

    Args:
        kinds: k different brackets; bracket i is opened by symbol i and closed by symbol k + i.
        depth: most brackets that are open at a time.
        places: symbols of a sample.
        channels: of each symbol.
        symbol_ms: duration of a symbol [ms].
        rate_hz: of a channel while its symbol lasts [Hz].
        samples: of train, validation and test.
        seed: of everything random.

    Raises:
        InputError: a parameter out of range.

    Source: Hewitt et al. 2020, EMNLP (arXiv:2010.07515): Dyck-(k, m) and its measure, which bracket closes.
    """

    def __init__(
        self,
        *,
        kinds: int,
        depth: int,
        places: int,
        channels: int,
        symbol_ms: int,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.kinds = require_count("dataset.kinds", kinds, low=2)
        self.depth = require_count("dataset.depth", depth, low=2)
        self.places = require_count("dataset.places", places)
        super().__init__(
            symbols=2 * kinds,
            channels=channels,
            symbol_ms=symbol_ms,
            rate_hz=rate_hz,
            samples=samples,
            seed=seed,
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw words with a bracket open at the end [samples, places], and its kind as class [samples]."""
        words: list[list[int]] = []
        classes: list[int] = []
        while len(words) < count:
            word, still_open = self._word(random.random((2, self.places)))
            if still_open:
                words.append(word)
                classes.append(still_open[-1])
        return np.array(words), np.array(classes)

    def _word(self, chances: np.ndarray) -> tuple[list[int], list[int]]:
        """Draw one word from numbers in [0, 1) [2, places]; return its symbols and what is open at its end."""
        word: list[int] = []
        still_open: list[int] = []
        for turn, kind in chances.T:
            if still_open and (len(still_open) == self.depth or turn < 1 / 2):
                word.append(self.kinds + still_open.pop())
            else:
                still_open.append(int(kind * self.kinds))
                word.append(still_open[-1])
        return word, still_open
