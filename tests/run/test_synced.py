"""`sgbench sync`: copies made anew from records, twice with one result; read back with each logger's own reader."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.leaderboard.api import load_records
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord, epoch_numbers, flat
from sgbench.training.run_folder import folder_of
from tests.messages import lines_naming
from tests.rooms import ROOT
from tests.run.tiny import WORDS


def test_lost_copies_come_back_as_the_record_says(finished: RunRecord, runs_dir: Path) -> None:
    """CSV: the tree and the curve, the same bytes twice. TensorBoard: one event of each scalar, twice too."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, tree = folder_of(compose(WORDS)), flat(finished)
    before = (folder / RECORD).read_bytes()
    made = []
    for _ in range(2):
        assert main(["sync", str(runs_dir), "--to", "csv"]) == 0
        made.append([(folder / "csv" / name).read_bytes() for name in ("summary.csv", "metrics.csv")])
    assert made[0] == made[1]
    (row,) = csv.DictReader(made[0][0].decode().splitlines())
    assert row == {key: str(value) for key, value in tree.items()}
    losses = [float(line["validation/loss"]) for line in csv.DictReader(made[0][1].decode().splitlines())]
    assert losses == [line.validation_loss for line in finished.curve]
    assert finished.validation_rates is not None
    told = [float(line["validation/rate_hz/hidden0"]) for line in csv.DictReader(made[0][1].decode().splitlines())]
    assert told == pytest.approx([1000 * each for each in finished.validation_rates[0].rate_per_step])
    for _ in range(2):
        assert main(["sync", str(runs_dir), "--to", "tensorboard"]) == 0
        events = accumulators.EventAccumulator(str(folder / "tensorboard")).Reload()
        assert [event.value for event in events.Scalars("test/loss")] == pytest.approx([tree["test/loss"]])
        assert len(events.Scalars("validation/loss")) == len(finished.curve) + 1  # and that of the kept weights
    assert (folder / RECORD).read_bytes() == before


def test_what_cannot_be_copied_is_named(
    finished: RunRecord, runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged record is left out with exit code 1; a folder that is none, or is empty, is one line."""
    (folder_of(compose(WORDS)) / RECORD).write_text("{")
    assert main(["sync", str(runs_dir), "--to", "csv"]) == 1
    told = capsys.readouterr()
    assert lines_naming(told.out, "0 of 1", "csv")
    assert "left out" in told.err
    assert main(["sync", str(tmp_path / "none"), "--to", "csv"]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["sync", str(tmp_path / "empty"), "--to", "csv"]) == 2
    assert "holds no record" in capsys.readouterr().err


def test_sync_obeys_the_variable_of_wandb(
    finished: RunRecord, runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Must match: offline without --mode; must differ: --mode wins, and a mode that copies nothing is refused."""
    modes: list[str] = []
    monkeypatch.setattr("sgbench.training.log_sync.sync", lambda *_, mode, **__: modes.append(mode))
    monkeypatch.setattr("sgbench.training.loggers.require_account", modes.append)
    monkeypatch.setattr("sgbench.training.loggers.require_server", lambda: None)
    words = ["sync", str(runs_dir), "--to", "wandb"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main(words) == 0
    assert main([*words, "--mode", "online"]) == 0
    monkeypatch.delenv("WANDB_MODE")
    assert main(words) == 0
    assert modes == ["offline", *["--mode offline", "online"] * 2]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert main(words) == 2
    assert lines_naming(capsys.readouterr().err, "WANDB_MODE=disabled", "--mode")


@pytest.mark.slow
def test_an_agent_of_a_sweep_of_wandb_drives_runs(runs_dir: Path) -> None:
    """The documented command as wandb's own agent fills it in, offline; its run has the id that the agent gave."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    page = (ROOT / "docs" / "sweeps.md").read_text()
    sweep = yaml.safe_load(page[page.index("# wandb_sweep.yaml") :].partition("```")[0])
    assert sweep["command"][-1] == "${args_no_hyphens}"
    values = {name: {"value": settings["values"][0]} for name, settings in sweep["parameters"].items()}
    filled = create_sweep_command_args({"args": values})["args_no_hyphens"]
    _, _, *words = [word for word in sweep["command"][:-1] if word != "${env}"]
    given = {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "given", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sgbench", "run", *words, *filled, *WORDS, "logger.wandb.mode=offline"]
    # In a process of its own, since wandb reads its variables once.
    subprocess.run(command, env={**os.environ, **given}, capture_output=True, check=True, timeout=300)
    (path,) = runs_dir.rglob("run-*.wandb")
    assert path.name == "run-given.wandb"
    (record,) = load_records(runs_dir)
    assert record.method.choices["surrogate"] == sweep["parameters"]["surrogate"]["values"][0]
    assert sweep["metric"]["name"] in epoch_numbers(record.curve, {})


@pytest.mark.slow
def test_a_table_has_a_row_for_each_run(finished: RunRecord, runs_dir: Path) -> None:
    """Read back from the file that wandb keeps of a table, sent twice: one, whose row is the tree.

    The board is that of a committed record, of the protocol's own settings, laid beside it: its row in `table.csv`
    (the mean of one seed), and a link to the run.
    """
    stored = next(path for path in (ROOT / "leaderboards/digits_v1/records").rglob("0.json"))
    record = read_model(stored, RunRecord)
    place = runs_dir / record.protocol / record.method_id / "0"
    place.mkdir(parents=True)
    (place / "record.json").write_bytes(stored.read_bytes())
    for _ in range(2):
        words = ["sync", str(runs_dir), "--to", "wandb", "--mode", "offline", "--table", "mine"]
        assert main(words) == 0
    tables = {path.name.partition("_")[0]: json.loads(path.read_text()) for path in runs_dir.rglob("*.table.json")}
    cells = {
        name: [dict(zip(each["columns"], row, strict=True)) for row in each["data"]] for name, each in tables.items()
    }
    rows = {row.pop("link"): row for row in cells["runs"]}
    mine = rows[f"digits_v1-{finished.method_id}-{finished.seed}"]
    assert {key: value for key, value in mine.items() if value is not None} == pytest.approx(flat(finished))
    link = f"digits_v1-{record.method_id}-0"
    assert link in rows
    (row,) = next(each for name, each in cells.items() if name != "runs")
    assert record.test is not None
    assert (row["method_id"], row["seed 0"]) == (record.method_id, link)
    assert row["test_accuracy_mean"] == pytest.approx(record.test.accuracy)


@pytest.mark.slow
def test_wandb_offline_is_written_once(finished: RunRecord, runs_dir: Path) -> None:
    """Read back with wandb's own inspector: the tree, the curve, one run however often it is made."""
    for _ in range(2):
        assert main(["sync", str(runs_dir), "--to", "wandb", "--mode", "offline", "--group", "mine"]) == 0
    (path,) = runs_dir.rglob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout)["summary"]
    for key, value in flat(finished).items():
        assert summary[key] == pytest.approx(value), key
