"""A run from top to bottom: its record is complete, reproducible and of the best epoch."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import sgbench
from sgbench.composition.compose import compose
from sgbench.datasets.base import Split
from sgbench.datasets.batches import Batches, SpikingData
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.training import memory
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from sgbench.training.run_folder import folder_of
from tests.run.hooks import before_validation
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

    def forget(self: Training) -> None:
        if self.epoch >= 3:
            with torch.no_grad():
                self.network.layers[1].weight.zero_()

    monkeypatch.setattr(Training, "begin_scoring", before_validation(forget))
    record = sgbench.run(*WORDS, "protocol.epochs=6", "protocol.monitor=validation_accuracy")
    accuracies = [line.validation_accuracy for line in record.curve]
    assert record.validation is not None
    assert record.best_epoch is not None
    assert record.best_epoch == accuracies.index(max(accuracies)) < 3
    assert record.validation.accuracy == max(accuracies) > max(accuracies[3:])


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

    monkeypatch.setattr(Training, "train", refuse)
    assert sgbench.run(*WORDS) == finished
    assert sgbench.run(*WORDS, "force=true").status == "failed"


@pytest.mark.usefixtures("finished")
def test_weights_rebuild_the_network_of_the_record() -> None:
    """The stored tensors are those of the catalogue's own network, by name and shape."""
    weights = load_file(folder_of(compose(WORDS)) / "weights.safetensors")
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "layers.0.weight": (8, 64),
        "layers.1.weight": (10, 8),
    }


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        ("neuron=synaptic", "network.recurrence=all_to_all", "neuron.learn_beta=per_neuron"),
        ("rule=eprop", "loss=per_step", "network.recurrence=one_to_one", "network.recurrence_gradient=cut"),
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
