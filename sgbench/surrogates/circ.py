"""The slope of a circle-like sigmoid."""

import math
from typing import ClassVar

from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class Circ(SlopedBell):
    r"""Uses the slope of :math:`z / \sqrt{1 + z^2}` at z = ku: :math:`(1 + (ku)^2)^{-3/2}`.

    It is the density of Student's t distribution with two degrees of freedom; its tails fall with the third power.

    Args:
        slope: steepness k [1/threshold units]; Norse's alpha is 1/k.
        width_fwhm: full width at half maximum, :math:`2\sqrt{2^{2/3} - 1}/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 2/k.

    Source: Norse, `norse.torch.functional.threshold`, method `circ`.

    >>> import torch
    >>> surrogate = Circ(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, math.sqrt(3)]))
    tensor([1.0000, 0.1250])
    """

    bell_area: ClassVar[float] = 2.0
    bell_fwhm: ClassVar[float] = 2 * math.sqrt(2 ** (2 / 3) - 1)

    def bell(self, z: Tensor) -> Tensor:
        root = (1 + z.square()).rsqrt()
        return root * root * root

    def bell_integral(self, z: Tensor) -> Tensor:
        return z * (1 + z.square()).rsqrt()
