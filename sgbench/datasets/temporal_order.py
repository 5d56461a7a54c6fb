"""The temporal-order task: in which order came two symbols, among others without meaning?"""

import numpy as np

from sgbench.datasets.generated import Numbers, SymbolTask, permutation, whole
from sgbench.errors import InputError, require_count

TELLING = 2  # symbols X (0) and Y (1), which decide the class; all others are distractors


class TemporalOrder(SymbolTask, entry="temporal_order"):
    """Generates symbols of which two decide the class, an X or Y each, one early and one in the middle.

    The four classes XX, XY, YX and YY are equally frequent. All other symbols are random distractors.

    Args:
        places: symbols in a sample.
        early: first and last index, from 0 on, at which the first deciding symbol may be.
        middle: first and last index at which the second deciding symbol may be.
        distractors: number of different symbols without meaning.
        channels: input channels that stand for one symbol.

    Raises:
        InputError: the indices are not in this order, or another value is out of range.

    Source: Hochreiter & Schmidhuber 1997, Neural Computation 9(8), section 5.6: task 6a, of 100 symbols and more.

    >>> task = TemporalOrder(places=3, early=[0, 0], middle=[1, 1], distractors=1, channels=1, symbol_ms=1,
    ...     rate_hz=1000.0, samples=[4, 4, 4], seed=0)
    >>> symbols, target = task.sequences(np.random.default_rng(0), 4)
    >>> sorted(zip(symbols[:, :2].tolist(), target.tolist()))
    [([0, 0], 0), ([0, 1], 1), ([1, 0], 2), ([1, 1], 3)]
    """

    def __init__(  # noqa: PLR0913 - the task has so many numbers
        self,
        *,
        places: int,
        early: list[int],
        middle: list[int],
        distractors: int,
        channels: int,
        symbol_ms: int,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.places = require_count("dataset.places", places, low=TELLING)
        self.early, self.middle = _span("dataset.early", early), _span("dataset.middle", middle)
        if not self.early[1] < self.middle[0] or not self.middle[1] < places:
            raise InputError(
                f"dataset.middle={list(middle)}: it comes after early={list(early)} and before place {places}"
            )
        self.distractors = require_count("dataset.distractors", distractors)
        super().__init__(
            symbols=TELLING + distractors,
            channels=channels,
            symbol_ms=symbol_ms,
            rate_hz=rate_hz,
            samples=samples,
            seed=seed,
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw symbols [samples, places] and classes [samples]: 0 XX, 1 XY, 2 YX, 3 YY."""
        target = permutation(random, count) % TELLING**2
        symbols = TELLING + whole(random, self.distractors, count * self.places).reshape(count, self.places)
        for (low, high), symbol in ((self.early, target // TELLING), (self.middle, target % TELLING)):
            symbols[np.arange(count), low + whole(random, high - low + 1, count)] = symbol
        return symbols, target


def _span(name: str, value: object) -> tuple[int, int]:
    """Read a first and a last index from a list; `name` is the parameter's in the error."""
    if isinstance(value, str) or not isinstance(value, list | tuple) or len(value) != TELLING:
        raise InputError(f"{name}={value!r}: a first and a last place are needed, e.g. [2, 4]")
    first = require_count(name, value[0], low=0)
    return first, require_count(name, value[1], low=first)
