"""The second look's block: the cells that both open claims need, on the seeds that the registration names."""

import pytest

from sgbench.study_runner.cells import points
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.scores import read_scores, read_settled
from sgbench.study_runner.store import Store
from study.passing_steps.analysis.cells import FIXED, LOOKS, SECOND_LOOK, cell, tasks_of
from study.passing_steps.analysis.claims import gain_over_fixed, loss_of_calibrated
from study.passing_steps.analysis.evidence import SHAPES
from tests.rooms import ROOT

pytestmark = pytest.mark.slow
FOLDER = ROOT / "study" / "passing_steps"


@pytest.fixture(scope="module")
def scores():
    """The study's stored choice: blocks L, Q, C, R and B."""
    entries = Store(FOLDER, "passing_steps").entries(["C", "R", "B"])
    return read_scores(load_study("passing_steps").study, read_settled(FOLDER), entries)


def key(one):
    """A cell that can be a member of a set."""
    return tuple(sorted(one.items()))


def test_the_block_has_the_cells_that_the_claims_compare_and_no_others(scores):
    """Expected, from the records: R, each shape's best cell over the seeds that choose, and F; ten new seeds."""
    planned = points(scores.study, SECOND_LOOK, scores.settled)
    seeds = set(LOOKS[1]) - set(LOOKS[0])
    for task in tasks_of(scores):
        needed = {key(cell(*FIXED, "attached"))}
        needed |= {key(of(shape)) for shape in SHAPES for of in (task.calibrated, task.reference)}
        mine = [point for point in planned if point.task == task.task]
        assert {key(point.cell) for point in mine} == needed
        assert {point.seed for point in mine} == seeds
        assert len(mine) == len(needed) * len(seeds)


def test_each_claim_asks_for_these_cells_alone(scores):
    """Must match: what both claims read on the seeds of that look beyond the first's is in the block."""
    made = {(point.task, key(point.cell), point.seed) for point in points(scores.study, SECOND_LOOK, scores.settled)}
    for task in tasks_of(scores):
        asked = []

        class Asked(type(task)):
            def accuracy(self, of, seeds, asked=asked):
                asked.append((self.task, key(of), tuple(seeds)))
                return super().accuracy(of, LOOKS[0])

        for number in (loss_of_calibrated, gain_over_fixed):
            number(Asked(scores, task.task), LOOKS[1])
        assert asked
        assert all((name, of, seed) in made for name, of, seeds in asked for seed in seeds if seed >= 210)
