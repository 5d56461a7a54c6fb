"""From records to numbers: what a run counts for, and how its cell is found."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sgbench.errors import InputError
from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores, canonical, read_scores, score_of
from sgbench.study_runner.store import StoreEntry
from study.reporting.run_table import margin_of, run_table
from tests.messages import raises_naming
from tests.study.truth import SETTLED, Outcome, entries, more_seeds, planned, record_of, scores, study, with_best

PLAN = study().study


def point(task: str = "T1", seed: int = 300, **cell: object) -> StudyPoint:
    """A run of the regime map."""
    return StudyPoint("A2", task, {"surrogate": "atan", "width_fwhm": 1.0, **cell}, seed, ())  # type: ignore[dict-item]


def entry(run: StudyPoint, outcome: Outcome, **cell: object) -> StoreEntry:
    """A stored run, of which the cell may claim something else."""
    record = record_of(run, lambda point, settings: outcome)
    return StoreEntry(run.block, run.task, {**run.cell, **cell}, record)


def test_the_score_of_a_record_by_hand() -> None:
    """By hand: 87.3 and 81.2 points, ln(42.5) spikes an inference; T1 is not solved or unsolved."""
    score = score_of(entry(point(), Outcome(accuracy=87.3, validation=81.2, spikes=42.5)), PLAN)
    assert score.accuracy == pytest.approx(87.3)
    assert score.validation == pytest.approx(81.2)
    assert score.log_spikes == pytest.approx(math.log(42.5))
    assert (score.failed, score.solved, score.guess, score.purpose) == (False, None, 10.0, "map")


def test_a_failed_run_counts_as_guessing() -> None:
    """Ten classes give 10 points; a failed run has no spikes and has not solved a task."""
    score = score_of(entry(point("T6"), Outcome(failed=True)), PLAN)
    assert (score.accuracy, score.validation, score.log_spikes) == (10.0, 10.0, None)
    assert (score.failed, score.solved) == (True, False)


@pytest.mark.parametrize(("accuracy", "solved"), [(89.9, False), (90.0, True)])
def test_solved_from_nine_tenths_on(accuracy: float, solved: bool) -> None:
    """The study's threshold is 0.9."""
    assert score_of(entry(point("T6"), Outcome(accuracy=accuracy)), PLAN).solved is solved


def test_a_run_with_a_closed_test_split_is_refused() -> None:
    """Expected: one line with the remedy; as a failed run it would count as guessing."""
    whole = entry(point(), Outcome())
    closed = replace(whole, record=whole.record.model_copy(update={"test": None}))
    with raises_naming(InputError, "test split", "trainer.test_tuning_seeds=true force=true"):
        score_of(closed, PLAN)


def test_a_run_without_spikes_has_no_logarithm() -> None:
    """Zero spikes are no number of spikes to compare."""
    assert score_of(entry(point(), Outcome(spikes=0)), PLAN).log_spikes is None


def test_a_cell_that_is_not_the_method_is_refused() -> None:
    """Expected: the key, what the cell says and what the record has."""
    with pytest.raises(InputError, match=r"width_fwhm=0.5.*has 1"):
        score_of(entry(point(), Outcome(), width_fwhm=0.5), PLAN)


def test_records_and_made_scores_agree() -> None:
    """Must match: the quick scores of these tests and those of records of the same truth, key by key."""
    runs = planned(PLAN, ["A2"], SETTLED, ["T4"])[:40]
    truth = lambda run, settings: Outcome(accuracy=80.0, validation=70.0)  # noqa: E731
    made = {(str(run.cell), run.seed): run for run in scores(truth, ["A2"], tasks=["T4"]).block("A2")}
    for score in read_scores(PLAN, SETTLED, entries(runs, truth)).runs:
        twin = made[str(score.cell), score.seed]
        assert {key: canonical(value) for key, value in score.settings.items() if value is not None} == {
            key: canonical(value) for key, value in twin.settings.items() if value is not None
        }


def by_cell(run: StudyPoint, settings: Cell) -> Outcome:
    """An accuracy that tells runs apart: by clip, cut and learning rate."""
    points = (
        50.0
        + (20 if settings.get("clip_norm") else 0)
        + (10 if settings.get("network.recurrence_gradient") == "cut" else 0)
    )
    return Outcome(accuracy=points + 100 * float(settings["optimizer.lr"] or 0))


def test_a_run_that_two_blocks_share_is_found_from_both() -> None:
    """B2's uncut and unclipped runs are stored with A2; must differ: the clipped and the cut ones beside them."""
    table = scores(by_cell, ["A2", "B2"], tasks=["T4"])
    cell: Cell = {"surrogate": "atan", "width_fwhm": 0.5}
    stated: Cell = {
        **cell,
        "network.recurrence_gradient": "full",
        "neuron.reset_gradient": "detached",
        "surrogate.normalisation": "peak1",
    }
    for found in (table.cell("T4", "map", cell, start="A2"), table.cell("T4", "map", stated, start="B2")):
        assert {run.block for run in found.values()} == {"A2"}
        assert found[300].accuracy == pytest.approx(51.0)
    assert table.cell("T4", "map", {**cell, "clip_norm": 1}, start="B2")[300].accuracy == pytest.approx(71.0)
    cut = table.cell("T4", "map", {**cell, "network.recurrence_gradient": "cut"}, start="B2")
    assert cut[309].accuracy == pytest.approx(61.0)


def test_an_own_best_cell_at_width_one_is_the_common_cell() -> None:
    """The two cells of A3b are one method, stored once; both names find its ten runs."""
    settled = with_best(width_fwhm=1.0)
    table = scores(by_cell, ["A3b"], tasks=["T1"], settled=settled)
    best: Cell = {"surrogate": "atan", "width_fwhm": 1.0, "optimizer.lr": 0.01}
    one: Cell = {"surrogate": "atan", "width_fwhm": 1.0}
    assert len(table.block("A3b")) == 10 * (6 + 5)
    assert table.cell("T1", "report", best, start="A3b") == table.cell("T1", "report", one, start="A3b")
    assert len(table.cell("T1", "report", one, start="A3b")) == 10


def test_only_complete_seeds_make_a_table() -> None:
    """By hand: of two cells and five seeds one run is taken away; four seeds are left and one run is missing."""
    all_runs = scores(by_cell, ["A2"], tasks=["T1"])
    cells: list[Cell] = [{"surrogate": shape, "width_fwhm": 1.0} for shape in ("atan", "triangle")]
    gone = [run for run in all_runs.runs if run.seed == 302 and run.cell == cells[1]]
    assert len(gone) == 1
    left = StudyScores(PLAN, SETTLED, [run for run in all_runs.runs if run not in gone])
    table = run_table(left, "T1", "map", cells, range(300, 305), start="A2")
    assert (table.seeds, table.missing, table.complete) == ((300, 301, 303, 304), 1, False)
    assert table.accuracy.shape == (2, 4)


def test_nothing_is_found_before_anything_is_settled() -> None:
    """A block that starts from what another settles has no runs before; that is no error."""
    assert StudyScores(PLAN, {}, []).cell("T1", "map", {"surrogate": "atan", "width_fwhm": 1.0}, start="A2") == {}


def test_margins() -> None:
    """2 points and 0.2 of runs unless the study's file says otherwise."""
    assert margin_of(PLAN.tasks["T1"]) == 2.0
    assert margin_of(PLAN.tasks["T6"]) == 0.2
    assert margin_of(PLAN.tasks["T4"].model_copy(update={"margin": 3.0})) == 3.0
    assert more_seeds(20).blocks["A3b"].seeds.count == 20
