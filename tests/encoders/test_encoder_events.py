"""Recorded spikes in time steps: none is lost, whatever the step, the pooling and the polarities.

Legend: T steps, B batch, N channels, M inputs; a camera's channel is (p H + y) W + x.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sgbench
from fastspiking.bins import bin_spikes, count_late_spikes, edges_us
from fastspiking.signals.spikes import SparseSpikes, SpikeTrains
from sgbench.encoders.binned import Binned
from sgbench.encoders.count_only import CountOnly
from sgbench.encoders.event_bins import EventBins
from sgbench.encoders.time_shuffled import TimeShuffled
from sgbench.errors import InputError
from tests.run.tiny import WORDS

NOTHING = torch.Generator()
many = settings(max_examples=40)
IMAGE = (2, 5, 7)
spikes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 69), st.integers(0, 40_000)), max_size=60)
widths = st.sampled_from([0.001, 0.0003, 0.007, 1 / 3000, 0.0405])


def encoder(**changes: object) -> EventBins:
    plain = {"steps": 60, "dt_s": 0.001, "crop": True, "form": "count", "polarity": "separate", "pool": 1}
    return EventBins(**{**plain, **changes})


def trains_of(drawn: list[tuple[int, int, int]], channels: int = 70) -> SpikeTrains:
    sample, channel, time_us = (list(part) for part in zip(*drawn, strict=True)) if drawn else ([], [], [])
    return SpikeTrains.of(sample, channel, time_us, [40_001] * 3, channels)


@many
@given(spikes, widths, st.integers(1, 50), st.sampled_from([1, 2, 3, 100]), st.sampled_from(["camera", "plain"]))
def test_as_counts_every_spike_arrives_where_it_belongs(drawn, dt_s, steps, pool, kind):
    """Expected: Python's own count over (sample, step, pooled place), and the rest is what `truncated` says."""
    code = encoder(dt_s=dt_s, steps=steps, pool=pool, image=IMAGE if kind == "camera" else None)
    trains = trains_of(drawn)
    found = code.encode(trains, NOTHING)
    exact_us = 1e6 / 3000 if dt_s == 1 / 3000 else round(dt_s * 1e6)
    wanted = np.zeros((steps, 3, code.channels(70)))
    late = 0
    for sample, channel, time_us in drawn:
        step = int(np.floor(time_us / exact_us))
        if step >= steps:
            late += 1
            continue
        wanted[step, sample, pooled(channel, pool, kind)] += 1
    assert torch.equal(found.dense(), torch.from_numpy(wanted))
    assert code.truncated(trains) == late
    assert found.dense().sum() + late == len(drawn)
    again = SparseSpikes.of(found.dense())
    assert torch.equal(found.indptr, again.indptr)
    assert torch.equal(found.index, again.index)


def pooled(channel: int, pool: int, kind: str) -> int:
    """By hand, from x, y and p."""
    if kind == "plain":
        return channel // pool
    _, height, width = IMAGE
    x, y, p = channel % width, channel // width % height, channel // (width * height)
    rows, columns = -(-height // pool), -(-width // pool)
    return (p * rows + y // pool) * columns + x // pool


@many
@given(spikes, st.sampled_from([1, 2, 3]))
def test_binary_is_one_where_counts_are_not_zero(drawn, pool):
    """Expected: the sign of the counts; equal to `binned` where nothing is pooled."""
    trains = trains_of(drawn)
    counts = encoder(pool=pool).encode(trains, NOTHING)
    ones = encoder(pool=pool, form="binary").encode(trains, NOTHING)
    assert ones.value is None
    assert torch.equal(ones.dense(), counts.dense().sign())
    if pool == 1:
        plain = Binned(steps=60, dt_s=0.001, crop=True).encode(trains, NOTHING)
        assert torch.equal(plain.index, ones.index)
        assert torch.equal(plain.indptr, ones.indptr)


@pytest.mark.parametrize("form", ["binary", "count"])
@pytest.mark.parametrize("pool", [1, 3])
def test_without_compiled_loops_the_same_comes_of_sorting(form, pool, monkeypatch):
    """Must match: field by field, where numba cannot be used."""
    random = np.random.default_rng(0)
    trains = trains_of(list(zip(*(random.integers(0, high, 500).tolist() for high in (3, 70, 40_000)), strict=True)))
    code = encoder(form=form, pool=pool, steps=30, image=IMAGE)
    fast = code.encode(trains, NOTHING)
    monkeypatch.setattr("fastspiking.bins._loops", lambda: None)
    slow = code.encode(trains, NOTHING)
    assert torch.equal(fast.indptr, slow.indptr)
    assert torch.equal(fast.index, slow.index)
    assert (fast.value is None) == (slow.value is None) == (form == "binary")
    assert fast.value is None or torch.equal(fast.value, slow.value)
    assert slow.index.dtype == torch.int32


@many
@given(spikes)
def test_merged_polarities_are_the_sum_of_both(drawn):
    """Expected: the two halves of the channels added."""
    trains = trains_of(drawn)
    both = encoder(image=IMAGE).encode(trains, NOTHING).dense()
    merged = encoder(image=IMAGE, polarity="merged").encode(trains, NOTHING).dense()
    assert torch.equal(merged, both[..., :35] + both[..., 35:])
    assert encoder(image=IMAGE, polarity="merged", pool=3).image_of(IMAGE) == (1, 2, 3)


def test_counts_are_real_and_ones_binary():
    """Expected: what an energy count needs to know."""
    assert encoder(form="count").output == "real"
    assert encoder(form="binary").output == "binary"
    assert EventBins.output == "binary"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"form": "bits"}, r"^encoder\.form='bits': one of binary, count"),
        ({"polarity": "both"}, r"^encoder\.polarity='both': one of separate, merged"),
        ({"polarity": "merged"}, r"^encoder\.polarity=merged: the data set has no polarities"),
        ({"pool": 0}, r"^encoder\.pool=0: a whole number of at least 1"),
        ({"crop": 1}, r"^encoder\.crop=1: true or false"),
    ],
)
def test_wrong_choices_are_named(changes, complaint):
    """Expected: one line that begins with the option."""
    with pytest.raises(InputError, match=complaint):
        encoder(**changes)


