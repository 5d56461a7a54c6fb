"""Augmentations of recorded spikes: what each keeps and changes, in training alone, a function of seed and epoch.

Legend: B samples, N channels; a camera's channel is (p H + y) W + x.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sgbench
from fastspiking.signals.spikes import SpikeTrains
from sgbench.augmentations.base import Augmentation
from sgbench.augmentations.events import Events
from sgbench.augmentations.none import NoAugmentation
from sgbench.composition import catalogue
from sgbench.datasets.batches import SpikingData
from sgbench.datasets.digits import Digits
from sgbench.datasets.randman import Randman
from sgbench.encoders.direct import Direct
from sgbench.encoders.event_bins import EventBins
from sgbench.errors import InputError
from tests.messages import raises_naming
from tests.run.tiny import WORDS

IMAGE = (2, 4, 6)
N = 48
LAST_US = 10_000
NEUTRAL = catalogue.entry("augmentation", "events").parameters
some = settings(max_examples=25)
spikes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, N - 1), st.integers(0, LAST_US - 1)), max_size=40)


def events(**changes: float) -> Events:
    return Events(**{**NEUTRAL, **changes})


def trains_of(drawn: list[tuple[int, int, int]]) -> SpikeTrains:
    sample, channel, time_us = (list(part) for part in zip(*drawn, strict=True)) if drawn else ([], [], [])
    return SpikeTrains.of(sample, channel, time_us, [LAST_US] * 3, N)


def vary(made: Augmentation, trains: SpikeTrains, seed: int = 0) -> SpikeTrains:
    return made.vary(trains, torch.Generator().manual_seed(seed), IMAGE)


def as_list(trains: SpikeTrains) -> list[tuple[int, int, int]]:
    return list(zip(trains.sample().tolist(), trains.time_us.tolist(), trains.channel.tolist(), strict=True))


def many(count: int = 4000) -> SpikeTrains:
    random = np.random.default_rng(0)
    return SpikeTrains.of(
        random.integers(0, 3, count), random.integers(0, N, count), random.integers(0, LAST_US, count),
        [LAST_US] * 3, N,
    )  # fmt: skip


CHANGES = {
    "crop_s": 0.004,
    "stretch": 0.3,
    "shift_s": 0.002,
    "jitter_s": 0.001,
    "delete": 0.4,
    "mirror": 1.0,
    "shift_channels": 2,
    "noise_hz": 20.0,
}
every_change = pytest.mark.parametrize("name", CHANGES)


# --- contract


@some
@given(spikes)
def test_nothing_changes_nothing(drawn):
    """Must match: `none`, and `events` with all numbers neutral, as the YAML has them."""
    trains = trains_of(drawn)
    assert as_list(vary(events(), trains)) == as_list(trains)
    assert vary(NoAugmentation(), trains) is trains


@pytest.mark.one_in(16)
@every_change
@some
@given(spikes)
def test_what_comes_out_is_whole(name, drawn):
    """Expected: channels, times and durations in range, in order; no sample longer; the input untouched."""
    trains = trains_of(drawn)
    before = as_list(trains)
    found = vary(events(**{name: CHANGES[name]}), trains)
    assert found.problem() is None
    assert len(found) == len(trains)
    assert (found.duration_us <= trains.duration_us).all()
    assert found.n_channels == N
    assert as_list(trains) == before


@every_change
def test_each_number_does_something_of_its_own(name):
    """Must differ: from the samples, and from another seed; must match: the same seed again."""
    trains = many()
    made = events(**{name: CHANGES[name]})
    first, again, other = (as_list(vary(made, trains, seed)) for seed in (0, 0, 1))
    assert first == again != as_list(trains)
    assert (first != other) == (name != "mirror")  # with probability 1 nothing is left to chance


@every_change
def test_the_batch_size_does_not_matter(name):
    """Expected: equal spikes whether three samples are varied at once or one by one from one generator."""
    trains, made = many(), events(**{name: CHANGES[name]})
    together = as_list(vary(made, trains))
    generator = torch.Generator().manual_seed(0)
    apart = []
    for place in range(3):
        one = made.vary(trains[torch.tensor([place])], generator, IMAGE)
        apart += [(place, time_us, channel) for _, time_us, channel in as_list(one)]
    assert apart == together


# --- each


def test_deletion_loses_its_share():
    """Expected: within five standard deviations of the binomial; what is left was there."""
    trains = many()
    found = vary(events(delete=0.4), trains)
    assert abs(len(found.channel) - 2400) < 5 * math.sqrt(4000 * 0.4 * 0.6)
    assert set(as_list(found)) <= set(as_list(trains))
    assert len(vary(events(delete=1.0), trains).channel) == 0


def test_jitter_keeps_every_spike_and_its_channel():
    """Expected: equal counts of each channel; moves of the middle have the deviation asked for, within 10 %."""
    random = np.random.default_rng(0)
    channel = np.arange(N)
    trains = SpikeTrains.of([0] * N, channel, [5000] * N, [LAST_US], N)
    moves = []
    for seed in range(40):
        found = vary(events(jitter_s=0.001), trains, seed)
        assert sorted(found.channel.tolist()) == channel.tolist()
        moves += (found.time_us - 5000).tolist()
    assert np.std(moves) == pytest.approx(1000, rel=0.1)
    assert abs(np.mean(moves)) < 5 * 1000 / math.sqrt(len(moves))
    edge = SpikeTrains.of([0] * N, channel, random.integers(0, 3, N), [LAST_US], N)
    assert len(vary(events(jitter_s=0.5), edge).channel) == N


def test_time_shift_moves_all_by_the_same():
    """Expected: differences of times are kept; what leaves is lost; both directions occur."""
    trains = SpikeTrains.of([0, 0, 1], [0, 1, 2], [4000, 6000, 5000], [LAST_US, LAST_US, LAST_US], N)
    moves = set()
    for seed in range(30):
        found = vary(events(shift_s=0.002), trains, seed)
        times = found.time_us.tolist()
        assert times[1] - times[0] == 2000
        assert abs(times[0] - 4000) <= 2001
        moves.add(times[0] > 4000)
    assert moves == {True, False}
    assert len(vary(events(shift_s=1.0), trains).channel) < 3


def test_stretch_is_one_factor():
    """Expected: quotients of times are kept within rounding; the end moves with them, but never beyond itself."""
    trains = SpikeTrains.of([0, 0], [0, 1], [3000, 6000], [LAST_US, LAST_US, LAST_US], N)
    factors = []
    for seed in range(30):
        found = vary(events(stretch=0.3), trains, seed)
        first, second = found.time_us.tolist()
        assert abs(second - 2 * first) <= 2
        factors.append(first / 3000)
        assert found.duration_us[0] == pytest.approx(min(LAST_US, LAST_US * factors[-1]), abs=5)
    assert 0.69 < min(factors) < 0.9
    assert 1.1 < max(factors) < 1.31


def test_mirror_turns_left_to_right():
    """Expected by hand: x becomes 5 - x, p and y stay; twice is nothing."""
    trains = trains_of([(0, (p * 4 + y) * 6 + x, 10 * x) for p in (0, 1) for y in (0, 3) for x in range(6)])
    found = vary(events(mirror=1.0), trains)
    expected = sorted((0, 10 * x, (p * 4 + y) * 6 + 5 - x) for p in (0, 1) for y in (0, 3) for x in range(6))
    assert as_list(found) == expected
    assert as_list(vary(events(mirror=1.0), found)) == as_list(trains)
    with raises_naming(InputError, "augmentation.mirror=1.0", "use 0"):
        events(mirror=1.0).vary(trains, torch.Generator(), None)


@pytest.mark.parametrize("image", [IMAGE, None])
def test_channel_shift_moves_all_by_the_same(image):
    """Expected: with a camera one step for x and one for y and no spike round a border; else one number."""
    at = (1 * 4 + 1) * 6 + 2
    trains = SpikeTrains.of([0, 1, 2], [at, at, at], [1, 1, 1], [LAST_US] * 3, N)
    seen = set()
    for seed in range(60):
        found = events(shift_channels=1).vary(trains, torch.Generator().manual_seed(seed), image)
        seen |= {channel - at for _, _, channel in as_list(found)}
    assert seen == ({-7, -6, -5, -1, 0, 1, 5, 6, 7} if image else {-1, 0, 1})
    corner = SpikeTrains.of([0], [0], [1], [LAST_US], N)
    left = [
        len(events(shift_channels=1).vary(corner, torch.Generator().manual_seed(seed), image).channel)
        for seed in range(60)
    ]
    share = 4 / 9 if image else 2 / 3
    assert abs(np.mean(left) - share) < 5 * math.sqrt(share * (1 - share) / 60)


def test_crop_keeps_a_window():
    """Expected: spikes of one window of 4 ms, moved to 0; a sample that is shorter stays."""
    trains = SpikeTrains.of([0] * 100, [0] * 100, range(0, LAST_US, 100), [LAST_US], N)
    for seed in range(10):
        found = vary(events(crop_s=0.004), trains, seed)
        assert found.duration_us.tolist() == [4000]
        assert len(found.channel) == 40
        assert found.time_us.diff().tolist() == [100] * 39
        assert found.time_us[0] < 100
    assert as_list(vary(events(crop_s=1.0), trains)) == as_list(trains)


def test_noise_is_a_poisson_process_of_each_channel():
    """Expected: rate x channels x duration on average, as many per half; what was there stays."""
    silent = SpikeTrains.of([], [], [], [LAST_US] * 300, N)
    found = vary(events(noise_hz=20.0), silent)
    mean = 20 * N * LAST_US * 1e-6
    counts = found.indptr.diff().double()
    assert abs(counts.mean() - mean) < 5 * math.sqrt(mean / 300)
    assert counts.var() == pytest.approx(mean, rel=0.4)
    assert abs((found.time_us < LAST_US // 2).double().mean() - 0.5) < 0.05
    assert set(found.channel.tolist()) == set(range(N))
    trains = many(200)
    assert set(as_list(trains)) <= set(as_list(vary(events(noise_hz=20.0), trains)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop_s", -1.0),
        ("stretch", 1.0),
        ("shift_s", math.nan),
        ("jitter_s", "1"),
        ("delete", 1.5),
        ("mirror", -0.1),
        ("shift_channels", 0.5),
        ("noise_hz", math.inf),
    ],
)
def test_numbers_out_of_range_are_named(name, value):
    """Expected: one line that begins with the option."""
    with pytest.raises(InputError, match=rf"^augmentation\.{name}=.* is needed$"):
        events(**{name: value})


# --- in a run


def data(augmentation: Augmentation | None, *, batch_size: int = 7, seed: int = 0) -> SpikingData:
    task = Randman(
        classes=2, channels=20, dimension=1, alpha=1.0, spectrum="printed", tau_s=0.05, duration_s=0.1,
        samples=[10, 5, 5], seed=0,
    )  # fmt: skip
    encoder = EventBins(steps=100, dt_s=0.001, crop=False, form="count", polarity="separate", pool=1)
    made = SpikingData(
        task, encoder, data_dir=Path(), batch_size=batch_size, seed=seed, dtype=torch.float32,
        augmentation=augmentation,
    )  # fmt: skip
    made.setup()
    return made


def training(made: SpikingData, epoch: int) -> torch.Tensor:
    """All training input of an epoch, sample by sample in their own order."""
    found = torch.zeros(20, 100, 20)
    for batch in made.epoch(epoch):
        found[batch.position] = batch.x.dense().transpose(0, 1)
    return found


def test_training_alone_is_varied_anew_in_each_epoch():
    """Expected: epochs differ, the same epoch of the same seed does not; validation is as it is without."""
    made, plain = data(events(jitter_s=0.005)), data(NoAugmentation())
    first, second = training(made, 0), training(made, 1)
    assert not torch.equal(first, second)
    assert torch.equal(first, training(data(events(jitter_s=0.005)), 0))
    assert not torch.equal(first, training(data(events(jitter_s=0.005), seed=1), 0))
    assert torch.equal(first.sum(1), training(plain, 0).sum(1))
    for ours, theirs in zip(made.evaluation("validation"), plain.evaluation("validation"), strict=True):
        assert torch.equal(ours.x.dense(), theirs.x.dense())
    assert torch.equal(training(plain, 0), training(data(None), 0))


def test_values_are_not_varied_as_spikes():
    """Expected: one line with the remedy, before any file is read."""
    encoder = Direct(steps=3, dt_s=0.001, gain=1.0)
    rest = {"data_dir": Path("nowhere"), "batch_size": 7, "seed": 0, "dtype": torch.float32}
    SpikingData(Digits(), encoder, augmentation=NoAugmentation(), **rest)
    with raises_naming(InputError, "Events", "Digits"):
        SpikingData(Digits(), encoder, augmentation=events(), **rest)


@pytest.mark.slow
def test_a_record_names_it_only_where_something_is_chosen():
    """Expected: `none` is not written and changes no id; another choice is and does."""
    words = ["experiment=randman", "dataset.samples=[4,2,2]", "protocol.hidden=[4]", "protocol.epochs=1"]
    words += [word for word in WORDS if word.startswith("trainer")]
    plain = sgbench.run(*words)
    varied = sgbench.run(*words, "augmentation=events", "augmentation.jitter_s=0.002")
    assert varied.status == plain.status == "finished"
    assert "augmentation" not in plain.model_dump_json()
    assert varied.method.choices["augmentation"] == "events"
    assert plain.method_id != varied.method_id
