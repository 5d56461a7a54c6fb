"""Generated tasks against published samples, formulas written out, counts and their distributions.

Legend: S samples, N channels; a block is a group of channels that fires at random for some steps.
"""

import functools
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import sgbench
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split, fingerprint
from sgbench.datasets.delayed_xor import DelayedXor
from sgbench.datasets.evidence_accumulation import EvidenceAccumulation
from sgbench.datasets.generated import ActiveBlocks, fire, successes
from sgbench.datasets.intervals import Intervals
from sgbench.datasets.randman import Randman
from sgbench.datasets.random_patterns import RandomPatterns
from sgbench.datasets.store_recall import StoreRecall
from sgbench.datasets.temporal_xor import TemporalXor
from sgbench.datasets.yin_yang import YinYang, label_of
from sgbench.errors import InputError
from sgbench.signals.spike_trains import SpikeTrains

NOWHERE = Path("no-such-folder")
PUBLISHED = Path(os.environ.get("SGBENCH_DATA", "no-such-folder")) / "yin_yang"


@functools.cache
def load(name: str) -> dict[Split, Samples]:
    return sgbench.create(f"dataset/{name}").load(NOWHERE)


def counts(trains: SpikeTrains, first_ms: int, last_ms: int) -> np.ndarray:
    """Spikes [S, N] of each sample and channel within some milliseconds."""
    inside = (trains.time_us >= 1000 * first_ms) & (trains.time_us < 1000 * last_ms)
    found = np.zeros((len(trains), trains.n_channels), dtype=int)
    np.add.at(found, (trains.sample()[inside].numpy(), trains.channel[inside].numpy()), 1)
    return found


