"""Draw a candidate surrogate and the known ones: each at its own best, and over widths, one row for each task."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from sgbench.plots.estimate import Estimate
from sgbench.plots.style import BLUE, GRID, SOFT, VERMILION

ROW = (11.0, 3.1)  # inches


@dataclass(frozen=True)
class JudgedRow:
    """Describes one task.

    Args:
        title: of the task.
        scores: name and test accuracy [%] of the candidate, then of each known surrogate.
        widths: pairs of width [thresholds] and validation accuracy [%] of the candidate; may be empty.
        known_widths: such pairs of the best known surrogate.
        known: name of the best known surrogate.
    """

    title: str
    scores: tuple[tuple[str, Estimate], ...]
    widths: tuple[tuple[float, float], ...]
    known_widths: tuple[tuple[float, float], ...]
    known: str


def judged_figure(rows: Sequence[JudgedRow]) -> Figure:
    """Draw two panels for each task: accuracies with their intervals, and accuracy over width."""
    figure = Figure(figsize=(ROW[0], ROW[1] * len(rows)), layout="constrained")
    for row, (left, right) in zip(rows, figure.subplots(len(rows), 2, squeeze=False), strict=True):
        from_below = row.scores[::-1]
        for height, (_, score) in enumerate(from_below):
            colour = VERMILION if height == len(from_below) - 1 else BLUE
            left.plot([score.low, score.high], [height, height], color=colour, linewidth=2)
            left.plot([score.value], [height], "o", color=colour)
        left.set_yticks(range(len(from_below)), [name for name, _ in from_below])
        left.set_title(row.title, loc="left")
        left.set_xlabel("test accuracy, %")
        left.grid(axis="x", color=GRID)
        lines = ((row.known_widths, BLUE, row.known), (row.widths, VERMILION, "candidate"))
        for points, colour, name in lines:
            if points:
                right.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
        if row.widths or row.known_widths:
            right.set_xscale("log")
            right.legend(frameon=False)
        right.set_xlabel("width at half maximum, thresholds")
        right.set_ylabel("validation accuracy, %", color=SOFT)
        right.grid(color=GRID)
    return figure
