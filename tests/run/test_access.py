"""The test split is closed until the last step, and every touch of it is in the record.

Expected counts follow from what a run does: it takes the test once, and once more where it was interrupted in it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from sgbench.composition.compose import compose
from sgbench.errors import InputError, SgbenchError, StorageError
from sgbench.leaderboard.deviation import deviation
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS
from sgbench.records.consistency import contradictions
from sgbench.records.files import parse_model, read_model, to_json
from sgbench.records.record import RunRecord
from sgbench.replicas.group_worker import GroupWorker
from sgbench.submissions.plausible import consistency_problems
from sgbench.sweeps.outcome import headline, result_line
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from sgbench.training.run_folder import TEST_ACCESS, folder_of, read_access
from sgbench.training.runner import run_spec
from sgbench.training.single_run import SingleRun
from tests.leaderboard.factory import record, reference
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS

ENGINE = "engine=reference"


def test_closed_until_the_last_step():
    """Expected: one line with the remedy, by every way to the split; must differ: the other splits, and inside."""
    data = build(compose([*WORDS, ENGINE])).data
    data.setup()
    ways = [lambda: data.evaluation("test"), lambda: data.splits["test"], lambda: dict(data.splits)]
    ways += [lambda: list(data.splits.values()), lambda: data.splits.get("test")]
    for way in ways:
        with raises_naming(InputError, "test split", "closed"):
            way()
    assert len(list(data.evaluation("validation"))) > 0
    with data.last_step():
        assert len(data.evaluation("test")) > 0
    with pytest.raises(InputError):
        data.evaluation("test")


def test_a_hook_cannot_look_and_an_early_touch_is_told(monkeypatch, tmp_path):
    """Expected: the same line ends the run, and no record is made; where the lock was opened, the epoch is told.

    That a check of a submission refuses, as two touches without a resume.
    """
    monkeypatch.setattr(Training, "end_epoch", lambda self: self.data.evaluation("test"))
    spec = compose([*WORDS, ENGINE])
    with raises_naming(InputError, "test split", "closed"):
        run_spec(spec)
    assert not (folder_of(spec) / "record.json").exists()
    attempt = SingleRun(spec, build(spec), tmp_path)
    attempt.parts.data.setup()
    attempt.record_test_access()
    attempt.training.begin_epoch(1)
    with attempt.parts.data.last_step():
        attempt.parts.data.evaluation("test")
    assert attempt.test_access == ["epoch 1"]
    assert json.loads((tmp_path / TEST_ACCESS).read_text()) == ["epoch 1"]
    cases = {("epoch 1", "final"): "touched at a stage other than the last", ("final", "final"): "touched 2 times"}
    for access, said in cases.items():
        found = list(consistency_problems(record(seed=0).model_copy(update={"test_access": access})))
        assert any(said in line for line in found)
    (tmp_path / "damaged").write_text("[1, ")
    assert read_access(tmp_path / "damaged") == ["unknown"]


def test_a_run_touches_it_once_and_an_interrupted_one_twice(monkeypatch):
    """Expected: one touch; two where the disk was full while the first was stored, with one resume."""
    plain = run_spec(compose([*WORDS, ENGINE]))
    assert plain.test_access == ("final",)
    assert list(consistency_problems(plain)) == list(
        consistency_problems(plain.model_copy(update={"test_access": None}))
    )
    spec = compose([*WORDS, ENGINE, "seed=1"])

    def full(*_: Any) -> str:
        raise StorageError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("sgbench.training.base_run.save_predictions", full)
        with pytest.raises(StorageError):
            run_spec(spec)
    assert read_access(folder_of(spec) / TEST_ACCESS) == ["final"]
    again = run_spec(spec)
    assert (again.test_access, again.timing.resumed) == (("final", "final"), 1)
    assert not any("touched" in line for line in consistency_problems(again))
    assert not (folder_of(spec) / TEST_ACCESS).exists()


@pytest.mark.slow
def test_a_seed_that_settings_are_chosen_with_leaves_it_closed(finished, tmp_path):
    """Expected: the curve, selection and weights of the run that reports, and nothing of the test, by both drivers.

    Replicas sum the losses of a batch in another order, so their curve agrees to the rounding of float32.

    Must differ: `trainer.test_tuning_seeds=true`, which scores it too.
    """
    chooses = ["protocol.seeds=[1]", "+protocol.tuning_seeds=[0]"]
    one, two = (tmp_path / name for name in ("alone", "beside"))
    alone = compose([*WORDS, *chooses, f"paths.runs_dir={one}", "trainer.watch_test_score=true"])
    beside = compose([*WORDS, *chooses, f"paths.runs_dir={two}"])
    GroupWorker([(0, beside)], lambda message: None, lambda: False).run()
    for made, rounds in ((run_spec(alone), 0), (read_model(folder_of(beside) / RECORD, RunRecord), 1e-6)):
        assert (made.status, made.method_id, made.seed) == ("finished", finished.method_id, finished.seed)
        assert (made.test, made.counts, made.predictions_sha256, made.learning) == (None,) * 4
        assert made.test_access == ()
        for epoch, expected in zip(made.curve, finished.curve, strict=True):
            assert epoch.model_dump() == pytest.approx(expected.model_dump(), rel=rounds, abs=0)
        assert made.best_epoch == finished.best_epoch
        assert made.validation == finished.validation
        with raises_naming(SgbenchError, "seed 0"):
            _ = made.scored
    for folder in map(folder_of, (alone, beside)):
        assert (folder / WEIGHTS).exists()
        assert not (folder / PREDICTIONS).exists()
    assert compose([*WORDS, *chooses, "trainer.test_tuning_seeds=true"]).opens_test


def test_nothing_of_the_test_is_for_tuning_seeds_alone():
    """Expected: a record of a seed that chooses with all of the test's parts or none; of one that reports, all."""
    whole = record(seed=0)
    without = {"test": None, "counts": None, "predictions_sha256": None, "test_access": ()}

    def of(seeds: dict[str, Any], changes: dict[str, Any]) -> list[str]:
        method = whole.method.model_copy(update={"protocol": whole.method.protocol.model_copy(update=seeds)})
        return list(contradictions(whole.model_copy(update={"method": method, **changes})))

    chooses = {"seeds": (1, 2), "tuning_seeds": (0,)}
    assert of(chooses, without) == of(chooses, {}) == of({}, {}) == []
    assert lines_naming(of({}, without), "test", "counts", "predictions_sha256")
    assert lines_naming("\n".join(of({}, without)), "finished run", "test split")
    half = of(chooses, without | {"test": whole.test, "test_access": None})
    assert len(half) == 1
    assert lines_naming(half[0], "counts", "predictions_sha256")
    assert "test" not in headline(whole)
    assert "validation 90.0 %, test 90.0 %" in result_line(whole)


def test_records_that_predate_it_keep_their_bytes():
    """Expected: no word of it where it is not known, and the same record back where it is."""
    old = record(seed=0)
    assert b"test_access" not in to_json(old)
    new = old.model_copy(update={"test_access": ("final",)})
    assert parse_model(to_json(new), RunRecord, "it") == new
    assert deviation(new, reference()) is None