SMALL: dict[str, dict] = {
    "random_patterns": {"patterns": 8, "channels": 5, "duration_s": 0.02, "rate_hz": 100.0, "seed": 0},
    "randman": {
        "classes": 2,
        "channels": 3,
        "dimension": 1,
        "alpha": 1.0,
        "spectrum": "printed",
        "tau_s": 0.05,
        "duration_s": 0.1,
        "samples": [6, 3, 3],
        "seed": 0,
    },
    "temporal_xor": {
        "early_s": 0.005,
        "late_s": 0.012,
        "jitter_s": 0.001,
        "duration_s": 0.025,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "delayed_xor": {
        "channels": 4,
        "window_ms": 5,
        "delay_ms": 4,
        "answer_ms": 3,
        "low_hz": 100.0,
        "high_hz": 900.0,
        "noise_hz": 10.0,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "intervals": {
        "channels": 4,
        "volley_ms": 3,
        "volley_hz": 900.0,
        "gaps_ms": [2, 6],
        "onset_ms": 5,
        "answer_ms": 3,
        "noise_hz": 10.0,
        "samples": [12, 4, 4],
        "seed": 0,
    },
    "store_recall": {
        "channels": 8,
        "characters": 6,
        "character_ms": 20,
        "command_chance": 0.3,
        "rate_hz": 100.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
    "evidence_accumulation": {
        "channels": 8,
        "cues": 3,
        "cue_ms": 10,
        "cue_every_ms": 15,
        "delay_ms": 20,
        "recall_ms": 10,
        "minority_chance": 0.3,
        "rate_hz": 100.0,
        "samples": [12, 6, 6],
        "seed": 0,
    },
}
CLASSES = {
    "random_patterns": RandomPatterns,
    "randman": Randman,
    "temporal_xor": TemporalXor,
    "delayed_xor": DelayedXor,
    "intervals": Intervals,
    "store_recall": StoreRecall,
    "evidence_accumulation": EvidenceAccumulation,
}


def small(name: str, **changes: object) -> DataSet:
    return CLASSES[name](**{**SMALL[name], **changes})


# --- every generator


@pytest.mark.parametrize("name", SMALL)
def test_numbers_are_a_function_of_the_parameters(name):
    """Expected: equal bytes again, others for another seed; no published checksum but for published parameters."""
    first, again, other = (fingerprint(small(name, seed=seed).load(NOWHERE)) for seed in (0, 0, 1))
    assert first == again != other
    assert small(name).sha256 is None
    assert sgbench.create(f"dataset/{name}").sha256 is not None


@pytest.mark.parametrize("name", [name for name in SMALL if name != "random_patterns"])
def test_splits_are_drawn_independently(name):
    """Must differ: no sample is in two splits; a split is the same whatever the size of another."""
    splits = small(name).load(NOWHERE)
    rows = []
    for part in splits.values():
        values = part.values
        pairs = [values[torch.tensor([k])] for k in range(len(values))]
        rows.append({tuple(each.channel.tolist() + each.time_us.tolist()) for each in pairs})
    assert all(not one & other for one, other in itertools.combinations(rows, 2))
    if name != "randman":  # there all splits are points of the same manifolds
        more = small(name, samples=[24, *SMALL[name]["samples"][1:]]).load(NOWHERE)
        assert torch.equal(more["test"].values.time_us, splits["test"].values.time_us)


@pytest.mark.parametrize("name", SMALL)
def test_bad_parameters_are_refused_by_name(name):
    """Expected: an InputError that begins with the option, for each number in turn."""
    for key, value in SMALL[name].items():
        wrong = "none" if isinstance(value, str) else -1
        with pytest.raises(InputError, match=rf"^dataset\.{key}="):
            small(name, **{key: wrong})


@pytest.mark.parametrize("samples", [[1, 2], [1, 2, 0], "123", 5, [1, 2, 3.5]])
def test_samples_are_three_whole_numbers(samples):
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=r"^dataset\.samples="):
        small("temporal_xor", samples=samples)


# --- spikes at random


@pytest.mark.parametrize("probability", [0.003, 0.05, 0.5, 0.97])
def test_successes_are_bernoulli_trials(probability):
    """Expected: a binomial count, and neighbours that succeed together with p^2, within 5 deviations."""
    trials = 200_000
    hits = successes(np.random.default_rng(1), trials, probability)
    assert (np.diff(hits) > 0).all()
    assert 0 <= hits[0] <= hits[-1] < trials
    assert abs(len(hits) - trials * probability) < 5 * math.sqrt(trials * probability * (1 - probability))
    together = (np.diff(hits) == 1).sum()
    expected = trials * probability**2
    assert abs(together - expected) < 5 * math.sqrt(expected * (1 + 2 * probability)) + 5


def test_impossible_and_certain_trials():
    """Expected: none and all."""
    assert len(successes(np.random.default_rng(0), 10, 0.0)) == 0
    assert successes(np.random.default_rng(0), 10, 1.0).tolist() == list(range(10))


def test_blocks_fire_where_they_are_and_nowhere_else():
    """Expected by hand at certainty: 2 x 3 spikes in one block, 1 x 2 in the other, in the middle of each step."""
    blocks = ActiveBlocks(*(np.array(each) for each in ((4, 0), (1, 5), (2, 1), (10, 0), (3, 2))))
    found = sorted(
        zip(*(each.tolist() for each in fire(np.random.default_rng(0), [(blocks, 1000.0)])), strict=True)
    )
    expected = [(0, 5, 500), (0, 5, 1500)]
    expected += [(4, channel, 1000 * step + 500) for channel in (1, 2) for step in (10, 11, 12)]
    assert found == sorted(expected)


# --- random patterns


def test_patterns_have_the_rate_and_are_learnt_by_heart():
    """Expected: 256 x 100 x 0.2 s x 5 Hz = 25600 spikes within 5 deviations; three times the same object."""
    splits = load("random_patterns")
    assert splits["train"] is splits["validation"] is splits["test"]
    trains = splits["train"].values
    assert abs(len(trains.channel) - 25600) < 5 * math.sqrt(25600)
    assert trains.duration_us.tolist() == [200_000] * 256
    assert 100 < splits["train"].target.sum() < 156  # 256 / 2 within 3.5 deviations


def times_by_channel(trains):
    """Time of the one spike of each channel [samples, channels], in microseconds."""
    times = torch.full((len(trains), trains.n_channels), -1, dtype=torch.int64)
    times[trains.sample(), trains.channel.long()] = trains.time_us.long()
    assert len(trains.channel) == times.numel()
    assert (times >= 0).all()
    return times


# --- Randman


def reference_manifold(x: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, spectrum: str) -> float:
    """f(x) of one channel, term by term as the paper, or the released code, writes it; alpha = 2, one dimension."""
    total = 0.0
    if spectrum == "printed":
        for k in range(1, 1001):
            total += k**-2.0 * a[k - 1] * math.sin(2 * math.pi * (k * x * b[k - 1] + c[k - 1]))
        return total
    terms = min(math.ceil(1e-3**-0.5), 1000)
    for i in range(terms):
        amplitude = 0.0 if i == 0 else a[i]
        total += amplitude / ((i + 1) ** 2.0 + 1) * math.sin(2 * math.pi * (i * x * b[i] + c[i]))
    return total


@pytest.mark.parametrize("spectrum", ["printed", "released"])
def test_randman_equals_its_formula(spectrum):
    """Expected: the formula in plain Python on the same random numbers, stretched and floored to microseconds."""
    task = small("randman", alpha=2.0, spectrum=spectrum)
    terms = 1000 if spectrum == "printed" else 32
    random = task.random(0)
    a, b, c = np.moveaxis(random.random((3, 1, 3, terms)), 2, 0)
    x = random.random((12, 1))[:, 0]
    f = np.array(
        [[reference_manifold(each, a[i, 0], b[i, 0], c[i, 0], spectrum) for i in range(3)] for each in x]
    )
    stretched = (f - f.min(0)) / (f.max(0) - f.min(0) + 1e-7)
    expected = sorted(map(tuple, np.floor(stretched * 50_000).astype(int).tolist()))
    splits = task.load(NOWHERE)
    found = [times_by_channel(part.values)[part.target == 0].tolist() for part in splits.values()]
    assert sorted(tuple(times) for each in found for times in each) == expected


@pytest.mark.slow
def test_randman_spectra_differ_as_declared():
    """Must differ: the two spectra on one seed. Counts say nothing: one spike a channel in every sample."""
    printed, released = load("randman"), load("randman_released")
    assert not torch.equal(printed["train"].values.time_us, released["train"].values.time_us)
    for part in (*printed.values(), *released.values()):
        assert (counts(part.values, 0, 101) == 1).all()
        assert part.values.time_us.max() < 50_000
    assert sgbench.create("dataset/randman").spectrum == "printed"
    assert sgbench.create("dataset/randman_released").spectrum == "released"


def test_manifolds_are_the_smoother_the_larger_alpha():
    """Expected: mathematics; neighbours in x are neighbours in f, the more so the larger alpha."""
    roughness = []
    for alpha in (1.0, 2.0, 3.0):
        task = small("randman", alpha=alpha, samples=[60, 20, 20])
        points = task._stretched(task.random(0), 100)
        random = task.random(0)
        random.random((3, 1, 3, len(task._terms()[0])))
        order = np.argsort(random.random((100, 1))[:, 0])
        roughness.append(np.abs(np.diff(points[order], axis=0)).mean())
    assert roughness[0] > 2 * roughness[1] > 2 * roughness[2]


# --- Yin-Yang


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published samples are not in $SGBENCH_DATA/yin_yang")
@pytest.mark.parametrize("split", SPLITS)
def test_yin_yang_reproduces_the_published_samples(split):
    """Expected: the authors' files, bit for bit."""
    samples = load("yin_yang")[split]
    assert np.array_equal(samples.values.numpy(), np.load(PUBLISHED / f"{split}_samples.npy"))
    assert np.array_equal(samples.target.numpy(), np.load(PUBLISHED / f"{split}_labels.npy"))


def test_yin_yang_has_the_checksum_of_the_published_samples():
    """Expected: pinned; the SHA-256 of the authors' six files in the order of the fingerprint, taken from them.

    If it fails, the samples are no longer those of Kriener et al.
    """
    assert fingerprint(load("yin_yang")) == YinYang(samples=[5000, 1000, 1000], seeds=[42, 41, 40]).sha256


def test_yin_yang_labels_are_the_symbol():
    """Expected: its symmetry; a turn by half swaps the halves and keeps the dots. Points by hand in each region."""
    assert [label_of(0.75, 0.5), label_of(0.25, 0.5)] == [2, 2]  # the dots
    assert [label_of(0.5, 0.95), label_of(0.5, 0.05)] == [1, 0]  # top and bottom
    assert [label_of(0.25, 0.3), label_of(0.75, 0.7)] == [1, 0]  # the heads reach across the middle
    samples = load("yin_yang")["train"]
    for x, y, *_ in samples.values[:500].tolist():
        label = label_of(x, y)
        assert label_of(1 - x, 1 - y) == (2 if label == 2 else 1 - label)


def test_yin_yang_classes_are_equally_likely():
    """Expected: 5000 / 3 within 5 deviations; the mirrored values; inside the circle."""
    samples = load("yin_yang")["train"]
    assert (samples.target.bincount() - 5000 / 3).abs().max() < 5 * math.sqrt(5000 * 2 / 9)
    assert torch.equal(samples.values[:, 2:], 1 - samples.values[:, :2])
    assert ((samples.values[:, :2] - 0.5).square().sum(1) <= 0.25).all()


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
    return [
        set((trains.channel[trains.time_us // 200_000 == place] // 25).tolist()) for place in range(steps)
    ]


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
