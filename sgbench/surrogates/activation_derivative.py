"""The derivative of an activation function of rate networks as a surrogate."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sgbench.errors import require_choice
from sgbench.surrogates.base import Surrogate, nan_where_nan


class _Activation(NamedTuple):
    """Holds an activation function f, its slope f' and the numbers of f' that `Surrogate` needs."""

    value: Callable[[Tensor], Tensor]  # f
    slope: Callable[[Tensor], Tensor]  # f'
    peak: float  # largest value of f'
    area: float  # integral of f'
    fwhm: float | None  # None if f' does not fall to half on both sides
    kinks: tuple[float, ...] = ()  # where f' has a corner or jump
    support: tuple[float, float] = (-math.inf, math.inf)  # interval outside which f' is 0


def _logistic_slope(u: Tensor) -> Tensor:
    decay = torch.exp(-u.abs())
    return decay / (1 + decay).square()


def _softplus(u: Tensor) -> Tensor:
    return torch.relu(u) + torch.log1p(torch.exp(-u.abs()))  # torch's softplus is linear above 20


ACTIVATIONS = {
    "relu": _Activation(
        torch.relu,
        lambda u: nan_where_nan(u, (u > 0).to(u.dtype)),
        peak=1.0,
        area=math.inf,
        fwhm=None,
        kinks=(0.0,),
        support=(0.0, math.inf),
    ),
    "sigmoid": _Activation(torch.sigmoid, _logistic_slope, peak=0.25, area=1.0, fwhm=2 * math.log(3 + 2 * 2**0.5)),
    "tanh": _Activation(
        torch.tanh, lambda u: 4 * _logistic_slope(2 * u), peak=1.0, area=2.0, fwhm=math.log(3 + 2 * 2**0.5)
    ),
    "softplus": _Activation(_softplus, torch.sigmoid, peak=1.0, area=math.inf, fwhm=None),
    "elu": _Activation(
        functional.elu, lambda u: torch.exp(-torch.relu(-u)), peak=1.0, area=math.inf, fwhm=None, kinks=(0.0,)
    ),
}
"""Maps the name of an activation to its functions and numbers."""


class ActivationDerivative(Surrogate):
    r"""Uses the slope :math:`f'(u)` of a rate network's activation f in place of the spike's derivative.

    Args:
        activation: name of f: relu, sigmoid, tanh, softplus or elu.
        normalisation: see `Surrogate`; the area of all but sigmoid and tanh is infinite.

    Source: KerasSpiking 0.3, `SpikingActivation` (spiking-aware training).

    >>> surrogate = ActivationDerivative(activation="tanh", normalisation="raw", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0])).item(), surrogate.area
    (1.0, 2.0)
    """

    def __init__(self, *, activation: str, normalisation: str, scale: float) -> None:
        self.activation = require_choice("surrogate.activation", activation, tuple(ACTIVATIONS))
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].slope(u)

    def shape_integral(self, u: Tensor) -> Tensor:
        return ACTIVATIONS[self.activation].value(u)

    @property
    def shape_peak(self) -> float:
        return ACTIVATIONS[self.activation].peak

    @property
    def shape_area(self) -> float:
        return ACTIVATIONS[self.activation].area

    @property
    def shape_fwhm(self) -> float | None:
        return ACTIVATIONS[self.activation].fwhm

    @property
    def shape_support(self) -> tuple[float, float]:
        return ACTIVATIONS[self.activation].support

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        return ACTIVATIONS[self.activation].kinks
