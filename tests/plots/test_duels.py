"""The forest of the front page: values by hand, a row a board, colours by whether two are told apart."""

from __future__ import annotations

from sgbench.plots.duels import COLOURS, ForestColumn, ForestMark, duels_figure
from sgbench.plots.estimate import Estimate


def test_differences_stand_on_the_rows_of_their_boards() -> None:
    """By hand: board b is the second row of both panels, and 0 stays within an axis of differences above 0."""
    first = ForestColumn(
        "first",
        (
            ForestMark("a", Estimate(2, -1, 5), is_decided=False),
            ForestMark("b", Estimate(4, 3, 5), is_decided=True),
        ),
    )
    second = ForestColumn("second", (ForestMark("b", Estimate(60, 50, 70), is_decided=True),))
    figure = duels_figure([first, second])
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a", "b"]
    drawn = [(list(line.get_xdata()), list(line.get_ydata()), line.get_color()) for line in left.lines]
    assert ([-1, 5], [0, 0], COLOURS[False]) in drawn
    assert ([4], [1], COLOURS[True]) in drawn
    assert ([60], [1], COLOURS[True]) in [
        (list(line.get_xdata()), list(line.get_ydata()), line.get_color()) for line in right.lines
    ]
    low, high = right.get_xlim()
    assert low < 0
    assert high > 70
