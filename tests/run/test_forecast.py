"""`doctor --for`: what a few batches tell of an epoch, by a clock that samples alone move on, and of memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from fastspiking.signals.trajectory import Batch
from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.datasets import batches
from sgbench.datasets.batches import Batches
from sgbench.datasets.kept import keep
from sgbench.training import forecast, memory
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from tests.messages import lines_naming

DIGITS = ["experiment=digits", "encoder=latency", "protocol.batch_size=32"]
TRAIN_S, SCORE_S, ENCODE_S = 0.004, 0.001, 0.0005  # a sample


@dataclass
class FakeClock:
    """Stands still unless samples are encoded, trained or scored; the processor's runs twice as fast."""

    now_s: float = 0.0

    def read(self) -> float:
        return self.now_s

    def read_cpu(self) -> float:
        return 2 * self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """In place of work, time for each sample; the code of a split is kept as in a run."""
    clock = FakeClock()
    iterate = Batches.__iter__

    def passed(seconds: float, samples: int) -> None:
        clock.now_s += seconds * samples

    def train(self: Training, batch: Batch, optimizer: object) -> None:
        passed(TRAIN_S, len(batch.target))
        self.record_loss(batch, torch.zeros(()))

    def score(self: Training, batch: Batch) -> None:
        passed(SCORE_S, len(batch.target))

    def encoded(self: Batches) -> Iterator[Batch]:
        for batch in iterate(self):
            if self.kept is None:
                passed(ENCODE_S, len(batch.target))
            yield batch

    monkeypatch.setattr(Training, "train", train)
    monkeypatch.setattr(Training, "score", score)
    monkeypatch.setattr(Training, "end_epoch", lambda self: None)
    monkeypatch.setattr(
        forecast,
        "_score",
        lambda parts, training: [score(training, batch) for batch in parts.data.evaluation("validation")],
    )
    monkeypatch.setattr(Batches, "__iter__", encoded)
    monkeypatch.setattr(forecast.time, "perf_counter", clock.read)
    monkeypatch.setattr(forecast.time, "process_time", clock.read_cpu)
    return clock


def test_time_goes_with_samples_and_later_epochs_do_not_encode_what_is_kept(clock):
    """Expected by hand for 1078 training and 359 validation samples of the digits in batches of 32: the first epoch
    encodes all, a later one of spike times takes kept code for training; validation is encoded each time; the clock
    of the processor runs twice as fast; 40 epochs make a run."""
    spec = compose([*DIGITS, "protocol.epochs=40"])
    found = forecast.forecast(spec)
    train, validation = found.samples["train"], found.samples["validation"]
    assert (train, validation) == (1078, 359)
    assert dict(found.measured) == {"train": 128, "validation": 128}
    scoring = (SCORE_S + ENCODE_S) * validation
    first, later = (TRAIN_S + ENCODE_S) * train + scoring, TRAIN_S * train + scoring
    assert found.first_epoch.wall_s == pytest.approx(first)
    assert found.epoch.wall_s == pytest.approx(later)
    assert found.epoch.cpu_s == pytest.approx(2 * later)
    assert found.run.wall_s == pytest.approx(first + 39 * later)


def test_code_that_does_not_fit_is_made_anew_in_each_epoch(clock, monkeypatch):
    """Must differ from the case above: the code of four batches fits, that of all would not."""
    spec = compose(DIGITS)
    parts = build(spec)
    parts.data.setup()
    some = parts.data.splits["train"].values[:128]
    kept = keep(some, parts.encoder, torch.Generator(), torch.float32)
    assert kept is not None
    monkeypatch.setattr(forecast, "MOST_BYTES", forecast.bytes_of_code(kept) * 4)
    found = forecast.forecast(spec)
    assert found.epoch.wall_s == pytest.approx(found.first_epoch.wall_s)


def test_a_part_of_a_set_is_predicted_as_a_part(clock):
    """Expected by hand: 60 samples of each split are all there is."""
    found = forecast.forecast(compose(["experiment=digits", "protocol.first_samples=60"]))
    assert dict(found.measured) == dict(found.samples) == {"train": 60, "validation": 60}


def test_memory_of_what_is_not_measured_is_added(clock, monkeypatch):
    """Expected: the peak of the process, and for each sample that was left out its pixels and its code."""
    monkeypatch.setattr(memory, "peak_bytes", lambda: 10**9)
    spec = compose(DIGITS)
    found = forecast.forecast(spec)
    parts = build(spec)
    parts.data.setup()
    values = {split: parts.data.splits[split].values for split in ("train", "validation")}
    pixels = sum((len(own) - 128) * own[0].nbytes for own in values.values())
    kept = keep(values["train"], parts.encoder, torch.Generator(), torch.float32)
    assert kept is not None
    assert found.peak_bytes is not None
    assert found.peak_bytes - 10**9 == pytest.approx(pixels + forecast.bytes_of_code(kept), rel=0.1)
    monkeypatch.setattr(memory, "peak_bytes", lambda: None)
    assert forecast.forecast(spec).peak_bytes is None


def test_doctor_predicts_without_a_trace(tmp_path, monkeypatch, capsys):
    """Expected: the same as JSON and in words, with real batches; nothing is written, the test stays closed."""
    monkeypatch.setenv("SGBENCH_RUNS", str(tmp_path))
    monkeypatch.setattr(batches.SpikingData, "last_step", None)
    words = ["experiment=digits", "network.hidden=[8]", "protocol.batch_size=16"]
    assert main(["doctor", "--for", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measured"] == {"train": 64, "validation": 64}
    assert found["measured_train"]["cpu_s"] > 0
    assert found["epoch"]["wall_s"] > found["measured_train"]["wall_s"]
    assert found["peak_bytes"] > 2**26
    assert main(["doctor", "--for", *words]) == 0
    said = capsys.readouterr().out
    assert lines_naming(said, "64 of 1078", "64 of 359")
    assert "an epoch " in said
    assert list(tmp_path.iterdir()) == []
    assert main(["doctor", "--for", "experiment=shd"]) == 2
    assert lines_naming(capsys.readouterr().err, "shd_train.h5")
