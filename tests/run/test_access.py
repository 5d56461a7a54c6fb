"""The test split is closed until the last step, and every touch of it is in the record.

Expected counts follow from what a run does: it takes the test once, and once more where it was interrupted in it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytorch_lightning as pl

from sgbench.composition.compose import compose
from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.deviation import deviation
from sgbench.records.files import parse_model, to_json
from sgbench.records.record import RunRecord
from sgbench.submissions.plausible import implausible
from sgbench.training import runner
from sgbench.training.build import build
from sgbench.training.run_folder import TEST_ACCESS, folder_of, read_access
from sgbench.training.runner import run_spec
from tests.leaderboard.factory import record, reference
from tests.run.tiny import WORDS

ENGINE = "engine=reference"


def test_closed_until_the_last_step():
    """Expected: one line with the remedy, by every way to the split; must differ: the other splits, and inside."""
    data = build(compose([*WORDS, ENGINE])).data
    data.setup()
    ways = [lambda: data.evaluation("test"), lambda: data.splits["test"], lambda: dict(data.splits)]
    ways += [lambda: list(data.splits.values()), lambda: data.splits.get("test")]
    for way in ways:
        with pytest.raises(InputError, match="the test split is closed until the last step"):
            way()
    assert len(list(data.evaluation("validation"))) > 0
    with data.last_step():
        assert len(data.evaluation("test")) > 0
    with pytest.raises(InputError):
        data.evaluation("test")


class Peeking(pl.Callback):
    """Looks at the test split after an epoch of training."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _ = trainer.datamodule.test_dataloader()


def test_a_callback_cannot_look(monkeypatch):
    """Expected: the same line ends the run, and no record is made."""
    bar = runner.LastEpoch

    def with_peek(path: Any) -> list[pl.Callback]:
        return Peeking() if path.suffix == ".ckpt" else bar(path)

    monkeypatch.setattr(runner, "LastEpoch", with_peek)
    spec = compose([*WORDS, ENGINE])
    with pytest.raises(InputError, match="the test split is closed"):
        run_spec(spec)
    assert not (folder_of(spec) / "record.json").exists()


def test_a_run_touches_it_once_and_an_interrupted_one_twice(monkeypatch):
    """Expected: one touch; two where the disk was full while the first was stored, with one resume."""
    plain = run_spec(compose([*WORDS, ENGINE]))
    assert plain.test_access == ("final",)
    assert list(implausible(plain)) == list(implausible(plain.model_copy(update={"test_access": None})))
    spec = compose([*WORDS, ENGINE, "seed=1"])

    def full(*_: Any) -> str:
        raise StorageError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("sgbench.training.attempt.save_predictions", full)
        with pytest.raises(StorageError):
            run_spec(spec)
    assert read_access(folder_of(spec) / TEST_ACCESS) == ["final"]
    again = run_spec(spec)
    assert (again.test_access, again.timing.resumed) == (("final", "final"), 1)
    assert not any("touched" in line for line in implausible(again))
    assert not (folder_of(spec) / TEST_ACCESS).exists()


def test_an_early_touch_is_told(tmp_path):
    """Expected: the epoch, which a check of a submission refuses, as two touches without a resume."""
    spec = compose([*WORDS, ENGINE])
    attempt = runner._Fitted(spec, build(spec), tmp_path)
    attempt.parts.data.setup()
    attempt.watch_test()
    attempt.training.begin_epoch(1)
    with attempt.parts.data.last_step():
        attempt.parts.data.evaluation("test")
    assert attempt.test_access == ["epoch 1"]
    assert json.loads((tmp_path / TEST_ACCESS).read_text()) == ["epoch 1"]
    cases = {
        ("epoch 1", "final"): "touched at a stage other than the last",
        ("final", "final"): "touched 2 times",
    }
    for access, said in cases.items():
        found = list(implausible(record(seed=0).model_copy(update={"test_access": access})))
        assert any(said in line for line in found)
    (tmp_path / "damaged").write_text("[1, ")
    assert read_access(tmp_path / "damaged") == ["unknown"]


def test_records_that_predate_it_keep_their_bytes():
    """Expected: no word of it where it is not known, and the same record back where it is."""
    old = record(seed=0)
    assert b"test_access" not in to_json(old)
    new = old.model_copy(update={"test_access": ("final",)})
    assert parse_model(to_json(new), RunRecord, "it") == new
    assert deviation(new, reference()) is None
