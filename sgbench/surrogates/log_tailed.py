"""The slope of a rectifier with a logarithmic tail."""

import math

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, Surrogate


class LogTailed(Surrogate):
    """Uses slope 1 for 0 < u <= 1, 1/u above, and the leak at and below threshold.

    Args:
        leak: slope at and below threshold, 0 or more.
        normalisation: see `Surrogate`; the peak is 1 (or the leak, if larger), the area infinite.

    Source: Cai et al. 2017, CVPR, "Deep learning with low precision by half-wave Gaussian quantization" (the
    log-tailed ReLU); SpikingJelly `LogTailedReLU`.

    >>> surrogate = LogTailed(leak=0.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-1.0, 0.0, 0.5, 4.0]))
    tensor([0.0000, 0.0000, 1.0000, 0.2500])
    """

    shape_area: float = math.inf
    shape_kinks: tuple[float, ...] = (0.0, 1.0)  # the jump at threshold, and the corner where the tail begins

    def __init__(self, *, leak: float, normalisation: str, scale: float) -> None:
        self.leak = require_number("surrogate.leak", leak, low=0, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return torch.where(u <= 0, self.leak, 1 / u.clamp(min=1))

    def shape_integral(self, u: Tensor) -> Tensor:
        return -self.leak * torch.relu(-u) + u.clamp(0, 1) + torch.log(u.clamp(min=1))

    @property
    def shape_peak(self) -> float:
        return max(1.0, self.leak)

    @property
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum, from threshold to u = 2; None for a leak of 1/2 or more."""
        return 2.0 if 2 * self.leak < 1 else None

    @property
    def shape_support(self) -> tuple[float, float]:
        return (-math.inf if self.leak else 0.0), math.inf
