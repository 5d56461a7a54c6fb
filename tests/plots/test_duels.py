"""The forest of the front page: values by hand, a row a board, names by whether two are told apart."""

from __future__ import annotations

from sgbench.plots.board_charts import LOOKS, ForestColumn, ForestMark, duels_charts
from sgbench.plots.chart import Estimate


def test_differences_stand_on_the_rows_of_their_boards() -> None:
    """By hand: board b is the second row of both panels, and 0 stays within an axis of differences above 0."""
    first = ForestColumn(
        "first",
        (
            ForestMark("a", Estimate(2, -1, 5), is_decided=False),
            ForestMark("b", Estimate(4, 3, 5), is_decided=True, words="x minus y", link="protocols/b.html"),
        ),
    )
    second = ForestColumn("second", (ForestMark("b", Estimate(60, 50, 70), is_decided=True),))
    left, right = duels_charts([first, second], "c").panels
    assert left.y.names == right.y.names == ("a", "b")
    points = {series.name: series.points for series in left.series}
    (apart,), (alike,) = (points[LOOKS[decided][0]] for decided in (True, False))
    assert (alike.x, alike.y, alike.x_ends) == (2, 0, (-1, 5))
    assert (apart.x, apart.y, apart.link) == (4, 1, "protocols/b.html")
    assert apart.told == "b: x minus y 4 (3 to 5) points"
    assert [point.y for series in right.series for point in series.points] == [1]
    low, high = right.x.ends or (0, 0)
    assert low < 0
    assert high > 70
