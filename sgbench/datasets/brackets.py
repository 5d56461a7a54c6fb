"""The bracket task: which kind of bracket may be closed next?"""

import numpy as np

from sgbench.datasets.generated import Numbers, SymbolTask
from sgbench.errors import require_count


class Brackets(SymbolTask, entry="brackets"):
    """Generates beginnings of well-nested sequences of brackets; the class is the kind that may be closed next.

    That is the innermost bracket open at the end, so the open brackets have to be remembered in order (a stack).
    If the next symbol may open or close a bracket, both have probability 1/2. A sequence that ends with no open
    bracket has no class and is drawn again.

    Args:
        kinds: number k of kinds of brackets; kind i is opened by symbol i and closed by symbol k + i.
        depth: largest number of brackets open at a time.
        places: symbols in a sample.
        channels: input channels that stand for one symbol.

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
            symbols=2 * kinds, channels=channels, symbol_ms=symbol_ms, rate_hz=rate_hz, samples=samples, seed=seed
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw sequences with an open bracket at the end [samples, places], and its kind as class [samples]."""
        words: list[list[int]] = []
        classes: list[int] = []
        while len(words) < count:
            word, still_open = self._word(random.random((2, self.places)))
            if still_open:
                words.append(word)
                classes.append(still_open[-1])
        return np.array(words), np.array(classes)

    def _word(self, chances: np.ndarray) -> tuple[list[int], list[int]]:
        """Make one sequence of uniform numbers in [0, 1) [2, places]; return its symbols and its open brackets.

        In each step, the first number decides whether to close or open, the second which kind to open.
        """
        word: list[int] = []
        still_open: list[int] = []
        for close_draw, kind_draw in chances.T:
            if still_open and (len(still_open) == self.depth or close_draw < 1 / 2):
                word.append(self.kinds + still_open.pop())
            else:
                still_open.append(int(kind_draw * self.kinds))
                word.append(still_open[-1])
        return word, still_open
