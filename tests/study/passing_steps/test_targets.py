"""The choice of targets and of the fixed setting: by hand on made-up cells, and from the stored records."""

import pytest

from sgbench.study_runner.definition import load_study
from study.passing_steps.analysis.cells import FIXED
from study.passing_steps.analysis.evidence import SHAPES, TASKS, TaskEvidence, first_entries, read_evidence, read_runs
from study.passing_steps.analysis.targets import chosen_fixed, chosen_target, fixed_losses, mean_loss, without_each
from tests.rooms import ROOT


def task(best_at: float) -> TaskEvidence:
    """A task that loses a point for each doubling away from a number of passing steps, one step a width of 0.1."""
    accuracy = {}
    steps = {}
    for shape in SHAPES:
        for power in range(-6, 6):
            steps[shape, 0.1 * 2.0**power] = 2.0**power
            accuracy[shape, 0.1 * 2.0**power] = 90.0 - abs(power - best_at)
    return TaskEvidence(accuracy, steps)


def test_losses_are_interpolated_over_the_logarithm_of_steps():
    """By hand: best at 2^1 steps; half a doubling away costs half a point, also where no width was run."""
    one = task(1)
    assert one.loss_at(2.0) == pytest.approx(0)
    assert one.loss_at(2.0**1.5) == pytest.approx(0.5)
    assert one.loss_at(1.0) == pytest.approx(1.0)
    assert one.loss("atan", 0.1) == pytest.approx(1.0)
    assert one.loss("atan", 0.15) is None


def test_the_target_is_the_candidate_with_the_least_mean_loss():
    """By hand: best at 1 and at 4 steps; between them every target loses as much, and the least is taken."""
    tasks = {"a": task(0), "b": task(2)}
    assert mean_loss(tasks, 1.0) == pytest.approx(1.0)
    assert mean_loss(tasks, 8.0) == pytest.approx(2.0)
    assert chosen_target(tasks) == 1.0
    assert {name: target for name, target, _ in without_each(tasks)} == {"a": 4.0, "b": 1.0}
    assert [loss for *_, loss in without_each(tasks)] == pytest.approx([2.0, 2.0])


def test_a_fixed_setting_counts_where_every_task_has_it():
    """By hand: of the registered widths 0.1 and 0.2 are among the made-up ones; others are left out."""
    losses = fixed_losses({"a": task(1), "b": task(1)})
    assert set(losses) == {(shape, width) for shape in SHAPES for width in (0.1, 0.2)}
    assert chosen_fixed({"a": task(1), "b": task(1)})[1] == 0.2


@pytest.mark.slow
def test_stored_records_give_what_the_registration_says():
    """Expected: amendment 1: targets 1 and 2.8, atan at 0.5; every task has both resets."""
    found = read_evidence(ROOT, read_runs(ROOT, load_study("surrogates").study, first_entries(ROOT)))
    assert chosen_target(found["detached"]) == 1.0
    assert chosen_target(found["attached"]) == 2.8
    assert chosen_fixed(found["attached"]) == FIXED
    assert all(tuple(tasks) == TASKS for tasks in found.values())
    assert all(len(task.accuracy) >= 6 for tasks in found.values() for task in tasks.values())
