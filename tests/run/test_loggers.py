"""Loggers receive copies of the record's numbers; several at once."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl

import sgbench
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.training.loggers import OwnRunLogger, summary, wandb_logger
from sgbench.training.run_folder import folder_of
from tests.run.tiny import WORDS


def test_csv_holds_the_curve() -> None:
    """Each epoch's validation loss in the file is the record's."""
    record = sgbench.run(*WORDS, "logger=csv")
    path = folder_of(compose(WORDS)) / "csv" / "metrics.csv"
    rows = [row for row in csv.DictReader(path.read_text().splitlines()) if row["validation_loss"]]
    found = [float(row["validation_loss"]) for row in rows]
    assert found == pytest.approx([line.validation_loss for line in record.curve], rel=1e-6)


@pytest.mark.slow
def test_wandb_offline_holds_config_tags_group_and_scores(tmp_path: Path) -> None:
    """Read back with wandb's own inspector: summary = record's scores, tags = choices, group = sweep."""
    words = (*WORDS, "logger=[csv,wandb]", "logger.wandb.mode=offline", "group=my_sweep")
    record = sgbench.run(*words)
    assert record.status == "finished"
    (path,) = folder_of(compose(WORDS)).rglob("run-*.wandb")
    tree = _inspect("--summary", "--json", path)
    for key, value in summary(record).items():
        assert _flat(tree["summary"])[key] == pytest.approx(value), key
    assert "surrogate=atan" in tree["tags"]
    assert tree["config"]["method_id"] == record.method_id
    assert (folder_of(compose(WORDS)) / "csv" / "metrics.csv").exists()
    assert '"run_group":"my_sweep"' in _wandb("--json", path)


@pytest.mark.slow
def test_loggers_of_one_process_have_runs_of_their_own(tmp_path: Path) -> None:
    """Hand count: two that are open at once and a third after them leave three runs."""
    made = [
        wandb_logger(compose([*WORDS, f"seed={seed}"]), tmp_path / str(seed), project="mine", mode="offline")
        for seed in (0, 1, 2)
    ]
    first, second, third = made
    assert first.experiment.id != second.experiment.id
    for each in (first, second, third):
        each.log_metrics({"loss": 1.0}, step=1)
        each.experiment.finish()
    assert len([*tmp_path.rglob("offline-run-*")]) == len(made)


@pytest.mark.slow
def test_wandb_disabled_changes_nothing() -> None:
    """The record is that of a run without a logger."""
    silent = sgbench.run(*WORDS, "seed=2")
    logged = sgbench.run(*WORDS, "seed=2", "logger=wandb", "logger.wandb.mode=disabled", "force=true")
    assert silent.weights_sha256 == logged.weights_sha256
    assert silent.method_id == logged.method_id


def test_wandb_online_without_login_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is in the line; nothing has been trained."""

    def refuse(_: OwnRunLogger) -> None:
        raise RuntimeError("No API key configured.\nUse `wandb login`.")

    monkeypatch.setattr(OwnRunLogger, "experiment", property(refuse))
    monkeypatch.setattr(pl.Trainer, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match=r"logger.wandb: No API key.*logger.wandb.mode=offline"):
        sgbench.run(*WORDS, "logger=wandb")


@pytest.mark.slow
def test_a_failed_run_tells_its_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary names the failure."""
    from sgbench.training.learner import Learner

    monkeypatch.setattr(Learner, "training_step", lambda *_: 1 / 0)
    record = sgbench.run(*WORDS, "logger=wandb", "logger.wandb.mode=offline")
    (path,) = folder_of(compose(WORDS)).rglob("run-*.wandb")
    tree = _inspect("--summary", "--json", path)
    assert tree["summary"]["status"] == "failed"
    assert record.failure is not None
    assert tree["summary"]["failure"] == record.failure.message


def _inspect(*words: object) -> dict:
    return json.loads(_wandb(*words))


def _wandb(*words: object) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _flat(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        flat[f"{prefix}{key}"] = value
    return flat
