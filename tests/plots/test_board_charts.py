"""Charts of boards: what each point says and where it stands, from numbers chosen by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sgbench.plots.board_charts import (
    MeanRanks,
    PerformanceProfile,
    ScoredRow,
    TuningCurve,
    across_charts,
    score_charts,
    tuning_charts,
)
from sgbench.plots.chart import Estimate
from sgbench.plots.layout import laid_out

BEST = ScoredRow("best", "m/best.html", Estimate(98.0, 97.0, 99.0), (97.5, 98.5))
WORST = ScoredRow("worst", "m/worst.html", Estimate(60.0, 40.0, 75.0), (70.0,), (10.0,))


def test_scores_stand_as_the_table_has_them() -> None:
    """By hand: accuracies, more to the right, on an axis of errors; a failed seed is apart; guessing is among them.

    The means come last, so that no seed is drawn over them.
    """
    (chart,) = score_charts([BEST, WORST], is_loss=False, guess=50.0, caption="c").panels
    seeds, failed, means = chart.series
    assert [(point.x, point.x_ends, point.link) for point in means.points] == [
        (98.0, (97.0, 99.0), "m/best.html"),
        (60.0, (40.0, 75.0), "m/worst.html"),
    ]
    assert means.points[0].told == "best: 98 % (97 to 99)"
    assert [point.x for point in seeds.points] == [97.5, 98.5, 70.0]
    assert [point.x for point in failed.points] == [10.0]
    assert (chart.x.label, chart.x.is_error, chart.x_lines) == ("test accuracy, %", True, (50.0,))
    assert chart.y.names == ("best", "worst")


def test_losses_stand_as_they_are_and_a_perfect_score_has_no_interval() -> None:
    """By hand: a loss of 0.5 is 0.5; guessing beyond the others is no line, and no caption speaks of one."""
    loss = ScoredRow("a", "l", Estimate(0.5, 0.25, 1.0), (0.5,))
    charts = score_charts([loss], is_loss=True, guess=9.0, caption="c")
    (chart,) = charts.panels
    assert charts.caption == "c"
    assert chart.series[2].points[0].x_ends == (0.25, 1.0)
    assert (chart.x.label, chart.x.is_log, chart.x_lines) == ("test loss, less is better", False, ())
    perfect = ScoredRow("p", "l", Estimate(100.0, 100.0, 100.0), (100.0,))
    (chart,) = score_charts([perfect, WORST], is_loss=False, guess=1.0, caption="c").panels
    assert chart.series[2].points[0].x_ends is None


def test_tuning_curves_begin_at_one_setting_and_four_have_bands() -> None:
    """By hand: the first point is at 1; of five curves the fifth has no band; eleven settings have no marks."""
    curve = TuningCurve("a", (50.0, 60.0), (40.0, 55.0), (60.0, 65.0))
    long = TuningCurve("long", (1.0,) * 11, (1.0,) * 11, (1.0,) * 11)
    (chart,) = tuning_charts([curve, long, curve, curve, curve], axis="score", caption="c").panels
    first, second, *_, last = chart.series
    assert [(point.x, point.y, point.y_ends) for point in first.points] == [
        (1, 50.0, (40.0, 60.0)),
        (2, 60.0, (55.0, 65.0)),
    ]
    assert (first.is_marked, second.is_marked) == (True, False)
    assert last.points[0].y_ends is None


def test_profiles_fall_in_steps_and_whiskers_of_mean_ranks_meet_where_not_told_apart() -> None:
    """By hand: the share above 0.5 holds up to the next score; with a difference of 1, ranks 1 and 1.9 meet."""
    profile = PerformanceProfile("a", np.array([0.0, 0.5, 1.0]), np.array([100.0, 50.0, 0.0]))
    ranks = MeanRanks({"c": 2.5, "a": 1.0, "b": 1.9}, 1.0, 3)
    above, below = across_charts([profile], ranks, caption="c").panels
    corners = [(point.x, point.y) for point in above.series[0].points]
    assert corners == [(0, 100), (0.5, 100), (0.5, 50), (1, 50), (1, 0)]
    a, b, c = below.series[0].points
    assert below.y.names == ("a", "b", "c")
    assert a.x_ends == (0.5, 1.5)
    assert a.x_ends[1] > b.x_ends[0]
    assert a.x_ends[1] < c.x_ends[0]
    assert len(across_charts([profile], None, caption="c").panels) == 1


@pytest.mark.parametrize("count", [1, 99, 5000])
def test_a_long_profile_is_thinned_and_keeps_its_ends(count: int) -> None:
    """Expected: at most a hundred scores, the first and the last among them, each share at its own score."""
    scores = np.linspace(0.0, 1.0, count + 1)
    points = across_charts([PerformanceProfile("a", scores, 100 * (1 - scores))], None, caption="c").panels[0]
    line = points.series[0].points
    assert len({point.x for point in line}) <= 100
    assert (line[0].x, line[0].y, line[-1].x, line[-1].y) == (0, 100, 1, 0)
    assert all(point.y == pytest.approx(100 * (1 - point.x)) for point in line[::2])


def test_sixty_rows_are_drawn() -> None:
    """Must differ: of 61 rows the last is not there; what is drawn has a row each."""
    rows = [ScoredRow(f"m{n}", "l", Estimate(n, n, n), (float(n),)) for n in range(1, 62)]
    drawing = laid_out(score_charts(rows, is_loss=True, guess=0, caption="c"))
    assert drawing is not None
    assert len(drawing.panels[0].y_ticks) == 60
