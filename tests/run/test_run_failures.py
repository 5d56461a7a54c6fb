"""Runs that fail, are refused or meet another one say so, and lose nothing that was stored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import sgbench
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError, NonFiniteError, RunBusyError, StorageError
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.sweeps.outcome import DIAGNOSE_RUN, failure_reason
from sgbench.training.epoch_loop import Training
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS
from tests.thinned import thinned


def test_a_failed_run_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed record is not a result."""
    with monkeypatch.context() as patch:
        patch.setattr(Training, "train", lambda *_: 1 / 0)
        failed = sgbench.run(*WORDS)
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.kind == "ZeroDivisionError"
    assert sgbench.run(*WORDS).status == "finished"


@pytest.mark.parametrize(("layer", "name"), [(0, "hidden0"), pytest.param(1, "readout", marks=pytest.mark.slow)])
def test_nan_in_a_layer_stops_with_its_name(monkeypatch: pytest.MonkeyPatch, layer: int, name: str) -> None:
    """A weight set to NaN in the second epoch: a failed record that names the layer and the epoch."""

    begin = Training.begin_epoch

    def poison(self: Training, epoch: int) -> None:
        begin(self, epoch)
        if epoch == 1:
            with torch.no_grad():
                self.network.layers[layer].weight[0, 0] = float("nan")

    monkeypatch.setattr(Training, "begin_epoch", poison)
    record = sgbench.run(*WORDS)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.kind == NonFiniteError.__name__
    assert f"'{name}'" in record.failure.message
    assert "epoch 1" in record.failure.message
    assert record.test is None
    assert len(record.curve) == 1


@pytest.mark.parametrize("engine", thinned(["fused", "scan", "reference"], 3))
def test_an_overflowing_potential_is_a_failed_record_not_a_crash(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """An infinite membrane potential from finite weights: their sum overflows float32."""

    begin = Training.begin_epoch

    def swell(self: Training, epoch: int) -> None:
        begin(self, epoch)
        with torch.no_grad():
            self.network.layers[0].weight.fill_(3e38)

    monkeypatch.setattr(Training, "begin_epoch", swell)
    record = sgbench.run(*WORDS, f"engine={engine}")
    assert record.status == "failed"
    assert record.failure is not None
    assert lines_naming(record.failure.message, "'hidden0'", "membrane potential")
    assert record.failure.message.endswith(DIAGNOSE_RUN)
    spec = compose([*WORDS, f"engine={engine}"])
    said = failure_reason(spec, record)
    assert said is not None
    assert said.endswith(f"sgbench diagnose {folder_of(spec)}")


def test_an_unreadable_record_is_kept_aside() -> None:
    """Nothing already stored is lost, not even what cannot be read."""
    spec = compose((*WORDS, "seed=6"))
    folder = folder_of(spec)
    folder.mkdir(parents=True)
    (folder / "record.json").write_text('{"half": ')
    assert run_spec(spec).status == "finished"
    assert (folder / "record.unreadable.json").read_text() == '{"half": '


def test_two_processes_cannot_write_one_run() -> None:
    """While one holds the run, the other is refused by name and leaves the folder as it was."""
    spec = compose((*WORDS, "seed=7"))
    folder = folder_of(spec)
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(RunBusyError, match="another process"):
        run_spec(spec)
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert run_spec(spec).status == "finished"


@pytest.mark.slow
def test_two_processes_at_once_leave_one_whole_record(runs_dir: Path) -> None:
    """Started together on the same run: at least one finishes, a loser says why, the record is valid."""
    words = (*WORDS, "seed=9")
    command = [sys.executable, "-m", "sgbench", "run", *words]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes
    for code, line in zip(codes, said, strict=True):
        assert code == 0 or lines_naming(line, "another process", "run")
    (path,) = runs_dir.rglob("record.json")
    assert read_model(path, RunRecord).status == "finished"


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A file stands where the runs' folder should be."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with raises_naming(StorageError, "paths.runs_dir", f"{blocked}"):
        sgbench.run(*WORDS, f"paths.runs_dir={blocked}")


def test_a_full_disk_loses_nothing(finished: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space while the new record is written: a clear line, and the old record is still whole."""
    folder = folder_of(compose(WORDS))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        sgbench.run(*WORDS, "force=true")
    monkeypatch.undo()
    assert read_model(folder / "record.json", RunRecord) == finished
    assert not list(folder.glob(".record.json.*"))


def test_bad_values_leave_no_run_behind(runs_dir: Path) -> None:
    """A value out of range is refused before anything is stored."""
    with pytest.raises(InputError, match=r"neuron.beta=2"):
        sgbench.run(*WORDS, "neuron.beta=2")
    assert not list(runs_dir.rglob("record.json"))


def test_a_failing_logger_costs_no_result(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The record is written before copies are sent."""

    def unreachable(*_: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("sgbench.training.loggers.CsvLogger.publish", unreachable)
    record = sgbench.run(*WORDS, "logger=csv")
    assert record.status == "finished"
    assert read_model(folder_of(compose(WORDS)) / "record.json", RunRecord) == record
    assert "a logger failed" in caplog.text


def test_a_run_finished_by_another_process_meanwhile_is_not_repeated(
    finished: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look misses it, the look under the lock finds it."""
    looks = iter([None, finished])
    monkeypatch.setattr("sgbench.training.runner.finished_record", lambda _: next(looks))
    assert sgbench.run(*WORDS) == finished


def test_an_overflowed_optimiser_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights would stand still in silence; the record names the optimiser's state."""

    train = Training.train

    def overflow(self: Training, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
        train(self, batch, optimizer)
        for state in optimizer.state.values():
            state["exp_avg_sq"].fill_(float("inf"))

    monkeypatch.setattr(Training, "train", overflow)
    record = sgbench.run(*WORDS)
    assert record.failure is not None
    assert lines_naming(record.failure.message, "exp_avg_sq", "not finite")
