"""The fast sigmoid's slope, with gradients divided by a norm over the batch."""

from typing import ClassVar

from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate


class BatchNormalised(Surrogate):
    r"""Divides the gradient through the fast sigmoid's slope by the norm of its mean over the batch.

    .. math:: g = \frac{ds}{(1 + k|u|)^2}, \qquad du = \frac{g}{\xi + \lVert \bar g \rVert_2}

    for the gradients ds by the spikes and du by the potential u, with the mean g-bar over the first dimension of u.
    Neurons depend on each other through the norm, so only `engine=reference` runs it.

    Args:
        slope: steepness k [1/threshold units].
        epsilon: xi, which avoids a division by 0 [units of the gradient].
        normalisation: see `Surrogate`; acts on the slope before the division.
        scale: see `Surrogate`; acts on the slope before the division.

    Source: stork (fmi-basel) 258a2d6, `SuperSpike_norm`.

    >>> import torch
    >>> surrogate = BatchNormalised(slope=100.0, epsilon=0.01, normalisation="peak1", scale=1.0)
    >>> u = torch.zeros(4, 2, requires_grad=True)
    >>> surrogate(u).sum().backward()
    >>> round(u.grad.mean(0).norm().item(), 3)  # sqrt(2) / (0.01 + sqrt(2))
    0.993
    """

    elementwise: ClassVar[bool] = False
    shape_peak: float = 1.0  # at threshold
    shape_kinks: tuple[float, ...] = (0.0,)  # a corner

    def __init__(self, *, slope: float, epsilon: float, normalisation: str, scale: float) -> None:
        self.steepness = require_number("surrogate.slope", slope, low=SMALLEST, high=LARGEST)
        self.epsilon = require_number("surrogate.epsilon", epsilon, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return (1 + self.steepness * u.abs()).pow(-2)

    def shape_integral(self, u: Tensor) -> Tensor:
        return u / (1 + self.steepness * u.abs())

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        through = super().pull_back(u, grad)
        return through / (self.epsilon + through.mean(0).norm())

    @property
    def shape_area(self) -> float:
        return 2 / self.steepness

    @property
    def shape_fwhm(self) -> float:
        return 2 * (2**0.5 - 1) / self.steepness
