"""Which tasks count: the registered rule by hand at its limits, and on the stored tuning runs."""

from fractions import Fraction

import pytest

from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import Store
from study.passing_steps.analysis.cells import GRID
from study.passing_steps.analysis.counting import BLOCK, chosen, counted, read_counts
from tests.rooms import ROOT

FOLDER = ROOT / "study" / "passing_steps"


def of_widths(*points, shape_gap=0, detached=50):
    """Two shapes apart by a gap around these points with the reset attached; the same everywhere detached."""
    cells = {}
    for width, mean in enumerate(points, start=1):
        for shape, sign in (("atan", 1), ("triangle", -1)):
            cells["attached", shape, float(width)] = Fraction(mean) + sign * Fraction(shape_gap)
            cells["detached", shape, float(width)] = Fraction(detached)
    return cells


@pytest.mark.parametrize(
    ("best", "worst", "counts"), [(70, 60, True), (70, 61, False), (69, 59, False), (80, 50, True)]
)
def test_limits_are_reached_at_equality(best, worst, counts):
    """By hand, chance 50: 20 points above it and 10 between widths are enough, a point less of either is not."""
    found = counted("a", 2, of_widths(best, worst))
    assert found.best - found.chance == best - 50
    assert found.spreads == {"attached": best - worst, "detached": 0}
    assert found.counts is counts


def test_widths_are_compared_by_the_mean_of_both_shapes():
    """By hand: one shape's best is 75, 25 above chance; the means of both, 65 and 60, are 5 apart."""
    found = counted("a", 2, of_widths(65, 60, shape_gap=10))
    assert (found.best, found.spreads["attached"], found.counts) == (75, 5, False)


def test_a_task_that_does_not_count_gives_way_to_the_next():
    """By hand: of four in order the second does not count."""
    yes, no = of_widths(90, 60), of_widths(90, 85)
    counts = [counted(name, 2, no if name == "b" else yes) for name in "abcd"]
    assert chosen(counts, "dcba") == ["d", "c", "a"]


def test_the_grid_has_the_tasks_that_stored_runs_choose():
    """Expected: amendment 1; sine, nmnist and temporal_xor do not count, adding reaches both limits exactly."""
    study = load_study("passing_steps").study
    counts = read_counts(Store(FOLDER, "passing_steps").entries([BLOCK]))
    assert list(study.blocks[GRID].tasks) == chosen(counts, list(study.tasks))
    assert {count.task for count in counts if not count.counts} == {"sine", "nmnist", "temporal_xor"}
    (adding,) = [count for count in counts if count.task == "adding"]
    assert (adding.best - adding.chance, max(adding.spreads.values())) == (20, 10)
