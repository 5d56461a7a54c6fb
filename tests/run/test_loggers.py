"""Loggers receive copies of the record's numbers; several at once."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from itertools import accumulate
from pathlib import Path
from urllib.error import URLError

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.records.record import RunRecord, flat
from sgbench.training.epoch_loop import Training
from sgbench.training.loggers import OwnRunLogger, job_type, tensorboard_logger, wandb_logger
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS


def test_csv_and_tensorboard_hold_the_curve_and_the_flat_tree() -> None:
    """Each epoch's validation loss, and the tree, read back with the csv module and with TensorBoard's reader."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record = sgbench.run(*WORDS, "logger=[csv,tensorboard]")
    tree = flat(record)
    (row,) = csv.DictReader((folder_of(compose(WORDS)) / "csv" / "summary.csv").read_text().splitlines())
    assert row == {key: str(value) for key, value in tree.items()}
    events = accumulators.EventAccumulator(str(folder_of(compose(WORDS)) / "tensorboard")).Reload()
    *curve, kept = [event.value for event in events.Scalars("validation/loss")]
    assert curve == pytest.approx([line.validation_loss for line in record.curve], rel=1e-6)
    assert kept == pytest.approx(tree["validation/loss"], rel=1e-6)
    best = [event.value for event in events.Scalars("validation/best_loss")]
    assert best == pytest.approx([*accumulate(curve, min)], rel=1e-6)
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    assert rates == pytest.approx([0.002] * len(curve))
    times_s = [event.value for event in events.Scalars("timing/epoch_s")]
    assert sum(times_s) == pytest.approx(tree["timing/fit_s"], rel=0.01)
    *rates, _ = [event.value for event in events.Scalars("validation/rate_hz/hidden0")]
    assert record.validation_rates is not None
    assert rates == pytest.approx([1000 * each for each in record.validation_rates[0].rate_per_step], rel=1e-6)
    for key in ("test/accuracy", "counts/spikes", "validation/rate_hz/hidden0", "parameters"):
        assert events.Scalars(key)[-1].value == pytest.approx(tree[key], rel=1e-6), key
    path = folder_of(compose(WORDS)) / "csv" / "metrics.csv"
    rows = [row for row in csv.DictReader(path.read_text().splitlines()) if row["validation/loss"]]
    found = [float(row["validation/loss"]) for row in rows]
    assert found == pytest.approx([line.validation_loss for line in record.curve], rel=1e-6)


def test_the_flat_tree_says_what_the_record_says(finished: RunRecord) -> None:
    """Keys by hand; counts per inference are totals over samples; nothing nested, nothing without a value."""
    tree = flat(finished)
    assert finished.test is not None
    assert finished.counts is not None
    assert tree["test/accuracy"] == finished.test.accuracy
    assert (tree["choice/surrogate"], tree["setting/optimizer/lr"]) == ("atan", 0.002)
    assert tree["data_sha256"] == finished.provenance.data_sha256
    spikes = [layer.spikes_sent.total or 0 for layer in finished.counts.layers]
    assert tree["counts/spikes"] == pytest.approx(sum(spikes) / finished.counts.samples)
    assert "failure" not in tree
    assert not [key for key, value in tree.items() if isinstance(value, dict | list | tuple) or value is None]


def test_without_tensorboard_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Expected: the extra."""
    monkeypatch.setattr("sgbench.training.loggers.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'sgbench\[tensorboard\]'"):
        tensorboard_logger(compose(WORDS), tmp_path)


@pytest.mark.slow
def test_job_types() -> None:
    """By the seed and what was asked for; must differ: a seed of that number where no seeds choose."""
    tuned = ["protocol=digits_tuned_v2"]
    words = ([*tuned, "seed=100"], [*tuned, "seed=0"], ["seed=100"], ["trainer.diagnose=[flow]"])
    assert [job_type(compose(each)) for each in words] == ["tune", "train", "train", "diagnose"]


@pytest.mark.slow
def test_wandb_offline_holds_config_tags_group_and_scores(tmp_path: Path) -> None:
    """Read back with wandb's own inspector: summary = record's scores, tags = choices, group = sweep."""
    words = (*WORDS, "logger=[csv,wandb]", "logger.wandb.mode=offline", "group=my_sweep")
    record = sgbench.run(*words)
    assert record.status == "finished"
    (path,) = folder_of(compose(WORDS)).rglob("run-*.wandb")
    tree = _inspect("--summary", "--json", path)
    for key, value in flat(record).items():
        assert _flat(tree["summary"])[key] == pytest.approx(value), key
    assert "surrogate=atan" in tree["tags"]
    assert tree["config"]["method_id"] == record.method_id
    assert tree["config"]["commit"] == record.provenance.commit
    assert tree["config"]["data_sha256"] == record.provenance.data_sha256
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


@pytest.mark.slow
def test_wandb_online_without_login_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is in the line; nothing has been trained."""

    def refuse(_: OwnRunLogger) -> None:
        raise RuntimeError("No API key configured.\nUse `wandb login`.")

    monkeypatch.setattr(OwnRunLogger, "experiment", property(refuse))
    monkeypatch.setattr(Training, "train", lambda *_: pytest.fail("trained"))
    with raises_naming(InputError, "logger.wandb", "API key", "logger.wandb.mode=offline"):
        sgbench.run(*WORDS, "logger=wandb")


def test_an_unreachable_server_is_told_before_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once, in one line with the remedy; nothing is written."""
    monkeypatch.setattr("sgbench.training.loggers.require_account", lambda: None)

    def refuse(*_: object, **__: object) -> None:
        raise URLError("connection refused")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    root = tmp_path / "runs"
    online = ("logger=wandb", "logger.wandb.mode=online")
    assert main(["run", "-m", *WORDS, *online, "seed=0,1", f"paths.runs_dir={root}"]) == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert lines_naming(told[0], "connection refused", "logger.wandb.mode=offline")
    assert not root.exists()


@pytest.mark.slow
def test_a_failed_run_tells_its_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary names the failure."""
    monkeypatch.setattr(Training, "train", lambda *_: 1 / 0)
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
