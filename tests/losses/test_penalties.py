"""Penalties on activity against formulas written out in NumPy, for samples that end at different steps.

Legend: T steps, B batch, N neurons; n spike count.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Trajectory
from sgbench.errors import InputError
from sgbench.regularisers.activity_bounds import ActivityBounds
from sgbench.regularisers.none import NoPenalty
from sgbench.regularisers.total_activity import TotalActivity
from tests.losses.test_losses import LENGTHS, STEPS, make_output, trajectory
from tests.messages import raises_naming

BOUNDS = {"lower_strength": 0.7, "lower_spikes": 2.0, "upper_strength": 0.4, "upper_spikes": 1.5}


def make_spikes(sizes: tuple[int, ...] = (6, 3)) -> tuple[Tensor, ...]:
    """Random spikes of two layers, also behind the ends of samples."""
    random = torch.Generator().manual_seed(5)
    return tuple((torch.rand(STEPS, len(LENGTHS), size, generator=random) < 0.45).double() for size in sizes)


def penalty(spikes: tuple[Tensor, ...], **changes: float) -> Tensor:
    bounds = ActivityBounds(**{**BOUNDS, **changes})
    return bounds.penalty(trajectory(make_output("last_step"), spikes))


def bounds_by_hand(spikes: np.ndarray) -> tuple[float, float]:
    """Lower and upper term of one layer, with one loop per sample and neuron."""
    below, above = [], []
    for b, length in enumerate(LENGTHS):
        counts = [sum(spikes[:length, b, i]) for i in range(spikes.shape[2])]
        below += [max(0.0, 2.0 - count) ** 2 for count in counts]
        above.append(max(0.0, sum(counts) / len(counts) - 1.5) ** 2)
    return float(np.mean(below)), float(np.mean(above))


def test_activity_bounds_equal_the_formula():
    """Expected: 0.7 <max(0, 2 - n)^2> per neuron + 0.4 <max(0, <n> - 1.5)^2> per layer, summed over two layers."""
    spikes = make_spikes()
    terms = [bounds_by_hand(layer.numpy()) for layer in spikes]
    assert all(lower > 0 and upper > 0 for lower, upper in terms)
    expected = sum(0.7 * lower + 0.4 * upper for lower, upper in terms)
    assert penalty(spikes).item() == pytest.approx(expected, rel=1e-13)


def test_activity_within_bounds_costs_nothing():
    """Expected: exactly 0 and gradient 0 where every count is at least nu_l and every mean at most nu_u."""
    spikes = tuple(layer.requires_grad_() for layer in make_spikes())
    found = penalty(spikes, lower_spikes=0.0, upper_spikes=float(STEPS))
    assert found.item() == 0
    assert all((slope == 0).all() for slope in torch.autograd.grad(found, spikes))
    ones = (torch.ones(STEPS, len(LENGTHS), 4, dtype=torch.float64),)
    assert penalty(ones, lower_spikes=1.0, upper_spikes=7.0).item() == 0


def test_lower_bound_wakes_a_silent_neuron():
    """Expected by hand: d/ds of 0.7 <max(0, 2 - n)^2> is -2 0.7 (2 - n)/(B N) in each own step, at n = 0.

    Descent along it adds spikes; the upper bound alone leaves the silent neuron alone.
    """
    spikes = make_spikes((3,))[0]
    spikes[:, :, 1] = 0
    spikes.requires_grad_()
    (slope,) = torch.autograd.grad(penalty((spikes,), upper_strength=0.0), spikes)
    inside = torch.arange(STEPS)[:, None] < torch.tensor(LENGTHS)
    expected = inside.double() * (-2 * 0.7 * 2.0 / (len(LENGTHS) * 3))
    torch.testing.assert_close(slope[:, :, 1], expected, rtol=1e-12, atol=0)
    (upper,) = torch.autograd.grad(penalty((spikes,), lower_strength=0.0, upper_spikes=100.0), spikes)
    assert (upper == 0).all()


def test_upper_bound_leaves_single_neurons_free():
    """Must differ from a bound per neuron: one neuron fires always, the layer's mean is low, the cost is 0."""
    spikes = torch.zeros(STEPS, len(LENGTHS), 7, dtype=torch.float64)
    spikes[:, :, 0] = 1
    assert penalty((spikes,), lower_strength=0.0, upper_spikes=1.0).item() == 0
    assert penalty((spikes,), lower_strength=0.0, upper_spikes=0.5).item() > 0


def test_spikes_behind_the_end_cost_nothing():
    """Expected: equal bits of value and gradient when the padding fires or is garbage."""
    behind = torch.arange(STEPS)[:, None] >= torch.tensor(LENGTHS)
    results = []
    for garbage in (0.0, 1.0, 1e9):
        spikes = make_spikes()[0].masked_fill(behind[..., None], garbage).requires_grad_()
        found = penalty((spikes,))
        results.append((found.item(), torch.autograd.grad(found, spikes)[0]))
    assert len({value for value, _ in results}) == 1
    assert all(torch.equal(slope, results[0][1]) for _, slope in results)


@pytest.mark.parametrize("key", BOUNDS)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "much", True], ids=repr)
def test_bad_bounds_are_refused_by_name(key, value):
    """Expected: an InputError that names the option."""
    with pytest.raises(InputError, match=f"regulariser.{key}=.*a number in"):
        ActivityBounds(**{**BOUNDS, key: value})


def test_total_activity_equals_the_formula():
    """Expected: 0.3 sum n + 0.2 <(sum over b n)^2> over neurons, one loop per neuron; padding does not count."""
    spikes = make_spikes()
    expected = 0.0
    for layer in spikes:
        sums = [
            sum(layer[:length, b, i].sum().item() for b, length in enumerate(LENGTHS)) for i in range(layer.shape[2])
        ]
        expected += 0.3 * sum(sums) + 0.2 * sum(each**2 for each in sums) / len(sums)
    found = TotalActivity(total_strength=0.3, square_strength=0.2).penalty(trajectory(spikes[0], spikes))
    assert found.item() == pytest.approx(expected, rel=1e-13)
    with raises_naming(InputError, "regulariser.square_strength=-1", "number in"):
        TotalActivity(total_strength=0.3, square_strength=-1.0)


def test_no_penalty_is_none():
    """Expected: None, so that the loss stays the very same tensor."""
    assert NoPenalty().penalty(trajectory(make_output("last_step"))) is None


@pytest.mark.parametrize(
    "regulariser",
    [ActivityBounds(**BOUNDS), TotalActivity(total_strength=0.3, square_strength=0.2)],
    ids=["bounds", "total"],
)
def test_samples_of_full_length_have_one_gradient_for_all_steps(regulariser):
    """Must match: the gradient of the same spikes with an unseen step behind each end, and memory of one step.

    An engine takes a gradient whose steps share their memory as one row. Must differ: where samples end early.
    """

    def slope(lengths: list[int], steps: int) -> Tensor:
        spikes = torch.cat([make_spikes((3,))[0], torch.ones(1, len(LENGTHS), 3, dtype=torch.float64)])[:steps]
        spikes.requires_grad_()
        ends = torch.tensor(lengths)
        found = regulariser.penalty(Trajectory(spikes, ends, (spikes,), (), ()))
        return torch.autograd.grad(found, spikes)[0]

    full = [STEPS] * len(LENGTHS)
    shared, masked = slope(full, STEPS), slope(full, STEPS + 1)
    assert shared.stride(0) == 0
    assert masked.stride(0) != 0
    assert torch.equal(shared, masked[:STEPS])
    assert (shared != 0).any()
    assert not torch.equal(slope(list(LENGTHS), STEPS), shared)
