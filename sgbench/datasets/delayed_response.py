"""The delayed-response task: name the cue, or compare it with a second one, after a silence."""

import numpy as np

from sgbench.datasets.generated import SILENCE, Numbers, SymbolTask, permutation, whole
from sgbench.errors import InputError, require_count

QUESTIONS = ("cue", "match")


class DelayedResponse(SymbolTask, entry="delayed_response"):
    """Generates a cue, a silence, and a last symbol that asks for the cue or is compared with it.

    With the question `cue` the last symbol is always the same, and the class is the cue. With `match` it is a cue
    too, and the class is 1 where both are the same (half of the samples), else 0. Classes are equally frequent.

    Args:
        cues: number of different cues.
        silence: duration of the silence, in symbols.
        question: `cue` or `match`.
        channels: input channels that stand for one symbol.

    Raises:
        InputError: a parameter out of range.

    Source: delayed response: Fuster & Alexander 1971, Science 173; delayed matching to sample: Miller, Erickson &
    Desimone 1996, Journal of Neuroscience 16(16).

    >>> task = DelayedResponse(cues=2, silence=2, question="cue", channels=1, symbol_ms=1, rate_hz=1000.0,
    ...     samples=[2, 2, 2], seed=0)
    >>> symbols, target = task.sequences(np.random.default_rng(0), 2)
    >>> sorted(zip(symbols.tolist(), target.tolist()))
    [([0, -1, -1, 2], 0), ([1, -1, -1, 2], 1)]
    """

    def __init__(
        self,
        *,
        cues: int,
        silence: int,
        question: str,
        channels: int,
        symbol_ms: int,
        rate_hz: float,
        samples: list[int],
        seed: int,
    ) -> None:
        self.cues = require_count("dataset.cues", cues, low=2)
        self.silence = require_count("dataset.silence", silence, low=0)
        if question not in QUESTIONS:
            raise InputError(f"dataset.question={question!r}: one of {', '.join(QUESTIONS)} is needed")
        self.is_match = question == "match"
        self.n_classes: int = 2 if self.is_match else cues
        super().__init__(
            symbols=cues if self.is_match else cues + 1,
            channels=channels,
            symbol_ms=symbol_ms,
            rate_hz=rate_hz,
            samples=samples,
            seed=seed,
        )

    def sequences(self, random: np.random.Generator, count: int) -> tuple[Numbers, Numbers]:
        """Draw cue, silence and last symbol [samples, silence + 2], and classes [samples], equally many of each.

        The last symbol is a second cue, and the class whether both match; or a sign to answer, and the class the cue.
        """
        if self.is_match:
            target = permutation(random, count) % 2
            cue = whole(random, self.cues, count)
            other = (cue + 1 + whole(random, self.cues - 1, count)) % self.cues
            last = np.where(target == 1, cue, other)
        else:
            target = cue = permutation(random, count) % self.cues
            last = np.full(count, self.cues)
        silence = np.full((count, self.silence), SILENCE)
        return np.concatenate([cue[:, None], silence, last[:, None]], 1), target
