"""What methods are compared by: accuracy, or the test loss where a task has no classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sgbench.records.content import Scores
from sgbench.statistics.intervals import Summary
from sgbench.statistics.pairs import Floats


@dataclass(frozen=True)
class Measure:
    """Names a score, and holds what guessing gives: a failed seed counts as that.

    >>> accuracy, loss = Measure("accuracy", 0.1), Measure("loss", 0.06)
    >>> accuracy.text(0.9342), loss.text(0.0311234), loss.signed({0: 0.03})
    ('93.42', '0.03112', {0: -0.03})
    """

    kind: Literal["accuracy", "loss"]
    guess: float

    @property
    def is_loss(self) -> bool:
        """Say whether the measure is a loss, of which less is better."""
        return self.kind == "loss"

    @property
    def title(self) -> str:
        """Return the title of the measure's column."""
        return "test loss" if self.is_loss else "test accuracy, %"

    @property
    def unit(self) -> str:
        """Return the unit of a difference of two scores."""
        return "in loss" if self.is_loss else "points"

    def of(self, scores: Scores | None) -> float:
        """Return the score of a split, where a run that failed counts as guessing; NaN where that is unknown."""
        value = None if scores is None else scores.loss if self.is_loss else scores.accuracy
        return self.guess if value is None else value

    def text(self, value: float) -> str:
        """Format one score, or a difference of two."""
        return f"{value:.4g}" if self.is_loss else f"{100 * value:.2f}"

    def summary(self, summary: Summary) -> str:
        """Format a mean with its half-width."""
        half = "" if summary.half_width is None else f" ± {self.text(summary.half_width)}"
        return f"{self.text(summary.mean)}{half}"

    def signed(self, scores: Mapping[int, float]) -> dict[int, float]:
        """Return the scores with the sign by which larger is better."""
        return {seed: -value for seed, value in scores.items()} if self.is_loss else dict(scores)

    def better(self, value: float) -> float:
        """Return one score with the sign by which larger is better."""
        return -value if self.is_loss else value

    def normalised(self, values: Floats) -> Floats:
        """Normalise scores to 0 for guessing and 1 for perfection, so that unlike tasks can be combined.

        >>> import numpy as np
        >>> Measure("accuracy", 0.1).normalised(np.array([0.1, 0.55, 1.0]))
        array([0. , 0.5, 1. ])
        >>> Measure("loss", 0.5).normalised(np.array([0.5, 0.25, 0.0]))
        array([0. , 0.5, 1. ])
        """
        perfect = 0.0 if self.is_loss else 1.0
        return (values - self.guess) / (perfect - self.guess) + 0.0  # no negative 0


def measure_of(classes: int | None, guess_loss: float | None, guess_accuracy: float | None = None) -> Measure:
    """Choose accuracy as the measure where there are classes, else the loss.

    Args:
        classes: of the data set, or None.
        guess_loss: test loss without learning, where there are none.
        guess_accuracy: test accuracy without learning, where the classes are not equally frequent.

    >>> measure_of(2, None).guess, measure_of(2, None, 0.54).guess
    (0.5, 0.54)
    """
    if classes is not None:
        return Measure("accuracy", 1 / classes if guess_accuracy is None else guess_accuracy)
    return Measure("loss", math.nan if guess_loss is None else guess_loss)
