"""Generated tasks of time and memory: XOR, intervals, store-recall and evidence, read off their spikes.

Legend: S samples, N channels.
"""

import math

import numpy as np
import pytest
import torch

import sgbench
from sgbench.datasets.base import Samples
from sgbench.errors import InputError
from tests.datasets.generators import NOWHERE, counts, load, small, times_by_channel

# --- temporal and delayed XOR


def test_temporal_xor_is_the_exclusive_or_of_the_times():
    """Expected: each sample's two times around 5 or 12 ms; the class is whether they differ; patterns balanced."""
    for name, part in load("temporal_xor").items():
        times_ms = times_by_channel(part.values).numpy() / 1000
        late = times_ms > 8.5
        assert (np.abs(times_ms - np.where(late, 12, 5)) <= 1).all()
        assert part.target.tolist() == (late[:, 0] != late[:, 1]).astype(int).tolist()
        patterns = np.bincount(2 * late[:, 0] + late[:, 1])
        assert patterns.tolist() == [len(late) // 4] * 4, name
        assert len(set(times_ms[:, 0])) > 100


def test_temporal_xor_refuses_late_spikes_behind_the_end():
    """Expected: an InputError that names the duration."""
    with pytest.raises(InputError, match=r"^dataset\.duration_s=0\.0125: "):
        small("temporal_xor", duration_s=0.0125)


def test_delayed_xor_is_the_exclusive_or_of_the_rates():
    """Expected: 20 x 10 steps at 0.2 or 0.6, so 40 or 120 spikes; a cut at 80 tells them (7 deviations)."""
    part = load("delayed_xor")["test"]
    first, second = (counts(part.values, *window).sum(1) for window in ((0, 10), (20, 30)))
    for window in (first, second):
        for rate, own in ((0.2, window[window < 80]), (0.6, window[window >= 80])):
            deviation = math.sqrt(200 * rate * (1 - rate) / len(own))
            assert abs(own.mean() - 200 * rate) < 5 * deviation
    assert part.target.tolist() == ((first >= 80) != (second >= 80)).astype(int).tolist()
    quiet = counts(part.values, 10, 20).sum() + counts(part.values, 30, 40).sum()
    expected = 1000 * 20 * 20 * 0.01
    assert abs(quiet - expected) < 5 * math.sqrt(expected)


def test_intervals_lie_between_two_full_volleys():
    """Expected, at 1000 Hz and without noise: each channel fires at 2 x 5 steps, with the gap of the class."""
    gaps_ms = [5, 15, 25, 35]
    made = sgbench.create("dataset/intervals", volley_hz=1000.0, noise_hz=0.0, samples=[80, 40, 40])
    part = made.load(NOWHERE)["train"]
    begins = set()
    for sample, label in enumerate(part.target.tolist()):
        trains = part.values[torch.tensor([sample])]
        steps = (trains.time_us // 1000).unique().tolist()
        assert len(trains) == 1
        assert len(trains.channel) == 20 * 2 * 5
        first, second = steps[:5], steps[5:]
        assert first == list(range(first[0], first[0] + 5))
        assert second[0] - first[-1] - 1 == gaps_ms[label]
        begins.add(first[0])
    assert begins <= set(range(15))
    assert len(begins) > 10
    assert part.target.bincount().tolist() == [20] * 4
    assert part.values.duration_us.unique().tolist() == [(14 + 5 + 35 + 5 + 11) * 1000]


def test_intervals_say_nothing_by_the_number_of_spikes():
    """Expected: equal mean counts of all classes, within 5 standard errors; noise fills what is left."""
    part = load("intervals")["test"]
    sent = counts(part.values, 0, 70).sum(1).astype(float)
    means = [sent[part.target.numpy() == label] for label in range(4)]
    pooled = math.sqrt(sent.var() / len(means[0]))
    assert max(abs(one.mean() - sent.mean()) for one in means) < 5 * pooled


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gaps_ms": [5]}, "two or more times"),
        ({"gaps_ms": [5, 5]}, "each class needs a time of its own"),
        ({"gaps_ms": "5"}, "two or more times"),
        ({"volley_ms": 0}, "dataset.volley_ms"),
    ],
)
def test_intervals_that_are_none(changes, says):
    """Expected: an InputError that names the parameter."""
    with pytest.raises(InputError, match=says):
        small("intervals", **changes)


# --- store-recall


def characters_of(part: Samples, sample: int) -> list[set[int]]:
    """Which groups fire in each character of a sample."""
    trains = part.values[torch.tensor([sample])]
    steps = int(trains.duration_us) // 200_000
    return [set((trains.channel[trains.time_us // 200_000 == place] // 25).tolist()) for place in range(steps)]


@pytest.mark.slow
def test_store_recall_answers_with_the_bit_of_the_last_store():
    """Expected: the rules, read off the spikes; groups 0, 1 values, 2 store, 3 recall.

    A group of 25 channels at 50 Hz is silent for 200 ms with probability e^-250.
    """
    part = load("store_recall")["validation"]
    for sample in range(60):
        sequence = characters_of(part, sample)
        stored, waits_for = None, 2
        for groups in sequence:
            if 3 in groups:
                assert groups == {3}
                assert waits_for == 3
                waits_for = 2
                continue
            (value,) = groups - {2}
            if 2 in groups:
                assert waits_for == 2
                stored, waits_for = value, 3
        assert sequence[-1] == {3}
        assert part.target[sample] == stored


@pytest.mark.slow
def test_store_recall_lengths_are_whole_characters():
    """Expected: 2 to 12 characters, samples of different length."""
    characters = load("store_recall")["train"].values.duration_us / 200_000
    assert torch.equal(characters, characters.round())
    assert (characters.min(), characters.max()) == (2, 12)


# --- evidence accumulation


def test_evidence_is_the_majority_of_the_cues():
    """Expected: the side of each cue read off the spikes; a silent cue has probability e^-40."""
    part = load("evidence_accumulation")["validation"]
    right = np.zeros(len(part.target), dtype=int)
    for cue in range(7):
        seen = counts(part.values, 150 * cue, 150 * cue + 100)
        left_side, right_side = seen[:, :10].sum(1), seen[:, 10:20].sum(1)
        assert ((left_side > 0) != (right_side > 0)).all()
        right += right_side > 0
        assert counts(part.values, 150 * cue + 100, 150 * cue + 150)[:, :30].sum() == 0
    assert part.target.tolist() == (right > 3).astype(int).tolist()
    assert counts(part.values, 1050, 2100)[:, :30].sum() == 0  # the delay
    assert (counts(part.values, 2100, 2250)[:, 20:30].sum(1) > 0).all()  # the question
    noise = counts(part.values, 0, 2250)[:, 30:].sum()
    expected = 512 * 10 * 2.25 * 10
    assert abs(noise - expected) < 5 * math.sqrt(expected)
    minority = np.minimum(right, 7 - right).mean()
    assert 1.3 < minority < 2.1  # 7 x 0.3 is 2.1 before the majority may turn