@pytest.mark.parametrize("dt_s", [0.001, 0.0003, 1 / 3000, 1 / 7, 0.0141])
def test_edges_are_where_the_step_changes(dt_s):
    """Expected: at each edge the step of `SpikeTrains`, one microsecond before it the step before."""
    edges = edges_us(40, dt_s)
    at = [*edges.tolist(), *(edge - 1 for edge in edges.tolist()[1:])]
    trains = SpikeTrains.of([0] * len(at), range(len(at)), at, [max(at)], len(at))
    steps = trains.step_of(dt_s)[trains.channel.argsort()].tolist()
    assert steps == [*range(41), *range(40)]


@pytest.mark.parametrize("kind", [Binned, CountOnly, TimeShuffled])
def test_every_code_that_crops_says_how_much(kind):
    """Expected by hand: two of three spikes lie behind two steps of a millisecond; nothing without `crop`."""
    trains = SpikeTrains.of([0, 0, 1], [0, 1, 1], [1999, 2000, 5000], [9000, 9000], 2)
    more = {CountOnly: {"gain": 1.0}, TimeShuffled: {"channels": "apart"}}.get(kind, {})
    assert kind(steps=2, dt_s=0.001, crop=True, **more).truncated(trains) == 2
    assert kind(steps=2, dt_s=0.001, crop=False, **more).truncated(trains) == 0


def test_tonics_frames_drop_what_we_keep():
    """Must differ: the last spike in `n_time_bins`, those of the last window in `time_window`; ours keeps all."""
    pytest.importorskip("tonic", reason="tonic is not installed: pip install 'sgbench[events]'")
    from tonic import transforms

    random = np.random.default_rng(0)
    time_us = np.sort(random.choice(310_000, 4000, replace=False))
    channel = random.integers(0, 35, 4000)
    events = np.zeros(4000, [("x", int), ("y", int), ("t", int), ("p", int)])
    events["x"], events["y"], events["t"] = channel % 7, channel // 7, time_us
    kept = []
    for how in ({"n_time_bins": 10}, {"time_window": 30_000}):
        kept.append(int(transforms.ToFrame(sensor_size=(7, 5, 1), **how)(events).sum()))
    ours = encoder(dt_s=0.03, steps=11).encode(SpikeTrains.of([0] * 4000, channel, time_us, [310_000], 35), NOTHING)
    assert kept[0] == 3999
    assert kept[1] < 3999
    assert ours.dense().sum() == 4000


def test_a_spike_exactly_at_the_end_of_sample_and_steps_is_counted_as_left_out():
    """By hand: of the only step, until 1000 us, 1000 us (the end of sample 0, too) and 1001 us lie outside."""
    trains = SpikeTrains.of([0, 0, 1, 2], [0, 0, 0, 0], [999, 1000, 1001, 500], [1000, 1001, 900], 1)
    assert count_late_spikes(trains, 1, 0.001) == 2
    assert bin_spikes(trains, 1, 0.001, counts=True).dense().sum() == 4 - 2


def test_a_record_says_how_many_spikes_were_left_out():
    """Expected by hand: of a task of 100 ms cropped to 60, its spikes from 60 ms on; nothing where none is."""
    words = ["experiment=randman", "dataset.samples=[4,2,2]", "protocol.hidden=[4]", "protocol.epochs=1"]
    words += [word for word in WORDS if word.startswith("trainer")]
    made = sgbench.create("dataset/randman", samples=[4, 2, 2])
    splits = made.load(None)
    expected = {split: int((own.values.time_us >= 20_000).sum()) for split, own in splits.items()}
    short = sgbench.run(*words, "encoder.crop=true", "protocol.steps=20")
    assert short.status == "finished", short.failure
    assert short.provenance.truncated_spikes == expected
    assert count_late_spikes(splits["test"].values, 20, 0.001) == expected["test"] > 0
    whole = sgbench.run(*words, "seed=1")
    assert whole.provenance.truncated_spikes is None
    assert "truncated_spikes" not in whole.model_dump_json()
    assert "truncated_spikes" in short.model_dump_json()


@pytest.mark.parametrize("channel", [-1, 2, 70, 100_000_000])
@pytest.mark.parametrize("counts", [False, True])
def test_a_spike_outside_the_channels_is_refused(channel, counts):
    """It would be written outside of the loops' arrays."""
    fine = SpikeTrains.of([0, 0], [0, 1], [100, 200], [3000], 2)
    trains = replace(fine, channel=torch.tensor([0, channel], dtype=torch.int32))
    with pytest.raises(InputError, match=r"a spike outside channels 0\.\.1"):
        bin_spikes(trains, 3, 0.001, counts=counts)
