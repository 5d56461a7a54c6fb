"""Whether a run's scores are better than guessing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgbench.records.content import Scores

STANDARD_ERRORS = 2.0
"""Number of standard errors by which an accuracy must exceed guessing; guessing does so once in forty times."""


def even_guess(classes: int | None) -> float | None:
    """Return the accuracy of guessing among so many equally frequent classes; None for None (no classes).

    >>> even_guess(4), even_guess(None)
    (0.25, None)
    """
    return 1 / classes if classes else None


def reach_of_guessing(guess: float, samples: int) -> float:
    r"""Compute the accuracy that guessing exceeds only once in forty times.

    .. math::
        p + 2 \sqrt{p (1 - p) / n}

    >>> reach_of_guessing(1 / 2, 100), round(reach_of_guessing(1 / 10, 359), 4)
    (0.6, 0.1317)
    """
    return guess + STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / samples)


def is_at_chance(scores: Scores | None, guess: float, *, is_loss: bool = False) -> bool:
    """Return whether scores are no better than guessing; False if the scores or the guess are unknown."""
    if scores is None or math.isnan(guess):
        return False
    if is_loss:
        return scores.loss >= guess
    if scores.accuracy is None:
        return False
    return scores.accuracy <= reach_of_guessing(guess, scores.labels or scores.samples)
