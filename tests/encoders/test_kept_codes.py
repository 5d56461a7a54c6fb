"""Codes that are kept from epoch to epoch against codes made anew."""

from pathlib import Path

import pytest
import torch

from fastspiking import bins
from fastspiking.signals.spikes import SparseSpikes
from sgbench.composition import catalogue
from sgbench.datasets import kept as room
from sgbench.datasets.base import Samples
from sgbench.datasets.batches import SpikingData
from sgbench.datasets.kept import keep
from sgbench.encoders.base import Encoder
from tests.encoders.test_encoders import latency
from tests.entries import made

DRAWN = {"poisson", "rate", "random_bins", "time_shuffled", "time_shuffled_direct", "count_only"}
VALUES = torch.rand(300, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def with_values() -> list[str]:
    return [name for name in catalogue.entries("encoder") if "values" in made("encoder", name).takes]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", with_values())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_of_what_is_kept_is_the_code_of_these_samples(name, dtype):
    encoder = made("encoder", name)
    kept = keep(VALUES, encoder, noise(), dtype)
    position = torch.tensor([299, 0, 7, 256, 255])
    values = VALUES[position].to(dtype)
    code = encoder.encode(values, noise())
    if kept is None:  # it is dense, or drawn
        again = encoder.encode(values, torch.Generator().manual_seed(1))
        dense = not isinstance(code, SparseSpikes)
        assert dense or not torch.equal(code.dense(), again.dense())
        return
    found, lengths = kept.batch(position)
    assert torch.equal(found.indptr, code.indptr)
    assert torch.equal(found.index, code.index)
    assert found.index.dtype == code.index.dtype
    assert (found.value is None) == (code.value is None)
    assert found.value is None or torch.equal(found.value, code.value)
    assert (found.shape, found.dtype) == (code.shape, code.dtype)
    assert torch.equal(lengths, encoder.lengths(values))


@pytest.mark.slow
def test_some_codes_are_kept_and_some_are_not():
    names = {name for name in with_values() if keep(VALUES, made("encoder", name), noise(), torch.float32)}
    assert "latency" in names
    assert not names & DRAWN
    assert {"rate", "poisson"} & set(with_values())  # or that would say nothing


class ByBatch(Encoder):
    """A code that depends on the other samples of the batch, which no entry may have."""

    output = "binary"

    def encode(self, values, generator):
        step = (values / values.max() * (self.steps - 1)).floor()
        dense = torch.nn.functional.one_hot(step.long(), self.steps).permute(2, 0, 1)
        return SparseSpikes.of(dense.to(values.dtype))


class LongerWhenMany(ByBatch):
    """A code that takes a step a sample of the batch: 256 and 44 of those here."""

    def encode(self, values, generator):
        return SparseSpikes.of(torch.ones(len(values), *values.shape, dtype=values.dtype))


class Unseen(ByBatch):
    """A code that draws from torch's own generator, of which nobody was told."""

    def encode(self, values, generator):
        return SparseSpikes.of((torch.rand(self.steps, *values.shape) < 0.5).to(values.dtype))


@pytest.mark.parametrize("kind", [ByBatch, LongerWhenMany, Unseen])
def test_a_code_that_differs_from_batch_to_batch_is_not_kept(kind):
    assert keep(VALUES, kind(steps=5, dt_s=0.001), noise(), torch.float64) is None


def test_a_code_that_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(room, "MOST_BYTES", 1000)
    assert keep(VALUES, latency(), noise(), torch.float64) is None


class Anew(SpikingData):
    """Data that keep nothing."""

    def epoch(self, epoch):
        batches = super().epoch(epoch)
        batches.kept = None
        return batches


def test_epochs_are_the_same_with_and_without_keeping():
    encoder, sets = latency(), []
    for kind in (SpikingData, Anew):
        data = kind(made("dataset", "digits"), made("encoder", "latency"), data_dir=Path(), batch_size=50, seed=0,
                    dtype=torch.float32)  # fmt: skip
        data.setup()
        sets.append(data)
    assert encoder is not None
    for epoch in (0, 1, 2):
        for mine, theirs in zip(*(data.epoch(epoch) for data in sets), strict=True):
            assert torch.equal(mine.x.dense(), theirs.x.dense())
            assert torch.equal(mine.target, theirs.target)
            assert torch.equal(mine.lengths, theirs.lengths)
    assert sets[0].epoch(0).kept is None  # one look at the data is not worth it
    assert sets[0].epoch(1).kept is not None


def test_runs_that_share_their_data_share_what_is_kept():
    one, other = (
        SpikingData(made("dataset", "digits"), latency(steps=10), data_dir=Path(), batch_size=50, seed=seed,
                    dtype=torch.float32)
        for seed in (0, 1)
    )  # fmt: skip
    one.setup()
    other.share(one)
    assert one.epoch(1).kept is other.epoch(2).kept is not None


@pytest.mark.parametrize("compiled", [True, False])
def test_rows_that_lie_sample_after_sample_become_rows_of_steps(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(bins, "_loops", lambda: None)
    test_a_batch_of_what_is_kept_is_the_code_of_these_samples("latency", torch.float32)


def test_packing_with_and_without_compiled_loops_is_the_same(monkeypatch):
    encoder, values = latency(threshold=0.4), VALUES.float()
    values[0] = 0.4000001  # later than the last step
    code = encoder.encode(values, noise())
    monkeypatch.setattr(bins, "_loops", lambda: None)
    monkeypatch.setattr("sgbench.encoders.base.packed_steps", bins.packed_steps)
    sorted_code = encoder.encode(values, noise())
    assert torch.equal(code.indptr, sorted_code.indptr)
    assert torch.equal(code.index, sorted_code.index)
    assert 0 < len(code.index) < values.numel()


def test_samples_carry_lengths_of_their_own_past_what_is_kept():
    data = SpikingData(made("dataset", "digits"), latency(steps=10), data_dir=Path(), batch_size=50, seed=0,
                       dtype=torch.float32)  # fmt: skip
    data.setup()
    samples = data.splits["train"]
    shorter = Samples(samples.values, samples.target, torch.full((len(samples.target),), 7))
    data.splits = type(data.splits)({"train": shorter})
    assert {int(length) for batch in data.epoch(1) for length in batch.lengths} == {7}


def test_a_drawn_code_is_the_same_whether_or_not_somebody_has_looked_if_it_stays():
    """Its noise is that of seed and epoch alone: of a fresh object, and of one that shares what another found."""
    first, second = (
        SpikingData(made("dataset", "digits"), made("encoder", "rate"), data_dir=Path(), batch_size=50, seed=0,
                    dtype=torch.float32)
        for _ in range(2)
    )  # fmt: skip
    first.setup()
    looked = next(iter(first.epoch(1))).x
    second.share(first)
    assert first.kept == {"train": None}
    assert torch.equal(looked.dense(), next(iter(second.epoch(1))).x.dense())
    assert torch.equal(looked.dense(), next(iter(first.epoch(1))).x.dense())
