"""A logarithmic axis of errors for scores: equal ratios of errors have equal lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACCURACY_TICKS = (*(0, 20, 40, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98), *(98.5, 99, 99.5, 99.8, 99.9, 99.95, 99.99))
ACCURACY_STEPS = (1, 0.5, 0.2, 0.1, 0.05)  # [%] between ticks if scores are close together
LOSS_TICKS = (*((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)), tuple(1 + step / 10 for step in range(90)))
"""Ticks of a decade, from few to many."""
MIN_TICKS = 4
CHARACTER = 0.028  # width of a label's character relative to a horizontal axis
MARGIN, LEAST_MARGIN = 0.05, 0.1  # beyond the outermost score, relative to the spread and [decades]
BEYOND = 0.4  # most by which intervals widen the axis, relative to the spread of scores
NO_ERROR = 1e-12  # error for a perfect score, which has no logarithm


@dataclass(frozen=True)
class ErrorAxis:
    r"""Describes a logarithmic axis of errors, labelled with scores.

    .. math:: p = -\log_{10}(1 - a / 100) \text{ of an accuracy } a \text{ in %}, \quad p = \log_{10} l
        \text{ of a loss } l

    >>> axis = ErrorAxis()
    >>> [round(float(axis.place(percent)), 6) for percent in (0.0, 90.0, 99.0)], float(axis.clip(100.0))
    ([0.0, 1.0, 2.0], 99.95)
    """

    is_loss: bool = False  # whether scores are losses, where less is better, rather than accuracies in %
    least: float = 0.05  # smallest error that differs from none, in the unit of the scores

    @property
    def scale_note(self) -> str:
        return "(scale: log)" if self.is_loss else "(scale: log of the error)"

    def clip(self, scores: Any) -> Any:
        """Clip scores (a number or an array) so that errors are at least `least`, and accuracies at least 0."""
        if self.is_loss:
            return np.maximum(scores, self.least)
        return np.clip(scores, 0.0, 100 - self.least)

    def place(self, scores: Any) -> Any:
        """Convert scores to positions on the axis [decades of the error]."""
        if self.is_loss:
            return np.log10(np.maximum(scores, NO_ERROR))
        return 0.0 - np.log10(np.maximum(1 - np.asarray(scores) / 100, NO_ERROR))

    def score(self, positions: Any) -> Any:
        """Convert positions on the axis to scores; the inverse of `place`."""
        decades = np.power(10.0, positions)
        return decades if self.is_loss else 100 * (1 - 1 / decades)

    def limits(self, scores: Iterable[float], intervals: Iterable[float] = ()) -> tuple[float, float]:
        """Compute the least and the largest score on the axis.

        `scores`: scores that must be inside; `intervals`: ends of intervals, which are inside unless they are far
        beyond the spread of the scores.
        """
        positions = [float(self.place(self.clip(score))) for score in scores] or [0.0, 1.0]
        ends = [float(self.place(self.clip(end))) for end in intervals]
        low, high = min(positions), max(positions)
        widening = BEYOND * (high - low) or math.inf  # equal scores have no spread that could limit it
        low, high = max(min([low, *ends]), low - widening), min(max([high, *ends]), high + widening)
        margin = MARGIN * (high - low) or LEAST_MARGIN
        return float(self.score(low - margin)), float(self.score(high + margin))

    def ticks(self, low: float, high: float, *, gap: float, character: float = 0.0) -> dict[float, str]:
        """Choose ticks of an axis whose labels do not touch; return a dictionary from scores to labels.

        `low`: left or lower end, as a score. `high`: the other end, as a score. `gap`: least distance of two ticks, as
        a fraction of the axis. `character`: width of a label's character, as a fraction of the axis; 0 for a vertical
        axis.
        """
        best: dict[float, str] = {}
        for candidates in self._candidates(low, high):
            ticks = self._spaced(candidates, low, high, gap, character)
            if len(ticks) > len(best):
                best = ticks
            if len(best) >= MIN_TICKS:
                break
        return best

    def frame(self, axes: Axes, side: Literal["x", "y"], ends: tuple[float, float], *, gap: float) -> None:
        """Apply this scale, limits and ticks to an axis of a panel."""
        ticks = self.ticks(*ends, gap=gap, character=CHARACTER if side == "x" else 0.0)
        getattr(axes, f"set_{side}scale")("function", functions=(self.place, self.score))
        getattr(axes, f"set_{side}lim")(*ends)
        getattr(axes, f"set_{side}ticks")(list(ticks), list(ticks.values()))
        axes.minorticks_off()

    def _candidates(self, low: float, high: float) -> Iterator[Sequence[float]]:
        """Yield candidate lists of ticks (scores), each denser than the one before."""
        if not self.is_loss:
            yield ACCURACY_TICKS
            for step in ACCURACY_STEPS:
                yield [step * count for count in range(int(100 / step))]
            return
        decades = range(math.floor(self.place(low)), math.ceil(self.place(high)))
        for parts in LOSS_TICKS:
            yield [part * 10.0**decade for decade in decades for part in parts]

    def _spaced(
        self, candidates: Sequence[float], low: float, high: float, gap: float, character: float
    ) -> dict[float, str]:
        """Select, from low to high, each tick that is far enough from the last selected one; map it to its label."""
        first, last = float(self.place(low)), float(self.place(high))
        labels: dict[float, str] = {}
        previous = -math.inf
        for tick, position in zip(candidates, self.place(np.asarray(candidates, float)).tolist(), strict=True):
            label = f"{tick:.3g}" if self.is_loss else f"{tick:g}"
            least_distance = max(gap, character * len(label)) * (last - first)
            if first <= position <= last and position - previous > least_distance:
                labels[tick], previous = label, position
        return labels
