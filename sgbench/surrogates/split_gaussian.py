"""The Gaussian slope with a width of its own on each side of the threshold."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.bell import BellSurrogate

MOST_SKEW = 0.99


class SplitGaussian(BellSurrogate):
    r"""Uses a Gaussian of two widths, :math:`e^{-(ku/(1-a))^2}` below threshold, :math:`e^{-(ku/(1+a))^2}` above.

    Width, peak and area are those of `Gaussian` with the same k, whatever the skew a. At :math:`a = 0` it is
    `Gaussian`.

    Args:
        slope: steepness k [1/threshold units].
        skew: a, from -0.99 to 0.99; above 0 the slope reaches further above threshold than below.
        width_fwhm: full width at half maximum, :math:`2\sqrt{\ln 2}/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area :math:`\sqrt\pi/k`.

    Raises:
        InputError: a value out of range.

    Source: the split normal density, Fechner 1897, see Wallis 2014, Statistical Science 29(1); surrogates with a
    left and a right width: A2SG, ICML 2026, arXiv 2606.11236.

    >>> surrogate = SplitGaussian(slope=1.0, skew=0.5, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> half = math.sqrt(math.log(2))
    >>> surrogate.derivative(torch.tensor([-0.5 * half, 0.0, 1.5 * half]))
    tensor([0.5000, 1.0000, 0.5000])
    """

    native: ClassVar[str] = "slope"
    bell_area: ClassVar[float] = math.sqrt(math.pi)
    bell_fwhm: ClassVar[float] = 2 * math.sqrt(math.log(2))

    def __init__(
        self, *, slope: float | None, skew: float, width_fwhm: float | None, normalisation: str, scale: float
    ) -> None:
        self.skew = require_number("surrogate.skew", skew, low=-MOST_SKEW, high=MOST_SKEW)
        super().__init__(native_value=slope, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)

    def _side_width(self, z: Tensor) -> Tensor:
        """Return the relative width of the side of each z: 1 - a below 0, 1 + a above; a is `skew`."""
        return 1 + self.skew * z.sign()

    def bell(self, z: Tensor) -> Tensor:
        return torch.exp(-(z / self._side_width(z)).square())

    def bell_integral(self, z: Tensor) -> Tensor:
        side = self._side_width(z)
        return math.sqrt(math.pi) / 2 * side * torch.erf(z / side)

    @property
    def share_below(self) -> float:
        """Return the share of the area that lies below threshold: (1 - a) / 2; a is `skew`."""
        return (1 - self.skew) / 2
