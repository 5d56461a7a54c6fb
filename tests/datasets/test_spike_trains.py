"""Spike trains and their time steps, against counts by hand and NumPy.

Legend: S samples, N channels; times in whole microseconds.
"""

import numpy as np
import pytest
import torch

from fastspiking.signals.spikes import SparseSpikes, SpikeTrains, in_microseconds
from sgbench.encoders.binned import Binned
from sgbench.errors import InputError
from tests.messages import raises_naming


def some(count: int = 400, samples: int = 7, channels: int = 5, last_us: int = 20_000) -> SpikeTrains:
    """Random spikes in any order; one sample has none."""
    random = np.random.default_rng(0)
    sample = random.integers(0, samples - 1, count)
    durations = np.full(samples, last_us) - 1000 * np.arange(samples)
    time_us = (random.random(count) * durations[sample]).astype(int)
    return SpikeTrains.of(sample, random.integers(0, channels, count), time_us, durations, channels)


def as_set(trains: SpikeTrains) -> list[tuple[int, int, int]]:
    return sorted(zip(trains.sample().tolist(), trains.channel.tolist(), trains.time_us.tolist(), strict=True))


def test_packing_keeps_every_spike_and_sorts():
    """Expected: NumPy's own draw again, as a multiset; in order of sample, time, channel."""
    random = np.random.default_rng(0)
    sample = random.integers(0, 6, 400)
    durations = np.full(7, 20_000) - 1000 * np.arange(7)
    time_us = (random.random(400) * durations[sample]).astype(int)
    expected = sorted(
        (s, t, c)
        for s, c, t in zip(sample.tolist(), random.integers(0, 5, 400).tolist(), time_us.tolist(), strict=True)
    )
    trains = some()
    stored = list(zip(trains.sample().tolist(), trains.time_us.tolist(), trains.channel.tolist(), strict=True))
    assert stored == expected
    assert trains.problem() is None
    assert int(trains.indptr.diff()[-1]) == 0


def test_samples_are_taken_in_the_order_asked_for():
    """Expected: each chosen sample's own spikes, also twice, also the one without any."""
    trains = some()
    picked = trains[torch.tensor([3, 6, 3, 0])]
    own = {s: [(c, t) for each, c, t in as_set(trains) if each == s] for s in (0, 3, 6)}
    for place, source in enumerate((3, 6, 3, 0)):
        assert [(c, t) for each, c, t in as_set(picked) if each == place] == own[source]
        assert picked.duration_us[place] == trains.duration_us[source]
    assert len(own[6]) == 0 < len(own[3])


@pytest.mark.parametrize("dt_s", [0.001, 0.0005, 0.0003, 0.014, 1 / 3000])
def test_step_is_the_floor_of_the_time(dt_s):
    """Expected: floor(t / dt) in exact fractions, also on borders; the last step holds the last time."""
    from fractions import Fraction

    exact_us = Fraction(1_000_000, 3000) if dt_s == 1 / 3000 else Fraction(str(dt_s)) * 1_000_000
    times = [*range(0, 20_000, 7), *(k * 1000 for k in range(20)), 19_999]
    trains = SpikeTrains.of([0] * len(times), [0] * len(times), times, [20_000], 1)
    assert trains.step_of(dt_s).tolist() == [t // exact_us for t in sorted(times)]
    assert trains.steps(dt_s).tolist() == [-(-20_000 // exact_us)]
    assert in_microseconds(dt_s) == pytest.approx(float(exact_us), rel=1e-15)


def test_binned_spikes_equal_a_dense_count_by_hand():
    """Expected: one where NumPy counts at least one spike; packed in order, as `nonzero` finds them."""
    trains = some()
    signal = Binned(steps=25, dt_s=0.001, crop=False).encode(trains, torch.Generator())
    counted = np.zeros((25, 7, 5))
    np.add.at(counted, (trains.time_us.numpy() // 1000, trains.sample().numpy(), trains.channel.numpy()), 1)
    assert counted.max() > 1  # several in one step are one
    assert torch.equal(signal.dense(), torch.from_numpy((counted > 0).astype(float)))
    found = SparseSpikes.of(signal.dense())
    assert torch.equal(signal.indptr, found.indptr)
    assert torch.equal(signal.index, found.index)
    assert signal.value is None


def test_lengths_are_durations_and_not_the_protocol():
    """Expected by hand: 20 ms minus a millisecond each in steps of 1 ms; at least one step."""
    encoder = Binned(steps=25, dt_s=0.001, crop=False)
    assert encoder.lengths(some()).tolist() == [20, 19, 18, 17, 16, 15, 14]
    silent = SpikeTrains.of([], [], [], [0, 1], 3)
    assert encoder.lengths(silent).tolist() == [1, 1]
    assert encoder.encode(silent, torch.Generator()).dense().sum() == 0


def test_cropping_drops_what_is_late_and_nothing_else():
    """Expected: the first steps of the longer code; without `crop` the length tells of the excess."""
    trains = some()
    short, whole = (Binned(steps=steps, dt_s=0.001, crop=True) for steps in (6, 25))
    random = torch.Generator()
    assert torch.equal(short.encode(trains, random).dense(), whole.encode(trains, random).dense()[:6])
    assert short.lengths(trains).tolist() == [6] * 7
    assert Binned(steps=6, dt_s=0.001, crop=False).lengths(trains).max() == 20


def test_crop_is_a_switch():
    """Expected: an InputError that names the option."""
    with raises_naming(InputError, "encoder.crop='yes'", "true", "false"):
        Binned(steps=6, dt_s=0.001, crop="yes")


@pytest.mark.parametrize(
    ("channel", "time_us", "complaint"),
    [(2, 10, "has a spike outside channels 0..1"), (0, 1001, "has a spike outside its sample's duration")],
)
def test_spoilt_trains_say_what_is_wrong(channel, time_us, complaint):
    """Expected: one line; a spike at the very end is fine."""
    assert SpikeTrains.of([0], [1], [1000], [1000], 2).problem() is None
    good = SpikeTrains.of([0], [0], [time_us], [1000], 2)
    import dataclasses

    bad = dataclasses.replace(good, channel=torch.tensor([channel], dtype=torch.int32))
    assert bad.problem() == complaint
    assert "number of spikes" in (dataclasses.replace(good, channel=good.channel[:0]).problem() or "")
