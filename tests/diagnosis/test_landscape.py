"""Lines and loops of weights: integrals of gradients against differences of the loss, and published figures."""

from __future__ import annotations

import functools

import pytest
import torch

from sgbench.diagnosis.landscape import closed_loop, closed_loops, integral, line_between, whole_loss
from sgbench.diagnosis.relaxed import relaxed
from sgbench.errors import InputError
from sgbench.reproduction.closed_loop import gradient as five_weights
from tests.diagnosis.made import batch, network, objective, sigmoid


def test_the_line_of_a_soft_network_integrates_to_the_difference_of_its_loss() -> None:
    """Mathematics: the integral of a gradient along any way is the difference of the function at its ends."""
    soft = relaxed(network([5, 4, 2], functools.partial(sigmoid, 3.0), gain=1.0))
    loss = whole_loss(soft, [batch(6, 2, 5, 2)], objective())
    start = loss.place()
    end = start + 0.3 * torch.randn(
        len(start), generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    line = line_between(loss, start, end, points=201)
    assert line[0].loss is not None
    assert line[-1].loss is not None
    assert integral(line) == pytest.approx(line[-1].loss - line[0].loss, rel=1e-4)
    for point in line[1:-1]:
        assert point.macroscopic_slope == pytest.approx(point.surrogate_slope, rel=1e-2, abs=1e-2)


def test_the_line_of_a_spiking_network_does_not() -> None:
    """Must differ: with steps in place of curves the surrogate's integral misses the loss."""
    loss = whole_loss(network([5, 4, 2], sigmoid, gain=2.0), [batch(6, 2, 5, 2)], objective())
    start = loss.place()
    line = line_between(loss, start, 0.5 * start, points=21)
    change = (line[-1].loss or 0.0) - (line[0].loss or 0.0)
    assert abs(integral(line) - change) > 0.1 * abs(change)


@pytest.mark.parametrize(("slope", "share"), [(5.0, 0.0), (2.0, -2.48e-2)])
def test_loop_of_the_five_weight_network(slope: float, share: float) -> None:
    """Expected: the shares that an independent program prints for slopes 5/5 and 5/2 around the same circle."""
    centre = torch.tensor([0.1, 0.4, -0.5, 0.6, -0.45], dtype=torch.float64)
    first, second = torch.zeros(5).double(), torch.zeros(5).double()
    first[1], second[4] = 0.5, 0.5

    def gradient(place: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(five_weights(place.numpy(), 1.0, forward_slope=5.0, slope=slope))

    found = closed_loop(gradient, centre, first, second, points=4000)
    if share:
        assert found.integral / found.path == pytest.approx(share, abs=5e-5)
    else:
        assert abs(found.integral) < 1e-12


def test_loops_of_a_soft_network_close_and_of_a_spiking_one_do_not() -> None:
    """Mathematics: the closed integral of a gradient is 0, whatever the plane."""
    net, given = network([3, 3, 2], functools.partial(sigmoid, 2.0), gain=1.5), [batch(4, 2, 3, 2)]
    options = {"radius": 0.2, "points": 64, "planes": 2}

    def shares(of) -> list[float]:  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(0)
        loops = closed_loops(whole_loss(of, given, objective()), generator, **options)  # type: ignore[arg-type]
        return [abs(loop.integral) / loop.path for loop in loops]

    assert max(shares(relaxed(net))) < 1e-9
    assert max(shares(net)) > 1e-3


def test_lines_and_loops_out_of_range_are_refused() -> None:
    """Each message names the option."""
    loss = whole_loss(network([3, 2], sigmoid), [batch(2, 2, 3, 2)], objective())
    start = loss.place()
    with pytest.raises(InputError, match="--points=2"):
        line_between(loss, start, 2 * start, points=2)
    with pytest.raises(InputError, match="the line has to go up"):
        line_between(loss, start, 2 * start, points=5, first=1.0, last=0.0)
    with pytest.raises(InputError, match="the same weights"):
        line_between(loss, start, start, points=5)
    with pytest.raises(InputError, match="--radius"):
        closed_loops(loss, torch.Generator(), radius=0.0, points=5, planes=1)
