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
from sgbench.composition.compose import compose
from sgbench.datasets.base import Split
from sgbench.datasets.batches import Batches, SpikingData
from sgbench.errors import InputError, NonFiniteError, RunBusyError, StorageError
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.sweeps.outcome import problem
from sgbench.training import memory
from sgbench.training.build import build
from sgbench.training.learner import LastEpoch, Learner
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.run.tiny import WORDS, comparable
from tests.thinned import thinned


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


def test_predictions_score_to_the_recorded_accuracy(finished: RunRecord) -> None:
    """Counting hits in the file by hand gives the record's accuracy; logits and prediction agree."""
    text = (folder_of(compose(WORDS)) / "predictions.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert finished.test is not None
    assert len(rows) == finished.test.samples == 360
    hits = sum(row["target"] == row["prediction"] for row in rows)
    assert finished.test.accuracy == hits / len(rows)
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


def test_a_finished_run_is_read_not_repeated(finished: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is never entered a second time, unless force=true."""

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Learner, "training_step", refuse)
    assert sgbench.run(*WORDS) == finished
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


@pytest.mark.parametrize(
    ("layer", "name"), [(0, "hidden0"), pytest.param(1, "readout", marks=pytest.mark.slow)]
)
def test_nan_in_a_layer_stops_with_its_name(monkeypatch: pytest.MonkeyPatch, layer: int, name: str) -> None:
    """A weight set to NaN in the second epoch: a failed record that names the layer and the epoch."""

    begin = Learner.on_train_epoch_start

    def poison(self: Learner) -> None:
        begin(self)
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


@pytest.mark.parametrize("engine", thinned(["fused", "scan", "reference"], 3))
def test_an_overflowing_potential_is_a_failed_record_not_a_crash(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """An infinite membrane potential from finite weights: their sum overflows float32."""

    def swell(self: Learner) -> None:
        with torch.no_grad():
            self.network.layers[0].weight.fill_(3e38)

    monkeypatch.setattr(Learner, "on_train_epoch_start", swell)
    record = sgbench.run(*WORDS, f"engine={engine}")
    assert record.status == "failed"
    assert record.failure is not None
    assert "layer 'hidden0': the membrane potential is not finite" in record.failure.message
    assert record.failure.message.endswith("; to see why: sgbench diagnose RUN")
    spec = compose([*WORDS, f"engine={engine}"])
    said = problem(spec, record)
    assert said is not None
    assert said.endswith(f"; to see why: sgbench diagnose {folder_of(spec)}")


@pytest.mark.slow
def test_killed_in_mid_run_then_continued(runs_dir: Path) -> None:
    """SIGKILL after the first checkpoint; the continued record equals an undisturbed one, times apart."""
    words = (*WORDS, "protocol.epochs=40", "seed=5", "encoder=rate")
    spec = compose(words)
    folder = folder_of(spec)
    process = subprocess.Popen(
        [sys.executable, "-m", "sgbench", "run", *words], stdout=subprocess.DEVNULL, env=dict(os.environ)
    )
    deadline = time.monotonic() + 300
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


@pytest.mark.slow
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
    deadline = time.monotonic() + 300
    while not (folder / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
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
        assert code == 0 or "another process is writing this run" in line
    (path,) = runs_dir.rglob("record.json")
    assert read_model(path, RunRecord).status == "finished"


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A file stands where the runs' folder should be."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(StorageError, match=r"cannot be written.*paths.runs_dir"):
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


@pytest.mark.usefixtures("finished")
def test_weights_rebuild_the_network_of_the_record() -> None:
    """The stored tensors are those of the catalogue's own network, by name and shape."""
    weights = load_file(folder_of(compose(WORDS)) / "weights.safetensors")
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "layers.0.weight": (8, 64),
        "layers.1.weight": (10, 8),
    }


@pytest.mark.parametrize(
    "words",
    [
        ("neuron=synaptic", "network.recurrence=all_to_all", "neuron.learn_beta=per_neuron"),
        (
            "rule=eprop",
            "loss=per_step",
            "network.recurrence=one_to_one",
            "network.recurrence_gradient=cut",
        ),
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


def test_seeds_differ_from_the_first_weights_on() -> None:
    """Must differ: initial weights of two seeds in every layer. Must match: the same seed twice."""

    def weights(seed: int) -> list[torch.Tensor]:
        return list(build(compose((*WORDS, f"seed={seed}"))).network.parameters())

    for ours, again, other in zip(weights(0), weights(0), weights(1), strict=True):
        assert torch.equal(ours, again)
        assert not torch.equal(ours, other)


def _stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training as Ctrl-C would, after the checkpoint of that many epochs."""
    keep = LastEpoch.on_train_epoch_end

    def keep_and_stop(self: LastEpoch, trainer, pl_module) -> None:
        keep(self, trainer, pl_module)
        if trainer.current_epoch + 1 == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(LastEpoch, "on_train_epoch_end", keep_and_stop)


def test_a_continued_run_remembers_its_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch from the third on is made bad, so the best lies before the interruption after the fourth."""

    def spoil(self: Learner) -> None:
        if self.current_epoch >= 2:
            with torch.no_grad():
                self.network.layers[1].weight.zero_()

    monkeypatch.setattr(
        Learner, "on_validation_epoch_start", _first(spoil, Learner.on_validation_epoch_start)
    )
    words = (*WORDS, "protocol.epochs=6")
    undisturbed = sgbench.run(*words, "force=true")
    with monkeypatch.context() as patch:
        _stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words, "force=true")
    (folder_of(compose(words)) / "record.json").unlink()
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert continued.best_epoch == undisturbed.best_epoch == 1
    assert comparable(continued) == comparable(undisturbed)


def test_a_run_whose_patience_is_out_trains_no_further_when_continued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted after the very epoch that ended training: the continued curve is the undisturbed one."""
    words = (*WORDS, "optimizer.lr=0.5", "protocol.epochs=20", "protocol.patience=2")
    undisturbed = sgbench.run(*words)
    (folder_of(compose(words)) / "record.json").unlink()
    with monkeypatch.context() as patch:
        _stop_after(len(undisturbed.curve), patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*words)
    continued = sgbench.run(*words)
    assert continued.timing.resumed == 1
    assert comparable(continued) == comparable(undisturbed)


def test_force_starts_from_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that lies there is dropped, not continued."""
    with monkeypatch.context() as patch:
        _stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*WORDS)
    assert (folder_of(compose(WORDS)) / "last.ckpt").exists()
    assert sgbench.run(*WORDS, "force=true").timing.resumed == 0


def test_a_checkpoint_of_other_versions_is_not_continued(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One run is made by one set of versions, which its record states."""
    with monkeypatch.context() as patch:
        _stop_after(1, patch)
        patch.setattr("sgbench.training.provenance.Code.made_by", lambda *_: {"torch": "0.0"})
        with pytest.raises(KeyboardInterrupt):
            sgbench.run(*WORDS)
    assert sgbench.run(*WORDS).timing.resumed == 0
    assert "other versions" in caplog.text


def test_threads_are_those_of_the_record() -> None:
    """Sums over threads differ in the last bits, so a run sets the number that it records."""
    torch.set_num_threads(2)
    record = sgbench.run(*WORDS, "trainer.threads=1")
    assert torch.get_num_threads() == record.provenance.threads == 1


def test_training_never_reads_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """The split is asked for once, after the last epoch."""
    asked: list[str] = []
    evaluation, epoch = SpikingData.evaluation, SpikingData.epoch

    def watch(self: SpikingData, split: Split) -> Batches:
        asked.append(split)
        return evaluation(self, split)

    def watch_epoch(self: SpikingData, number: int) -> Batches:
        asked.append("train")
        return epoch(self, number)

    monkeypatch.setattr(SpikingData, "evaluation", watch)
    monkeypatch.setattr(SpikingData, "epoch", watch_epoch)
    record = sgbench.run(*WORDS)
    assert asked.count("train") >= len(record.curve)
    assert asked.count("test") == 1
    assert asked[-1] == "test"


def test_a_failing_logger_costs_no_result(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The record is written before copies are sent."""

    def unreachable(*_: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("sgbench.training.loggers.publish", unreachable)
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


@pytest.mark.slow
def test_peak_memory_is_of_the_run_not_of_the_process() -> None:
    """After 300 MB came and went, a tiny run's peak is below that of the time with them; freed memory is kept."""
    sgbench.run(*WORDS, "seed=8")  # what a run imports is in memory then, and freed memory is kept
    ballast = torch.ones(300 * 2**20 // 4)
    if not memory.reset_peak():
        pytest.skip("this system does not let a process reset its peak memory")
    with_ballast = memory.peak_bytes()
    del ballast
    record = sgbench.run(*WORDS)
    assert with_ballast is not None
    assert record.peak_memory_bytes is not None
    assert record.peak_memory_bytes < with_ballast - 200 * 2**20


def test_an_overflowed_optimiser_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights would stand still in silence; the record names the optimiser's state."""

    def overflow(self: Learner) -> None:
        for state in self.optimizer.state.values():
            state["exp_avg_sq"].fill_(float("inf"))

    monkeypatch.setattr(
        Learner, "on_validation_epoch_start", _first(overflow, Learner.on_validation_epoch_start)
    )
    record = sgbench.run(*WORDS)
    assert record.failure is not None
    assert "exp_avg_sq is not finite" in record.failure.message
