"""Lines and loops of weights: integrals of gradients against differences of the loss, and published figures."""

from __future__ import annotations

import functools

import pytest
import torch

from sgbench.diagnosis.landscape import (
    WeightLoss,
    closed_loop,
    closed_loops,
    integral,
    line_between,
    plane,
    two_directions,
    whole_loss,
)
from sgbench.diagnosis.panels import falling_steps
from sgbench.diagnosis.relaxed import relaxed
from sgbench.diagnosis.traces import trace
from sgbench.errors import InputError
from sgbench.reproduction.closed_loop import gradient as five_weights
from tests.diagnosis.made import batch, network, objective, sigmoid
from tests.messages import raises_naming


def test_the_line_of_a_soft_network_integrates_to_the_difference_of_its_loss() -> None:
    """Mathematics: the integral of a gradient along any way is the difference of the function at its ends."""
    soft = relaxed(network([5, 4, 2], functools.partial(sigmoid, 3.0), gain=1.0))
    loss = whole_loss(soft, [batch(6, 2, 5, 2)], objective())
    start = loss.weights()
    end = start + 0.3 * torch.randn(len(start), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    line = line_between(loss, start, end, points=101)
    assert line[0].loss is not None
    assert line[-1].loss is not None
    assert integral(line) == pytest.approx(line[-1].loss - line[0].loss, rel=1e-4)
    for point in line[1:-1]:
        assert point.macroscopic_slope == pytest.approx(point.surrogate_slope, rel=1e-2, abs=1e-2)


def test_the_line_of_a_spiking_network_does_not() -> None:
    """Must differ: with steps in place of curves the surrogate's integral misses the loss."""
    loss = whole_loss(network([5, 4, 2], sigmoid, gain=2.0), [batch(6, 2, 5, 2)], objective())
    start = loss.weights()
    line = line_between(loss, start, 0.5 * start, points=21)
    change = (line[-1].loss or 0.0) - (line[0].loss or 0.0)
    assert abs(integral(line) - change) > 0.1 * abs(change)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("slope", "share"), [(5.0, 0.0), (2.0, -2.48e-2)])
def test_loop_of_the_five_weight_network(slope: float, share: float) -> None:
    """Expected: the shares that an independent program prints for slopes 5/5 and 5/2 around the same circle."""
    centre = torch.tensor([0.1, 0.4, -0.5, 0.6, -0.45], dtype=torch.float64)
    first, second = torch.zeros(5).double(), torch.zeros(5).double()
    first[1], second[4] = 0.5, 0.5

    def gradient(place: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(five_weights(place.numpy(), 1.0, forward_slope=5.0, slope=slope))

    found = closed_loop(gradient, centre, first, second, points=4000).loop
    if share:
        assert found.integral / found.path == pytest.approx(share, abs=5e-5)
    else:
        assert abs(found.integral) < 1e-12


@pytest.mark.slow
def test_loops_of_a_soft_network_close_and_of_a_spiking_one_do_not() -> None:
    """Mathematics: the closed integral of a gradient is 0, whatever the plane."""
    net, given = network([3, 3, 2], functools.partial(sigmoid, 2.0), gain=1.5), [batch(4, 2, 3, 2)]
    options = {"radius": 0.2, "points": 64, "planes": 2}

    def shares(of) -> list[float]:  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(0)
        courses = closed_loops(whole_loss(of, given, objective()), generator, **options)  # type: ignore[arg-type]
        return [abs(course.loop.integral) / course.loop.path for course in courses]

    assert max(shares(relaxed(net))) < 1e-9
    assert max(shares(net)) > 1e-3


def test_lines_and_loops_out_of_range_are_refused() -> None:
    """Each message names the option."""
    loss = whole_loss(network([3, 2], sigmoid), [batch(2, 2, 3, 2)], objective())
    start = loss.weights()
    with raises_naming(InputError, "--points=2"):
        line_between(loss, start, 2 * start, points=2)
    with raises_naming(InputError, "--from 1", "--to 0"):
        line_between(loss, start, 2 * start, points=5, first=1.0, last=0.0)
    with pytest.raises(InputError, match="the same weights"):
        line_between(loss, start, start, points=5)
    with pytest.raises(InputError, match="--radius"):
        closed_loops(loss, torch.Generator(), radius=0.0, points=5, planes=1)


def test_a_plane_of_a_quadratic_is_its_formula() -> None:
    """Mathematics: w'Aw/2 over w_0 + a d_1 + b d_2, with directions that are not orthogonal."""
    generator = torch.Generator().manual_seed(0)
    matrix, centre, first, second = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((4, 4), (4,), (4,), (4,))
    )
    matrix = matrix @ matrix.T
    bowl = WeightLoss(lambda w: 0.5 * (w @ matrix @ w).item(), lambda w: matrix @ w, lambda: centre, lambda _: centre)
    found = plane(bowl, centre, first, second, points=5)
    terms = [
        0.5 * (one @ matrix @ other).item() for one in (centre, first, second) for other in (centre, first, second)
    ]
    for b, row in zip(found.second, found.losses, strict=True):
        for a, loss in zip(found.first, row, strict=True):
            wanted = sum(
                x * y * term
                for (x, y), term in zip(((x, y) for x in (1.0, a, b) for y in (1.0, a, b)), terms, strict=True)
            )
            assert loss == pytest.approx(wanted)
    endless = WeightLoss(lambda _: float("inf"), lambda w: w, lambda: centre, lambda _: centre)
    assert {each for row in plane(endless, centre, first, second, points=3).losses for each in row} == {None}
    with pytest.raises(InputError, match="at most 101 a side"):
        plane(bowl, centre, first, second, points=102)


def test_directions_are_orthogonal_and_the_first_is_the_one_given() -> None:
    """Mathematics: the Gram matrix is the identity; a given direction is kept up to its length, sign included."""
    given = torch.tensor([0.0, 3.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    for first in (None, given, -given):
        found = two_directions(5, torch.Generator().manual_seed(1), first=first)
        assert torch.allclose(found @ found.T, torch.eye(2, dtype=torch.float64), atol=1e-12)
        if first is not None:
            assert torch.allclose(found[0], first / 5)


def test_short_steps_against_a_true_gradient_fall_and_along_it_rise() -> None:
    """Mathematics: a short step down the gradient of a smooth network lowers its loss; its opposite raises it."""
    soft, goal = relaxed(network([5, 6, 2], functools.partial(sigmoid, 3.0), gain=2.0)), objective()
    batches = [batch(8, 3, 5, 2, seed=seed) for seed in range(4)]
    traced = [trace(soft, each, goal) for each in batches]
    assert falling_steps(soft, traced, batches, goal) == 1.0
    for each in traced[:1]:
        for weight in each.network.parameters():
            weight.grad = None if weight.grad is None else -weight.grad
    assert falling_steps(soft, traced, batches, goal) == 0.75
    silent = network([5, 6, 2], functools.partial(sigmoid, 3.0), gain=0.01)
    traced = [trace(silent, each, goal) for each in batches]
    assert any(weight.grad is not None and weight.grad.any() for weight in traced[0].network.parameters())
    assert falling_steps(silent, traced, batches, goal) is None  # its loss is that of no spikes, before and after
