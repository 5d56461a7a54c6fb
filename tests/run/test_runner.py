"""A run from top to bottom: reproducible, resumable, and honest about failure."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

import sgbench
from sgbench.compose import compose
from sgbench.errors import InputError, NonFiniteError, RunBusyError, StorageError
from sgbench.learner import Learner
from sgbench.neurons.leaky import Leaky
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.runner import folder_of, run_spec
from tests.run.tiny import WORDS, comparable


def test_a_run_leaves_a_complete_record() -> None:
    """The stored file is the returned record, and its hashes are those of the files beside it."""
    record = sgbench.run(*WORDS)
    folder = folder_of(compose(WORDS))
    assert read_model(folder / "record.json", RunRecord) == record
    assert record.status == "finished"
    assert len(record.curve) == 3
    for name, digest in (
        ("predictions.csv", record.predictions_sha256),
        ("weights.safetensors", record.weights_sha256),
    ):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert not (folder / "last.ckpt").exists()


def test_predictions_score_to_the_recorded_accuracy() -> None:
    """Counting hits in the file by hand gives the record's accuracy; logits and prediction agree."""
    record = sgbench.run(*WORDS)
    text = (folder_of(compose(WORDS)) / "predictions.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert record.test is not None
    assert len(rows) == record.test.samples == 360
    hits = sum(row["target"] == row["prediction"] for row in rows)
    assert record.test.accuracy == hits / len(rows)
    for row in rows:
        logits = [float(row[f"logit_{k}"]) for k in range(10)]
        assert logits.index(max(logits)) == int(row["prediction"])


def test_the_best_epoch_is_tested_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are zeroed from epoch 3 on: every later epoch is at chance, so the best is one before."""

    def forget(self: Learner) -> None:
        if self.current_epoch >= 3:
            with torch.no_grad():
                self.network.layers[1].weight.zero_()

    monkeypatch.setattr(
        Learner, "on_validation_epoch_start", _first(forget, Learner.on_validation_epoch_start)
    )
    record = sgbench.run(*WORDS, "protocol.epochs=6", "protocol.monitor=validation_accuracy")
    accuracies = [line.validation_accuracy for line in record.curve]
    assert record.validation is not None
    assert record.best_epoch is not None
    assert record.best_epoch == accuracies.index(max(accuracies)) < 3
    assert record.validation.accuracy == max(accuracies) > max(accuracies[3:])


def _first(extra, method):
    def both(self: Learner) -> None:
        if self.trainer.state.fn == "fit":
            extra(self)
        method(self)

    return both


def test_patience_stops_training_early() -> None:
    """Best epoch e and patience p leave exactly e + p + 1 epochs in the curve."""
    words = (*WORDS, "optimizer.lr=0.5", "protocol.epochs=20", "protocol.patience=2")
    record = sgbench.run(*words)
    assert record.best_epoch is not None
    assert len(record.curve) == record.best_epoch + 3 < 20


def test_same_seed_same_record_other_seed_another() -> None:
    """Must match: the same words, apart from times. Must differ: another seed, in scores and weights."""
    first = sgbench.run(*WORDS, "seed=1")
    again = sgbench.run(*WORDS, "seed=1", "force=true")
    other = sgbench.run(*WORDS, "seed=2")
    assert comparable(first) == comparable(again)
    assert first.weights_sha256 != other.weights_sha256
    assert first.curve != other.curve
    assert first.method_id == other.method_id


def test_a_finished_run_is_read_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is never entered a second time, unless force=true."""
    first = sgbench.run(*WORDS)

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Learner, "training_step", refuse)
    assert sgbench.run(*WORDS) == first
    assert sgbench.run(*WORDS, "force=true").status == "failed"


