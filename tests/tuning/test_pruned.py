"""Runs that are stopped early: what they leave, what is handed in of them, and what a board says of searches."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgbench.composition.plan import plan
from sgbench.errors import InputError
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.pages.tuning_section import (
    UNEQUAL,
    Studies,
    have_one_budget,
    search_table,
    searches,
    studies_of,
)
from sgbench.leaderboard.rows import Board, Listing
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.paths import RECORD
from sgbench.records.files import JOURNALS, PRUNED, Asked, Journal, Pruned, read_model, to_json
from sgbench.records.record import RunRecord
from sgbench.records.submission import TuningLog, TuningTrial
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.messages import WorkerMessage
from sgbench.statistics.tuning_curves import Trial, best_band, expected_best, median_of_bests
from sgbench.submissions.make import make
from sgbench.submissions.tuning import best, log_problems
from sgbench.training.run_folder import folder_of
from tests.leaderboard import factory
from tests.leaderboard.test_table import board
from tests.run.tiny import WORDS, comparable
from tests.submission.factory import method_id
from tests.submission.test_seeds import AUTHOR, Apart, apart, of, write_runs


def test_a_stopped_run_leaves_its_epochs_and_its_neighbour_is_none_the_wiser(tmp_path: Path) -> None:
    """A threshold that nothing reaches after the second epoch: two epochs, no record, a closed test split.

    Must match: the other run of the worker, which is what it is without a neighbour. Must differ: a low threshold.
    """
    words = [*WORDS, "seed=0,1", f"paths.runs_dir={tmp_path / 'two'}"]
    specs = plan(words, multirun=True).specs
    told: list[WorkerMessage] = []
    thresholds = {0: (-math.inf, math.inf, -math.inf), 1: (-math.inf,) * 3}
    GroupWorker(list(enumerate(specs)), told.append, lambda: False, thresholds=thresholds).run()
    assert [each.line for each in told if each.kind == "pruned"] == ["stopped after 2 of 3 epochs"]
    found = read_model(folder_of(specs[0]) / PRUNED, Pruned)
    assert (found.epochs, found.seed) == (2, 0)
    assert not (folder_of(specs[0]) / RECORD).exists()
    assert not (folder_of(specs[0]) / "test_access.json").exists()
    (lone,) = plan([*WORDS, "seed=1", f"paths.runs_dir={tmp_path / 'one'}"], multirun=True).specs
    GroupWorker([(0, lone)], told.append, lambda: False).run()
    ours, theirs = (read_model(folder_of(spec) / RECORD, RunRecord) for spec in (specs[1], lone))
    assert comparable(ours) == comparable(theirs)


def test_what_is_handed_in_tells_studies_and_stopped_runs(tmp_path: Path) -> None:
    """A finished setting and one that was stopped with both seeds: both count, with study and epochs.

    Must differ: a stopped run cannot be what validation selects, however good its scores.
    """
    chosen = write_runs(tmp_path / "runs", range(200, 210), 1.0)
    write_runs(tmp_path / "runs", range(100, 102), 1.0)
    folder, other = tmp_path / "runs" / "toy_v1", method_id(of(2.0))
    asked = [
        Asked(study=study, number=0, method_id=name, setting={"surrogate.width_fwhm": width})
        for study, (name, width) in enumerate([(chosen, 1.0), (other, 2.0)])
    ]
    journal = Journal(schema_version=1, protocol="toy_v1", strategy="sobol", base_id=chosen, asked=tuple(asked))
    (folder / JOURNALS).mkdir()
    (folder / JOURNALS / "sobol.json").write_bytes(to_json(journal))
    for seed in (100, 101):
        place = folder / other / str(seed)
        place.mkdir(parents=True)
        pruned = Pruned(method_id=other, seed=seed, epochs=1, validation_accuracy=1.0, validation_loss=0.0)
        (place / PRUNED).write_bytes(to_json(pruned))
    made = make(tmp_path / "runs", tmp_path / "out", AUTHOR, references=Apart())
    assert (made.method_id, made.tuning_trials) == (chosen, 2)
    log = TuningLog.model_validate_json((Path(made.folder) / "tuning.json").read_bytes(), strict=True)
    assert {(each.method_id, each.status, each.study, each.epochs) for each in log.trials} == {
        (chosen, "finished", 0, None),
        (other, "pruned", 1, 1),
    }
    assert best(log.trials, apart()) == chosen
    assert not list(log_problems(log, of(1.0), Apart().of("toy_v1")))
    found = studies_of(log, apart(), Measure("accuracy", 0.25))
    assert found is not None
    assert found.bests == (0.9, -math.inf)  # `write_runs` has nine of ten right
    assert found.saved_epochs == 2 * (apart().epochs - 1)


def test_epochs_are_of_stopped_runs_alone() -> None:
    """The schema refuses a finished run with epochs, and a stopped one without."""
    scores = {"validation_accuracy": 0.5, "validation_loss": 1.0}
    line = {"method_id": "0" * 12, "seed": 0, "settings": {}, **scores}
    for status, epochs in (("finished", 3), ("pruned", None)):
        tree = {
            "schema_version": 1,
            "protocol": "toy_v1",
            "method_id": "0" * 12,
            "trials": [{**line, "status": status, "epochs": epochs}],
        }
        with pytest.raises((InputError, ValueError), match="epochs is stated exactly"):
            TuningLog.model_validate_json(json.dumps(tree), strict=True)


def test_budgets_that_differ_have_no_order() -> None:
    """By hand: 2 x 3 settings against 3 x 2; must match: equal ones. A median of bests, no mean."""
    two, three = Studies((0.9, 0.8), (3, 3), 0), Studies((0.9, 0.1, 0.8), (2, 2, 2), 0)
    assert not have_one_budget({"a": two, "b": three})
    assert have_one_budget({"a": three, "b": three})
    assert three.median == 0.8
    assert median_of_bests([0.9, 0.8]) == 0.8  # of an even number the worse of the two in the middle


def test_the_band_is_that_of_resampled_curves() -> None:
    """Reference: `expected_best` of each draw itself, with the same draws; the curve lies within its own band."""
    random = np.random.default_rng(1)
    trials = [Trial(*random.random(2).tolist(), None, 1, 0) for _ in range(6)]
    low, high = best_band(trials, np.random.default_rng(3), draws=200)
    ordered = sorted(trials, key=lambda trial: trial.validation)
    draws = np.random.default_rng(3).integers(6, size=(200, 6))
    curves = np.array([expected_best([ordered[place] for place in draw])[1] for draw in draws])
    assert np.allclose([low, high], np.quantile(curves, [0.1, 0.9], axis=0))
    curve = expected_best(trials)[1]
    assert ((low <= curve) & (curve <= high)).all()


def test_a_board_says_what_searches_came_to() -> None:
    """Two rows with the same budget stand in the order of medians; with another budget nothing is claimed of it.

    Must differ: the same board without logs has no such part.
    """
    records = [
        factory.record(seed=seed, of=factory.method(surrogate=name))
        for name in ("atan", "triangle")
        for seed in (0, 1, 2)
    ]
    plain = board(records)
    assert "## Searches of settings" not in to_markdown(plain, layout="runs")

    def with_logs(scores: list[list[float]]) -> Board:
        rows = []
        for row, bests in zip(plain.rows, scores, strict=True):
            trials = tuple(
                TuningTrial(
                    method_id=f"{study:012x}",
                    seed=0,
                    status="finished",
                    settings={},
                    validation_accuracy=best,
                    validation_loss=1 - best,
                    study=study,
                )
                for study, best in enumerate(bests)
            )
            log = TuningLog(schema_version=1, protocol="toy_v1", method_id=row.method_id, trials=trials)
            rows.append(replace(row, listing=Listing("closed", MethodProvenance(tuning=log))))
        return replace(plain, rows=tuple(rows))

    equal = with_logs([[0.9, 0.2, 0.3], [0.5, 0.6, 0.7]])
    head, lines = search_table(equal, searches(equal))
    assert [line[head.index("median of bests")] for line in lines] == ["60.00", "30.00"]
    assert lines[0][head.index("best of each")] == "50.00, 60.00, 70.00"
    assert "## Searches of settings" in to_markdown(equal, layout="runs")
    assert UNEQUAL not in to_markdown(equal, layout="runs")
    unequal = with_logs([[0.9, 0.2, 0.3], [0.5, 0.6]])
    assert UNEQUAL in to_markdown(unequal, layout="runs")
