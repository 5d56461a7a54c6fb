"""The score that a board compares: accuracy, or the test loss of a task without classes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

from sgbench.composition import catalogue
from sgbench.composition.data_facts import classes_of
from sgbench.errors import InputError
from sgbench.plots.chart import Estimate
from sgbench.records.consistency import even_guess, is_at_chance
from sgbench.records.content import Scores
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.statistics.intervals import Summary, summarise
from sgbench.statistics.pairs import Comparison, Floats
from sgbench.tables import NONE


@dataclass(frozen=True)
class Measure:
    """Holds which score a board compares, accuracy or loss, and the score of guessing, which failed seeds get.

    >>> accuracy, loss = Measure("accuracy", 0.1), Measure("loss", 0.06)
    >>> accuracy.text(0.9342), loss.text(0.0311234), loss.signed({0: 0.03})
    ('93.42', '0.03112', {0: -0.03})
    """

    kind: Literal["accuracy", "loss"]
    guess: float

    @property
    def is_loss(self) -> bool:
        return self.kind == "loss"

    @property
    def title(self) -> str:
        return "test loss" if self.is_loss else "test accuracy, %"

    @property
    def unit(self) -> str:
        """Return the unit of a difference of two scores, as a table's head names it."""
        return "in loss" if self.is_loss else "points"

    def of(self, scores: Scores | None) -> float:
        """Return the score on a split; for a failed run (None) that of guessing, which is NaN if unknown."""
        value = None if scores is None else scores.loss if self.is_loss else scores.accuracy
        return self.guess if value is None else value

    def is_at_chance(self, scores: Scores | None) -> bool:
        """Return whether a finished run scores no better than guessing; false for a failed run (None)."""
        return is_at_chance(scores, self.guess, is_loss=self.is_loss)

    def summarise(self, values: Sequence[float]) -> Summary:
        """Compute the mean of scores over seeds, with an interval within the range of scores."""
        return summarise(values, scale="positive" if self.is_loss else "share")

    def text(self, value: float) -> str:
        """Format one score, or a difference of two."""
        return f"{value:.4g}" if self.is_loss else f"{100 * value:.2f}"

    def summary(self, summary: Summary | None) -> str:
        """Format a mean, with its interval if it has one.

        >>> measure = Measure("accuracy", 0.1)
        >>> measure.summary(measure.summarise([0.9, 1.0])), measure.summary(measure.summarise([0.9]))
        ('95.00 (0.00 to 100.00)', '90.00')
        """
        if summary is None:
            return NONE
        return self._with_ends(summary.mean, summary.ends)

    def difference(self, comparison: Comparison) -> str:
        """Format the difference of two methods, with its interval if it has one."""
        return self._with_ends(comparison.difference, self.ends(comparison))

    def ends(self, comparison: Comparison) -> tuple[float, float] | None:
        """Return the interval of a difference, that of accuracies clipped to -1 and 1; None if it has none."""
        if comparison.low is None or comparison.high is None:
            return None
        most = math.inf if self.is_loss else 1.0
        return max(comparison.low, -most), min(comparison.high, most)

    def estimate(self, summary: Summary) -> Estimate:
        """Convert a mean and its interval to the unit of pictures: accuracies in percent, losses as they are."""
        unit, (low, high) = 1.0 if self.is_loss else 100.0, summary.ends or (summary.mean, summary.mean)
        return Estimate(unit * summary.mean, unit * low, unit * high)

    def _with_ends(self, value: float, ends: tuple[float, float] | None) -> str:
        interval = "" if ends is None else f" ({self.text(ends[0])} to {self.text(ends[1])})"
        return f"{self.text(value)}{interval}"

    def signed(self, scores: Mapping[int, float]) -> dict[int, float]:
        """Return the scores, with the sign of losses changed so that larger is better."""
        return {seed: -value for seed, value in scores.items()} if self.is_loss else dict(scores)

    def better(self, value: float) -> float:
        """Return one score, with the sign of a loss changed so that larger is better."""
        return -value if self.is_loss else value

    def normalised(self, values: Floats) -> Floats:
        """Normalise scores to 0 for guessing and 1 for a perfect score, so that tasks can be combined.

        >>> import numpy as np
        >>> Measure("accuracy", 0.1).normalised(np.array([0.1, 0.55, 1.0]))
        array([0. , 0.5, 1. ])
        >>> Measure("loss", 0.5).normalised(np.array([0.5, 0.25, 0.0]))
        array([0. , 0.5, 1. ])
        """
        perfect = 0.0 if self.is_loss else 1.0
        return (values - self.guess) / (perfect - self.guess) + 0.0  # no negative 0


def measure_of(classes: int | None, guess_loss: float | None, guess_accuracy: float | None = None) -> Measure:
    """Return accuracy as the measure of a task with classes, else the loss.

    >>> measure_of(2, None).guess, measure_of(2, None, 0.54).guess
    (0.5, 0.54)
    """
    guess = even_guess(classes)
    if guess is not None:
        return Measure("accuracy", guess if guess_accuracy is None else guess_accuracy)
    return Measure("loss", math.nan if guess_loss is None else guess_loss)


def measures(config_dirs: Sequence[Path] = ()) -> Callable[[Method], Measure]:
    """Return a function from a method to the measure of its task; each task is looked up once."""
    look_up = cache(partial(measure_of_task, config_dirs=config_dirs))
    return lambda method: look_up(method.protocol.name, method.choices["dataset"])


def guesses(config_dirs: Sequence[Path] = ()) -> Callable[[RunRecord], bool]:
    """Return a function that says of a record whether its run is no better than guessing on validation samples.

    A data set of the user's own that does not state its classes is judged by those that the run itself met.
    """
    measure_of = measures(config_dirs)

    def is_guess(record: RunRecord) -> bool:
        try:
            return measure_of(record.method).is_at_chance(record.validation)
        except InputError:  # the run is over: what a board needs to know is no reason to fail it
            return bool(record.at_chance)

    return is_guess


def measure_of_task(protocol: str, dataset: str, config_dirs: Sequence[Path] = ()) -> Measure:
    """Look up the measure of a protocol on a data set, with the score of guessing.

    `protocol`: name of the protocol; one that the catalogue lacks has no score of guessing of its own. `dataset`: name
    of the data set. `config_dirs`: folders with the user's own entries.
    """
    classes = classes_of(catalogue.entry("dataset", dataset, config_dirs))
    try:
        meta = catalogue.entry("protocol", protocol, config_dirs).meta
    except InputError:
        meta = {}
    return measure_of(classes, meta.get("guess_loss"), meta.get("guess_accuracy"))