def test_a_failed_run_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed record is not a result."""
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", lambda *_: 1 / 0)
        failed = sgbench.run(*WORDS)
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.kind == "ZeroDivisionError"
    assert sgbench.run(*WORDS).status == "finished"


@pytest.mark.parametrize(("layer", "name"), [(0, "hidden0"), (1, "readout")])
def test_nan_in_a_layer_stops_with_its_name(monkeypatch: pytest.MonkeyPatch, layer: int, name: str) -> None:
    """A weight set to NaN in the second epoch: a failed record that names the layer and the epoch."""

    def poison(self: Learner) -> None:
        if self.current_epoch == 1:
            with torch.no_grad():
                self.network.layers[layer].weight[0, 0] = float("nan")

    monkeypatch.setattr(Learner, "on_train_epoch_start", poison)
    record = sgbench.run(*WORDS)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.kind == NonFiniteError.__name__
    assert f"'{name}'" in record.failure.message
    assert "epoch 1" in record.failure.message
    assert record.test is None
    assert len(record.curve) == 1


def test_a_diverging_learning_rate_is_a_failed_record_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """An infinite membrane potential from a real cause: a decay of 1 and a current that overflows float32."""
    monkeypatch.setattr(Leaky, "step", _overflowing(Leaky.step))
    record = sgbench.run(*WORDS)
    assert record.status == "failed"
    assert record.failure is not None
    assert "hidden0" in record.failure.message


def _overflowing(step):
    return lambda self, current, state: step(self, current * 3e38 * 10, state)


def test_killed_in_mid_run_then_continued(runs_dir: Path) -> None:
    """SIGKILL after the first checkpoint; the continued record equals an undisturbed one, times apart."""
    words = (*WORDS, "protocol.epochs=40", "seed=5", "encoder=rate")
    spec = compose(words)
    folder = folder_of(spec)
    process = subprocess.Popen(
        [sys.executable, "-m", "sgbench", "run", *words], stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    deadline = time.monotonic() + 60
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / "last.ckpt").exists()
    assert not (folder / "record.json").exists(), "the run was meant to be interrupted"
    continued = run_spec(spec)
    undisturbed = sgbench.run(*words, f"paths.runs_dir={runs_dir / 'other'}")
    assert continued.timing.resumed == 1
    assert undisturbed.timing.resumed == 0
    assert comparable(continued) == comparable(undisturbed)


def test_ctrl_c_stops_with_130_and_keeps_the_checkpoint() -> None:
    """SIGINT in mid-run: exit code 130, one line that says how to go on, no record."""
    words = (*WORDS, "protocol.epochs=2000", "seed=8")
    folder = folder_of(compose(words))
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
         f"import sys; from sgbench.cli.main import main; sys.exit(main(['run', *{words!r}]))"],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command continues" in said
    assert (folder / "last.ckpt").exists()
    assert not (folder / "record.json").exists()


def test_a_damaged_checkpoint_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Half a checkpoint is said and dropped; the result is that of a run from the start."""
    spec = compose((*WORDS, "seed=4"))
    folder = folder_of(spec)
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"PK\x03\x04 half a file")
    record = run_spec(spec)
    assert record.status == "finished"
    assert record.timing.resumed == 0
    assert "damaged" in caplog.text


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


def test_two_processes_at_once_leave_one_whole_record(runs_dir: Path) -> None:
    """Started together on the same run: at least one finishes, a loser says why, the record is valid."""
    words = (*WORDS, "seed=9")
    command = [sys.executable, "-m", "sgbench", "run", *words]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes
    for code, line in zip(codes, said, strict=True):
        assert code == 0 or "another process is writing this run" in line
    (path,) = runs_dir.rglob("record.json")
    assert read_model(path, RunRecord).status == "finished"


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A file stands where the runs' folder should be."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(StorageError, match=r"cannot be written.*paths.runs_dir"):
        sgbench.run(*WORDS, f"paths.runs_dir={blocked}")


def test_a_full_disk_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No space while the new record is written: a clear line, and the old record is still whole."""
    first = sgbench.run(*WORDS)
    folder = folder_of(compose(WORDS))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        sgbench.run(*WORDS, "force=true")
    monkeypatch.undo()
    assert read_model(folder / "record.json", RunRecord) == first
    assert not list(folder.glob(".record.json.*"))


def test_weights_rebuild_the_network_of_the_record() -> None:
    """The stored tensors are those of the catalogue's own network, by name and shape."""
    sgbench.run(*WORDS)
    weights = load_file(folder_of(compose(WORDS)) / "weights.safetensors")
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "layers.0.weight": (8, 64),
        "layers.1.weight": (10, 8),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("neuron=synaptic", "network.recurrence=all_to_all", "neuron.learn_beta=per_neuron"),
        ("rule=eprop", "loss=per_step", "network.recurrence=one_to_one"),
        ("neuron@readout=leaky", "loss=spike_count", "regulariser=activity_bounds", "optimizer=sgd"),
        ("encoder=direct", "loss=last_step", "rule.window=2", "clip_norm=1.0", "protocol.precision=float64"),
        ("loss=sum_over_time", "init=uniform", "network.bias=true", "protocol.hidden=[8,8]"),
    ],
    ids=" ".join,
)
def test_every_kind_of_part_trains(words: tuple[str, ...]) -> None:
    """Each entry of each group stands in one finished run."""
    record = sgbench.run(*WORDS, *words)
    assert record.failure is None
    assert record.counts is not None
    assert record.counts.samples == 360


def test_bad_values_leave_no_run_behind(runs_dir: Path) -> None:
    """A value out of range is refused before anything is stored."""
    with pytest.raises(InputError, match=r"neuron.beta=2"):
        sgbench.run(*WORDS, "neuron.beta=2")
    assert not list(runs_dir.rglob("record.json"))


def test_record_is_plain_json_without_paths(runs_dir: Path) -> None:
    """A record can be published: it names no folder of the machine that made it."""
    sgbench.run(*WORDS)
    text = (folder_of(compose(WORDS)) / "record.json").read_text()
    assert str(runs_dir) not in text
    assert str(Path.home()) not in text
    assert json.loads(text)["schema_version"] == 1
