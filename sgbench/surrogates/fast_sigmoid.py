"""The slope of the fast sigmoid."""

from typing import ClassVar

from torch import Tensor

from sgbench.surrogates.bell import SlopedBell


class FastSigmoid(SlopedBell):
    r"""Uses the slope of the fast sigmoid, :math:`1 / (1 + k|u|)^2`, the SuperSpike surrogate.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`2(\sqrt 2 - 1)/k`, in place of `slope`.
        normalisation: see `Surrogate`; the peak is 1 and the area 2/k.

    Source: Zenke & Ganguli 2018, Neural Computation 30(6), the SuperSpike nonlinearity; snnTorch
    `fast_sigmoid`, equal to it (tested).

    >>> import torch
    >>> surrogate = FastSigmoid(slope=25.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.04, 0.0, 0.04]))
    tensor([0.2500, 1.0000, 0.2500])
    """

    bell_area: ClassVar[float] = 2.0
    bell_fwhm: ClassVar[float] = 2 * (2**0.5 - 1)
    kernel_shape: ClassVar[str | None] = "fast_sigmoid"

    def bell(self, z: Tensor) -> Tensor:
        return (1 + z.abs()).pow(-2)

    def bell_integral(self, z: Tensor) -> Tensor:
        return z / (1 + z.abs())
