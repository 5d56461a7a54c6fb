"""Spikes needed at equal accuracy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sgbench.errors import InputError
from sgbench.statistics.spikes_at_accuracy import NOT_REACHED, spike_ratio, spikes_needed

ACCURACY = np.array([80.0, 84.0, 87.0, 89.0, 90.0])
SPIKES = np.array([50.0, 80.0, 130.0, 220.0, 400.0])


def test_interpolation_is_straight_in_log_spikes() -> None:
    """By hand: half way between two settings is the geometric mean of their spikes, not the arithmetic one."""
    needed = spikes_needed(ACCURACY, np.log(SPIKES), 88.0)
    assert needed.spikes == pytest.approx(math.sqrt(130 * 220))
    assert needed.spikes != pytest.approx(175, rel=0.01)
    assert spikes_needed(ACCURACY, np.log(SPIKES), 89.0).spikes == pytest.approx(220)


def test_settings_off_the_front_do_not_count(random: np.random.Generator) -> None:
    """A setting with more spikes and less accuracy changes nothing, in whatever order."""
    accuracy, spikes = np.append(ACCURACY, [82.0, 87.0]), np.append(SPIKES, [300.0, 131.0])
    order = random.permutation(7)
    for target in (81.0, 86.0, 88.5):
        with_others = spikes_needed(accuracy[order], np.log(spikes[order]), target)
        assert with_others == spikes_needed(ACCURACY, np.log(SPIKES), target)


def test_nothing_is_extrapolated() -> None:
    """Above the best accuracy it is not reached; below the sparsest setting's its spikes are an upper bound."""
    assert spikes_needed(ACCURACY, np.log(SPIKES), 90.01).spikes == NOT_REACHED
    sparse = spikes_needed(ACCURACY, np.log(SPIKES), 60.0)
    assert sparse.spikes == pytest.approx(50)
    assert sparse.at_most
    assert not spikes_needed(ACCURACY, np.log(SPIKES), 80.0).at_most


def noisy(random: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies and spikes of five settings."""
    accuracy = ACCURACY[:, None] + random.normal(0, 0.3, (5, seeds))
    return accuracy, SPIKES[:, None] * np.exp(random.normal(0, 0.1, (5, seeds)))


def test_ratio_and_its_jackknife(random: np.random.Generator) -> None:
    """By hand: the ratio of the two fronts of means, and n - 1 over n times the squares of leaving out one seed."""
    (a, sa), (b, sb) = noisy(random, 6), noisy(random, 6)
    result = spike_ratio(a, sa / 2, b, sb, target=87.5)

    def log_ratio(seeds: list[int]) -> float:
        needed = [
            spikes_needed(accuracy[:, seeds].mean(axis=1), np.log(spikes[:, seeds]).mean(axis=1), 87.5).spikes
            for accuracy, spikes in ((a, sa / 2), (b, sb))
        ]
        return math.log(needed[0] / needed[1])

    left_out = np.array([log_ratio([seed for seed in range(6) if seed != out]) for out in range(6)])
    error = math.sqrt(5 / 6 * ((left_out - left_out.mean()) ** 2).sum())
    assert math.log(result.ratio) == pytest.approx(log_ratio(list(range(6))))
    assert math.log(result.high / result.low) / 2 == pytest.approx(2.570582 * error, rel=1e-6)


def test_swapping_the_two_inverts_the_ratio(random: np.random.Generator) -> None:
    """A over B times B over A is 1, and so are the opposite ends."""
    (a, sa), (b, sb) = noisy(random, 5), noisy(random, 5)
    one, other = spike_ratio(a, sa, b, sb, target=86), spike_ratio(b, sb, a, sa, target=86)
    assert one.ratio * other.ratio == pytest.approx(1)
    assert one.low * other.high == pytest.approx(1)


def test_what_is_not_reached_is_a_value(random: np.random.Generator) -> None:
    """Infinite, nought or NaN by who does not reach it, and no interval."""
    accuracy, spikes = noisy(random, 5)
    worse = accuracy - 10
    for method, reference, ratio in ((worse, accuracy, NOT_REACHED), (accuracy, worse, 0.0)):
        result = spike_ratio(method, spikes, reference, spikes, target=88)
        assert (result.ratio, result.low, result.high) == (ratio, None, None)
    assert math.isnan(spike_ratio(worse, spikes, worse, spikes, target=88).ratio)


def test_no_interval_where_one_seed_decides_whether_it_is_reached() -> None:
    """The best setting has 90 on average by one seed of 94: without it 89 is not reached."""
    accuracy = np.array([[80.0] * 5, [94.0, 88.9, 88.9, 88.9, 88.9]])
    spikes = np.full((2, 5), [[100.0], [200.0]])
    result = spike_ratio(accuracy, spikes, np.full((2, 5), [[80.0], [95.0]]), spikes, target=89)
    assert math.isfinite(result.ratio)
    assert result.low is None


def test_no_interval_from_fewer_than_five_seeds(random: np.random.Generator) -> None:
    """Four seeds have a ratio and no ends."""
    accuracy, spikes = noisy(random, 4)
    result = spike_ratio(accuracy, spikes, accuracy, spikes, target=86)
    assert (result.ratio, result.low) == (pytest.approx(1.0), None)


@pytest.mark.parametrize(
    ("spikes", "reference", "message"),
    [
        (np.zeros((2, 5)), np.ones((2, 5)), "leave out settings"),
        (np.ones((2, 4)), np.ones((2, 5)), "of its accuracy"),
        (np.ones((2, 5)), np.full((2, 5), np.nan), "spikes of the reference"),
    ],
)
def test_spikes_that_do_not_fit_are_refused(spikes: np.ndarray, reference: np.ndarray, message: str) -> None:
    """Each message names whose spikes they are."""
    with pytest.raises(InputError, match=message):
        spike_ratio(np.ones((2, 5)), spikes, np.ones((2, 5)), reference, target=0.5)


def test_both_need_the_same_seeds() -> None:
    """Seeds are left out of both at once."""
    with pytest.raises(InputError, match="not 5 and 6"):
        spike_ratio(np.ones((2, 5)), np.ones((2, 5)), np.ones((2, 6)), np.ones((2, 6)), target=0.5)
