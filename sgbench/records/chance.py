"""Whether a run has learnt anything: what guessing scores now and then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgbench.records.content import Scores

STANDARD_ERRORS = 2.0
"""How far above guessing an accuracy has to lie; guessing is beyond it once in forty times."""


def even_guess(classes: int | None) -> float | None:
    """Return the accuracy of guessing among classes of equal frequency, or None where there are no classes.

    >>> even_guess(4), even_guess(None)
    (0.25, None)
    """
    return 1 / classes if classes else None


def reach_of_guessing(guess: float, samples: int) -> float:
    r"""Return the accuracy that guessing hardly exceeds.

    .. math::
        p + 2 \sqrt{p (1 - p) / n}

    Args:
        guess: p, the share of answers that guessing gets right.
        samples: n, at least 1.

    >>> reach_of_guessing(1 / 2, 100), round(reach_of_guessing(1 / 10, 359), 4)
    (0.6, 0.1317)
    """
    return guess + STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / samples)


def is_at_chance(scores: Scores | None, guess: float, *, is_loss: bool = False) -> bool:
    """Return whether scores are no better than guessing; a run that failed has none and never counts as such.

    Args:
        scores: of the selected weights, None of a failed run.
        guess: the accuracy of guessing, or the loss without learning; NaN where nobody knows it.
        is_loss: whether it is a loss, of which less is better.
    """
    if scores is None or math.isnan(guess):
        return False
    if is_loss:
        return scores.loss >= guess
    if scores.accuracy is None:
        return False
    return scores.accuracy <= reach_of_guessing(guess, scores.labels or scores.samples)
