"""Whether a run has learnt anything: the accuracy that guessing reaches now and then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgbench.records.content import Scores

STANDARD_ERRORS = 2.0
"""How far above guessing an accuracy has to lie; guessing is beyond it once in forty times."""


def reach_of_guessing(classes: int, samples: int) -> float:
    r"""Return the accuracy that guessing one of equally likely classes hardly exceeds.

    .. math::
        p + 2 \sqrt{p (1 - p) / n}, \qquad p = 1 / \text{classes}

    Args:
        classes: at least 2.
        samples: n, at least 1.

    >>> reach_of_guessing(2, 100), round(reach_of_guessing(10, 359), 4)
    (0.6, 0.1317)
    """
    guess = 1 / classes
    return guess + STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / samples)


def is_at_chance(scores: Scores | None, classes: int | None) -> bool:
    """Say whether scores are no better than guessing; where there are no classes they never count as such.

    Args:
        scores: of the selected weights, None of a failed run.
        classes: of the task.
    """
    if scores is None or scores.accuracy is None or classes is None:
        return False
    return scores.accuracy <= reach_of_guessing(classes, scores.labels or scores.samples)
