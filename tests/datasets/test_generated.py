"""Generated tasks: what every generator keeps to, and spikes and patterns at random.

Legend: S samples, N channels; a block is a group of channels that fires at random for some steps.
"""

import itertools
import math

import numpy as np
import pytest
import torch

import sgbench
from fastspiking.signals.spikes import SpikeTrains
from sgbench.datasets.base import fingerprint
from sgbench.datasets.generated import ActiveBlocks, fire, successes
from sgbench.errors import InputError
from tests.datasets.generators import NOWHERE, SMALL, load, small

# --- every generator


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", SMALL)
def test_numbers_are_a_function_of_the_parameters(name):
    """Expected: equal bytes again, others for another seed; no published checksum but for published parameters."""
    first, again, other = (fingerprint(small(name, seed=seed).load(NOWHERE)) for seed in (0, 0, 1))
    assert first == again != other
    assert small(name).sha256 is None
    assert sgbench.create(f"dataset/{name}").sha256 is not None


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", [name for name in SMALL if name != "random_patterns"])
def test_splits_are_drawn_independently(name):
    """Must differ: no sample is in two splits; a split is the same whatever the size of another."""
    splits = small(name).load(NOWHERE)
    rows = []
    for part in splits.values():
        rows.append({_numbers(part.values[torch.tensor([k])]) for k in range(len(part.values))})
    assert all(not one & other for one, other in itertools.combinations(rows, 2))
    if name != "randman":  # there all splits are points of the same manifolds
        more = small(name, samples=[24, *SMALL[name]["samples"][1:]]).load(NOWHERE)
        assert _numbers(more["test"].values) == _numbers(splits["test"].values)


def _numbers(values: torch.Tensor | SpikeTrains) -> tuple[float, ...]:
    """All numbers of some samples: channels and times of spikes, or traces."""
    if isinstance(values, torch.Tensor):
        return tuple(values.flatten().tolist())
    return tuple(values.channel.tolist() + values.time_us.tolist())


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
    found = sorted(zip(*(each.tolist() for each in fire(np.random.default_rng(0), [(blocks, 1000.0)])), strict=True))
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
