"""What every regulariser of the catalogue keeps: a penalty on the valid steps of a batch, and its slope.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Trajectory
from sgbench.composition import catalogue
from sgbench.regularisers.base import Regulariser
from sgbench.training.build import construct
from tests.entries import made, spec_with

NAMES = tuple(catalogue.paths("regulariser"))
every = pytest.mark.parametrize("name", NAMES)
STEPS, BATCH, SIZES = 30, 4, (5, 3)
LENGTHS = torch.tensor([30, 26, 30, 22])


def activity(rate: float, seed: int = 0) -> list[Tensor]:
    """Return activities of two layers [T, B, N] that spread evenly about a rate of spikes in a step."""
    random = torch.Generator().manual_seed(seed)
    return [rate * 2 * torch.rand(STEPS, BATCH, size, generator=random, dtype=torch.float64) for size in SIZES]


def trajectory(regulariser: Regulariser, layers: list[Tensor], lengths: Tensor = LENGTHS) -> Trajectory:
    """Return a trajectory that keeps what a regulariser needs, and nothing else."""
    spikes = tuple(layers) if SPIKES in regulariser.needs else ()
    potentials = tuple(layers) if POTENTIAL in regulariser.needs else ()
    return Trajectory(torch.zeros(STEPS, BATCH, 2, dtype=torch.float64), lengths, spikes, potentials, ())


def penalty(name: str, layers: list[Tensor], lengths: Tensor = LENGTHS) -> Tensor | None:
    """Return an entry's penalty on activities."""
    regulariser: Regulariser = made("regulariser", name)
    return regulariser.penalty(trajectory(regulariser, layers, lengths))


@every
def test_it_is_a_number_that_does_not_fall_below_zero(name: str) -> None:
    """Expected: None throughout, or scalars of at least 0, above 0 for silence or for unceasing spikes."""
    found = [penalty(name, activity(rate)) for rate in (0.0, 0.2, 1.0)]
    assert made("regulariser", name).needs <= {SPIKES, POTENTIAL}
    if found[0] is None:
        assert found == [None] * 3
        assert not made("regulariser", name).needs
        return
    for value in found:
        assert value is not None
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value >= 0
    assert max(found[0], found[2]) > 0  # type: ignore[type-var]


@pytest.mark.one_in(8)
@every
def test_its_slope_is_that_of_finite_differences(name: str) -> None:
    """Expected: central differences along random directions, for silent, usual and unceasing activity."""
    random = torch.Generator().manual_seed(1)
    for rate in (0.01, 0.2, 1.0):
        layers = [layer.requires_grad_() for layer in activity(rate)]
        value = penalty(name, layers)
        if value is None:
            return
        slopes = torch.autograd.grad(value, layers)
        directions = [torch.randn(layer.shape, generator=random, dtype=torch.float64) for layer in layers]
        along = sum((slope * way).sum() for slope, way in zip(slopes, directions, strict=True))
        step = 1e-6
        ends = [
            penalty(name, [layer.detach() + sign * step * way for layer, way in zip(layers, directions, strict=True)])
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)  # type: ignore[operator]
        torch.testing.assert_close(along, expected, rtol=1e-6, atol=1e-9)


@every
def test_what_lies_behind_a_sample_costs_nothing(name: str) -> None:
    """Expected: equal bits with other activity behind each sample's end, and no slope there."""
    layers = activity(1.0)
    behind = (torch.arange(STEPS)[:, None] >= LENGTHS)[..., None]
    others = [torch.where(behind, torch.full_like(layer, 7.0), layer) for layer in layers]
    for layer in [*layers, *others]:
        layer.requires_grad_()
    value, other = penalty(name, layers), penalty(name, others)
    if value is None or other is None:
        assert value is other
        return
    assert torch.equal(value, other)
    for slope in torch.autograd.grad(other, others):
        assert not slope[behind.expand_as(slope)].any()


@every
def test_order_of_samples_and_neurons_does_not_matter(name: str) -> None:
    """Expected: the same number of a batch and of layers that are turned round."""
    layers = activity(1.0)
    value = penalty(name, layers)
    turned = penalty(name, [layer.flip(1, 2) for layer in layers], LENGTHS.flip(0))
    if value is None or turned is None:
        assert value is turned
        return
    torch.testing.assert_close(turned, value, rtol=1e-12, atol=0)


@every
def test_without_strength_nothing_is_penalised(name: str) -> None:
    """Expected: exactly 0 where every strength is 0."""
    spec = spec_with({"regulariser": name})
    values = dict(spec.method.parameters["regulariser"])
    strengths = [key for key in values if key.endswith("strength")]
    regulariser = construct("regulariser", spec.targets["regulariser"], values | dict.fromkeys(strengths, 0.0))
    assert inspect.signature(type(regulariser)).parameters.keys() >= set(strengths)
    for rate in (0.0, 1.0):
        value = regulariser.penalty(trajectory(regulariser, activity(rate)))
        assert value is None or (strengths and value == 0)
