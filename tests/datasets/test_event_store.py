"""Prepared spike trains on disk: what is written is what is read, in order, in batches and in steps.

Legend: S samples, N channels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastspiking.bins import bin_spikes
from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.formats.event_store import Recording, StoredTrains, Writer, read
from sgbench.errors import InputError, StorageError
from sgbench.training.memory import peak_bytes, reset_peak
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("cache")
N = 5


def written(folder: Path, recordings: Iterable[Recording], channels: int = N) -> StoredTrains:
    with Writer(folder, channels) as writer:
        for recording in recordings:
            writer.add(recording)
    values = read(folder).values
    assert isinstance(values, StoredTrains)
    return values


samples = st.lists(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 3000)), max_size=12), max_size=6)


@settings(max_examples=40)
@given(samples)
def test_every_spike_comes_back_in_order(tmp_path_factory, drawn):
    """Expected: Python's own sort of each sample by time and channel, whatever order it came in, also of none."""
    folder = tmp_path_factory.mktemp("store") / "train"
    recordings = [Recording([c for c, _ in own], [t for _, t in own], 7) for own in drawn]
    trains = written(folder, recordings)
    assert len(trains) == len(drawn)
    for place, own in enumerate(drawn):
        one = trains[torch.tensor([place])]
        assert list(zip(one.time_us.tolist(), one.channel.tolist(), strict=True)) == sorted((t, c) for c, t in own)
        assert one.duration_us.tolist() == [max((t for _, t in own), default=0) + 1]
    assert trains.problem() is None
    assert read(folder).target.tolist() == [7] * len(drawn)


def test_batches_of_a_file_equal_those_of_memory(tmp_path):
    """Expected: the same samples held in memory, field by field, in any order and twice."""
    random = np.random.default_rng(0)
    recordings = [
        Recording(random.integers(0, N, k), random.integers(0, 9000, k), 0) for k in random.integers(0, 50, 20)
    ]
    trains = written(tmp_path / "train", recordings)
    memory = SpikeTrains(trains.indptr, trains.channel, trains.time_us, trains.duration_us, N)
    position = torch.tensor([3, 19, 3, 0])
    found, expected = trains[position].to(torch.float32), memory[position]
    for field in ("indptr", "channel", "time_us", "duration_us"):
        assert torch.equal(getattr(found, field), getattr(expected, field))
    assert found.dtype == torch.float32


@pytest.mark.slow
@settings(max_examples=40)
@given(samples, st.sampled_from([1, 3, 7]), st.sampled_from([0.0001, 0.0013]), st.booleans())
def test_steps_of_a_file_equal_those_of_memory(tmp_path_factory, drawn, steps, dt_s, folded):
    """Expected: the rows that the same samples in memory give, late spikes, pooling and silent samples included."""
    recordings = [Recording([c for c, _ in own], [t for _, t in own], 7) for own in drawn]
    trains = written(tmp_path_factory.mktemp("store") / "train", recordings)
    position = torch.arange(len(drawn)).flip(0)
    memory = SpikeTrains(trains.indptr, trains.channel, trains.time_us, trains.duration_us, N)[position]
    fold = np.array([0, 1, 1, 0, 2], np.int32) if folded else np.empty(0, np.int32)
    inputs = 3 if folded else N
    for counts in (False, True):
        ours, theirs = (
            bin_spikes(own, steps, dt_s, fold=fold, inputs=inputs, counts=counts) for own in (trains[position], memory)
        )
        assert torch.equal(ours.indptr, theirs.indptr)
        assert torch.equal(ours.index, theirs.index)
        assert torch.equal(ours.dense(), theirs.dense())
    assert trains[position][position].channel.tolist() == trains.channel.tolist()


@pytest.mark.parametrize(
    ("recording", "complaint"),
    [
        (Recording([5], [0], 0, name="a.bin"), r"^a\.bin: a spike of channel 5, outside 0\.\.4$"),
        (Recording([-1], [0], 0, name="a.bin"), r"^a\.bin: a spike of channel -1, outside"),
        (Recording([0], [-3], 0, name="a.bin"), r"^a\.bin: a spike at -3 us, outside 0\.\.2147483647$"),
        (Recording([0], [1 << 31], 0, name="a.bin"), r"^a\.bin: a spike at 2147483648 us"),
        (Recording([0, 1], [0], 0, name="a.bin"), r"^a\.bin: 2 channels but 1 times$"),
        (Recording([0], [11], 0, 10, name="a.bin"), r"lies behind its end at 10 us$"),
    ],
)
def test_impossible_spikes_are_refused(tmp_path, recording, complaint):
    """Expected: one line that names the file and the spike."""
    with pytest.raises(InputError, match=complaint):
        written(tmp_path / "train", [recording])


@pytest.mark.parametrize("channel", [N, 1 << 30, -1])
@pytest.mark.parametrize("counts", [False, True])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, channel, counts):
    """Expected: one line, before a compiled loop writes outside of its arrays; N - 1 must be let through."""
    trains = written(tmp_path / "train", [Recording([0, 1], [3, 4], 1)])
    for wrong in (N - 1, channel):
        np.array([0, wrong], np.int32).tofile(tmp_path / "train" / "channel.i32")
        if wrong == N - 1:
            assert bin_spikes(trains[torch.tensor([0])], 9, 1e-6, counts=counts).dense()[4, 0, wrong] == 1
            continue
        with raises_naming(StorageError, "0..4", "run again"):
            bin_spikes(trains[torch.tensor([0])], 9, 1e-6, counts=counts)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(tmp_path):
    """Expected: a pass over 160 MB of events takes no more memory than one over a quarter of it, within 8 MB."""
    random = np.random.default_rng(0)
    grown = []
    for count in (625, 2500):
        recordings = (Recording(random.integers(0, 700, 8000), np.arange(8000) * 100, 0) for _ in range(count))
        trains = written(tmp_path / str(count), recordings, channels=700)
        for position in torch.arange(count).split(125)[:2]:
            bin_spikes(trains[position], 100, 0.01)
        if not reset_peak():
            pytest.skip("the system does not tell the peak")
        before = peak_bytes()
        for position in torch.arange(count).split(125):
            bin_spikes(trains[position], 100, 0.01)
        grown.append(peak_bytes() - before)
    assert grown[1] < grown[0] + 8_000_000


def test_header_is_plain_json(tmp_path):
    """Expected by hand: counts of what was written."""
    written(tmp_path / "train", [Recording([0, 1], [3, 4], 1), Recording([], [], 0)])
    header = json.loads((tmp_path / "train" / "header.json").read_text())
    assert (header["channels"], header["samples"], header["spikes"]) == (N, 2, 2)
