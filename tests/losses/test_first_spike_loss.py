"""The loss on first spikes: times by hand, of steps and between them, and where its slope goes."""

from __future__ import annotations

import math

import pytest
import torch

from fastspiking.signals.trajectory import Trajectory
from sgbench.errors import InputError
from sgbench.losses.first_spike import FirstSpike, first_times

LENGTHS = torch.tensor([4, 3])


def loss(early: float = 0.0) -> FirstSpike:
    """Times in units of 2 steps, the early term in units of 4."""
    return FirstSpike(tau_s=0.002, early=early, tau_early_s=0.004, dt_s=0.001)


def spikes() -> torch.Tensor:
    """Two samples, two outputs: fires in step 1 and 3, never; never, fires behind the end alone."""
    output = torch.zeros(5, 2, 2, dtype=torch.float64)
    output[1, 0, 0] = output[3, 0, 0] = output[3, 1, 1] = 1
    return output


def test_steps_are_counted_up_to_the_first_spike() -> None:
    """By hand: 1 and the length; both lengths, as a spike behind the end is none."""
    trajectory = Trajectory(spikes(), LENGTHS, (), (), ())
    assert first_times(trajectory).tolist() == [[1, 4], [3, 3]]


@pytest.mark.parametrize("early", [0.0, 0.5])
def test_it_is_the_cross_entropy_of_minus_the_times(early: float) -> None:
    """By hand: ln(1 + e^(-3/2)) where the first is right; ln 2 where both are silent; plus early (e^(t/4) - 1)."""
    trajectory = Trajectory(spikes(), LENGTHS, (), (), ())
    each = loss(early).each(trajectory, torch.tensor([0, 1])).tolist()
    expected = [math.log1p(math.exp(-1.5)) + early * math.expm1(0.25), math.log(2) + early * math.expm1(0.75)]
    assert each == pytest.approx(expected)
    whole = loss(early).whole(trajectory, torch.tensor([0, 1])).item()
    assert whole == pytest.approx(sum(expected) / 2)


def test_times_between_steps_take_their_place() -> None:
    """By hand: given times are used as they are, infinite ones as the sample's length, without a slope."""
    times = torch.tensor([[0.5, math.inf], [2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    trajectory = Trajectory(spikes(), LENGTHS, (), (), (), times)
    assert loss().logits(trajectory).tolist() == [[-0.25, -2.0], [-1.0, -0.5]]
    loss().whole(trajectory, torch.tensor([0, 1])).backward()
    assert times.grad is not None
    assert times.grad[0, 1] == 0
    assert (times.grad[0, 0] > 0, times.grad[1, 0] < 0, times.grad[1, 1] > 0) == (True, True, True)


def test_a_surrogate_hears_of_steps_up_to_the_first_spike() -> None:
    """By hand: a spike in step t of a silent output takes away T - t steps; behind the first, nothing."""
    output = spikes().requires_grad_()
    first_times(Trajectory(output, LENGTHS, (), (), ()))[0].sum().backward()
    assert output.grad is not None
    assert output.grad[:, 0, 1].tolist() == [-4, -3, -2, -1, 0]
    assert output.grad[2:, 0, 0].tolist() == [0, 0, 0]


def test_values_out_of_range_are_refused() -> None:
    """Expected: one line that names the key."""
    with pytest.raises(InputError, match=r"loss\.tau_s"):
        FirstSpike(tau_s=0.0, early=0.0, tau_early_s=0.004, dt_s=0.001)
