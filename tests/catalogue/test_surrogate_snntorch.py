"""Equality with snnTorch's surrogates where they are right, and pins where they are not."""

import math
from collections.abc import Callable

import pytest
import snntorch.surrogate
import torch
from torch import Tensor

from tests.catalogue.shapes import make


def gradient_of(spike_grad: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """Gradient of the summed spikes."""
    u = u.clone().requires_grad_()
    return torch.autograd.grad(spike_grad(u).sum(), u)[0]


TWINS = {
    "fast_sigmoid": ({"slope": 25.0}, snntorch.surrogate.fast_sigmoid(slope=25.0)),
    "atan": ({"alpha": 2.0}, snntorch.surrogate.atan(alpha=2.0)),
    "sigmoid": ({"slope": 25.0}, snntorch.surrogate.sigmoid(slope=25.0)),
    "constant": ({}, snntorch.surrogate.straight_through_estimator()),
}


@pytest.mark.parametrize(("name", "twin"), TWINS.items(), ids=TWINS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equals_snntorch_where_it_is_right(name, twin, dtype):
    """Expected: snnTorch 1.0's gradient and spikes on |u| <= 1.7, to rounding.

    The range keeps exp(-k u)^2 of its sigmoid finite in float32 (k|u| < 44). Relative bound: eps times the
    roundings of both (8) plus k|u| for the exponent's own rounding.
    """
    parameters, theirs = twin
    surrogate = make(name, **parameters, normalisation="raw", scale=1.0)
    u = torch.linspace(-1.7, 1.7, 20_001, dtype=torch.float64).to(dtype)
    assert torch.equal(surrogate(u), theirs(u).to(dtype))
    bound = torch.finfo(dtype).eps * (8 + 25 * u.abs())
    expected = gradient_of(theirs, u)
    assert ((surrogate.derivative(u) - expected).abs() <= bound * expected).all()


def test_snntorch_triangular_is_no_triangle():
    """Must differ. Pinned: snnTorch 1.0's `triangular` has slope +1 below and -1 above threshold.

    If this fails, snnTorch has changed: compare the new slope with ours, move it to TWINS if equal, and edit
    the docstring of `Triangle`.
    """
    u = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])
    theirs = gradient_of(snntorch.surrogate.triangular(threshold=1), u)
    assert theirs.tolist() == [1, 1, -1, -1, -1]
    assert make("triangle", slope=1.0, normalisation="raw", scale=1.0).derivative(u).tolist() == [0, 0.5, 1, 0.5, 0]


def test_snntorch_sigmoid_is_not_finite_far_below_threshold():
    """Must differ. Pinned: snnTorch 1.0's `sigmoid` gives NaN for k u < -88 in float32, and 0 below -44.4.

    If this fails, snnTorch has been repaired: widen the range of `test_equals_snntorch_where_it_is_right` and
    edit the docstring of `Sigmoid`.
    """
    u = torch.tensor([-2.0, -4.0])  # k u = -50 and -100
    theirs = gradient_of(snntorch.surrogate.sigmoid(slope=25.0), u)
    assert theirs[0] == 0
    assert torch.isnan(theirs[1])
    ours = make("sigmoid", slope=25.0, normalisation="raw", scale=1.0).derivative(u)
    expected = torch.tensor([25 * math.exp(-50), 25 * math.exp(-100)], dtype=torch.float64)
    spacing = 25 * 2.0**-149  # of the subnormal exp(-100) in float32, times the slope
    torch.testing.assert_close(ours.double(), expected, rtol=50 * torch.finfo(torch.float32).eps, atol=spacing)


def test_snntorch_atan_is_not_its_documented_formula():
    """Must differ. Pinned: snnTorch 1.0 documents the height 1/pi of `atan`; its code, and ours, has alpha/2.

    If this fails, snnTorch's code has changed: `raw` of `Atan` must follow or its docstring must say so.
    """
    theirs = gradient_of(snntorch.surrogate.atan(alpha=2.0), torch.zeros(1)).item()
    assert theirs == 1.0
    assert theirs == make("atan", alpha=2.0, normalisation="raw", scale=1.0).peak
    assert abs(theirs - 1 / math.pi) > 0.5
