"""Build the forest plot of the front page: differences of two methods, one row for each board."""

from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series, value_text
from sgbench.plots.estimate import Estimate

LEAST_REACH = 5.0  # least extent of the axis to both sides of 0 [points]
WORDS = {True: "significantly different", False: "not significantly different"}
TONES = {True: "bad", False: ""}


@dataclass(frozen=True)
class ForestMark:
    """Holds the difference of two methods on one board [percent of the distance from chance to a perfect score]."""

    board: str
    difference: Estimate
    is_decided: bool  # whether the difference is significant
    words: str = ""  # names of the compared methods
    link: str | None = None


@dataclass(frozen=True)
class ForestColumn:
    """Holds one panel with a comparison on each board."""

    title: str
    rows: tuple[ForestMark, ...]


def duels_charts(columns: Sequence[ForestColumn], caption: str) -> Charts:
    boards = list(dict.fromkeys(row.board for column in columns for row in column.rows))
    return Charts(caption, tuple(_panel(column, boards) for column in columns))


def _panel(column: ForestColumn, boards: Sequence[str]) -> Chart:
    """Chart one comparison on each board as a forest plot: a difference with its interval in each row."""
    points: dict[bool, list[ChartPoint]] = {True: [], False: []}  # by whether they are significant
    for row in column.rows:
        value, low, high = row.difference
        tooltip = f"{row.board}: {row.words} {value_text(value, (low, high))} points".replace("  ", " ")
        point = ChartPoint(value, boards.index(row.board), tooltip, row.link, x_ends=(low, high))
        points[row.is_decided].append(point)
    ends = [abs(end) for row in column.rows for end in row.difference]
    reach = max(LEAST_REACH, 1.05 * max(ends, default=0))
    low = -reach if any(row.difference.low < 0 for row in column.rows) else -0.05 * reach
    x_axis = ChartAxis("difference, % of the range from guessing to perfect", ends=(low, reach))
    series = tuple(Series(WORDS[is_decided], tuple(points[is_decided]), tone=TONES[is_decided]) for is_decided in WORDS)
    return Chart(column.title, x_axis, ChartAxis(names=tuple(boards)), series, x_lines=(0.0,))
