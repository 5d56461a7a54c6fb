"""A slope of 1 above threshold and in a window just below it."""

import math

from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, Surrogate, nan_where_nan


class OneSidedWindow(Surrogate):
    r"""Uses slope 1 for :math:`u \ge -w` and 0 below.

    Args:
        window: distance w below threshold at which the slope becomes 1, 0 or more [threshold units].
        normalisation: see `Surrogate`; the peak is 1, the area infinite.
        scale: see `Surrogate`; Rockpool and sinabs divide by the threshold.

    Source: Rockpool 3.1, `StepPWL` (w = 0.5); sinabs 3.1, `Heaviside` (w = 1).

    >>> import torch
    >>> surrogate = OneSidedWindow(window=0.5, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-0.6, -0.5, 0.0, 9.0]))
    tensor([0., 1., 1., 1.])
    """

    shape_peak: float = 1.0  # from -w on
    shape_area: float = math.inf
    shape_fwhm: None = None  # it never falls above threshold

    def __init__(self, *, window: float, normalisation: str, scale: float) -> None:
        self.window = require_number("surrogate.window", window, low=0, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, (u >= -self.window).to(u.dtype))

    def shape_integral(self, u: Tensor) -> Tensor:
        return (u + self.window).clamp(min=0)

    @property
    def shape_support(self) -> tuple[float, float]:
        return -self.window, math.inf
