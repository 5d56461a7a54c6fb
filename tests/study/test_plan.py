"""Plans of more seeds: runs and hours by hand, chances against the binomial, pairs that stay pairs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sgbench.study_runner.definition import parse_study
from sgbench.study_runner.scores import Score, StudyScores
from study.reporting.plan import PlanLine, planned
from tests.messages import lines_naming

SHAPES = ("atan", "triangle")
SEEDS = range(300, 306)
TREE = {
    "about": "made up",
    "registration": "none.md",
    "seeds": {"map": {"first": 300, "count": 3}},
    "tasks": {"a": {"title": "a", "words": ["experiment=digits"], "outcome": "accuracy", "run_s": 36.0}},
    "blocks": {
        "M": {
            "about": "two shapes",
            "tasks": ["a"],
            "purpose": "map",
            "seeds": {"first": 300, "count": 3},
            "grids": [{"values": {"surrogate": list(SHAPES)}}],
        }
    },
}


def scores(points: Mapping[str, tuple[float, ...]]) -> StudyScores:
    """Runs of seed 300 on, with these points by shape."""
    runs = [
        Score("M", "a", "map", 300 + i, {"surrogate": shape}, {"surrogate": shape}, x, x, None, False, None, 10.0)
        for shape in SHAPES
        for i, x in enumerate(points[shape])
    ]
    return StudyScores(parse_study(TREE, "here"), {}, runs)


def plan(points: Mapping[str, tuple[float, ...]] | StudyScores, least: float, tries: int = 200) -> PlanLine:
    """Plan six seeds of a claim: atan minus triangle, summed over seeds, is at least so much."""

    def decided(table: StudyScores) -> bool:
        first, second = (table.cell("a", "map", {"surrogate": shape}) for shape in SHAPES)
        both = [seed for seed in SEEDS if seed in first and seed in second]
        return sum(first[seed].accuracy - second[seed].accuracy for seed in both) >= least

    random = np.random.Generator(np.random.PCG64(5))
    stored = points if isinstance(points, StudyScores) else scores(points)
    return planned(stored, "it", decided, purpose="map", seeds=SEEDS, random=random, tries=tries)


def test_runs_and_hours_are_those_of_the_seeds_that_are_missing():
    """By hand: two cells lack seeds 303 to 305: six runs of 36 s, 0.06 hours."""
    line = plan({"atan": (80, 80, 80), "triangle": (80, 80, 80)}, 1)
    assert (line.runs, line.hours) == (6, pytest.approx(0.06))
    assert line.what == "map seeds 303 to 305 of a"


def test_the_chance_is_that_of_drawing_stored_seeds_again():
    """Expected: one of three stored differences is 3; one more of three decides: 1 - (2/3)^3, within 4 errors."""
    line = plan({"atan": (80, 80, 83), "triangle": (80, 80, 80)}, 6, tries=2000)
    share = 1 - (2 / 3) ** 3
    assert line.chance == pytest.approx(share, abs=4 * (share * (1 - share) / 2000) ** 0.5)


@pytest.mark.parametrize(("least", "chance"), [(12, 1.0), (12.5, 0.0)])
def test_pairs_stay_pairs(least: float, chance: float):
    """By hand: seeds lie 40 points apart and every pair by 2: six of them sum to 12 and to nothing else."""
    line = plan({"atan": (42, 62, 82), "triangle": (40, 60, 80)}, least)
    assert line.chance == chance


def test_two_stored_seeds_tell_no_chance():
    """Expected: runs of four seeds, no chance, and why."""
    line = plan({"atan": (80, 80), "triangle": (80, 80)}, 1)
    assert (line.runs, line.chance) == (8, None)
    assert lines_naming(line.note, "3 seeds")
    assert line.cells[3] == "-"


def test_two_plans_of_the_same_runs_share_their_index(monkeypatch: pytest.MonkeyPatch):
    """Expected: one index of the runs, made for the first of two claims."""
    built = []
    index = StudyScores._index.func
    monkeypatch.setattr(StudyScores._index, "func", lambda scores: built.append(scores) or index(scores))
    stored = scores({"atan": (80, 80, 83), "triangle": (80, 80, 80)})
    for least in (6, 9):
        plan(stored, least)
    assert len(built) == 1
