"""A boxcar whose width follows the standard deviation of the layer's potentials in each step."""

from typing import ClassVar

from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate, nan_where_nan


class MpdAgl(Surrogate):
    r"""Uses a boxcar of area 1 whose width follows the standard deviation of the layer's potentials in each step.

    .. math:: \psi(u[t]) = \frac{1}{w[t]} \, 1\left[|u[t]| < \frac{w[t]}{2}\right], \; w[t] = \kappa\sigma(u[t])

    for the standard deviation sigma over all samples and neurons of the layer. The paper has :math:`\kappa = 2` and
    the deviation that tdBN predicts: :math:`\bar\gamma\theta` at the first step and :math:`\sqrt{1 +
    \tau^2}\,\bar\gamma\theta` later, with the mean weight :math:`\bar\gamma` of the normalisation, the threshold
    theta and the decay :math:`\tau`. Here it is measured, so that it is defined without normalisation too; both
    agree under the assumptions of the paper's theorem. Neurons depend on each other through sigma, so only
    `engine=reference` runs it.

    Args:
        factor: kappa, width over standard deviation [1].
        width: width for potentials without spread, as of a single neuron [threshold units].
        normalisation: see `Surrogate`; acts on the boxcar of that width.

    Source: Jiang, Wang, Jiang, Fan & Yan 2025, IJCAI (MPD-AGL), arXiv:2505.11863, theorems 1 and 2.

    >>> import torch
    >>> surrogate = MpdAgl(factor=2.0, width=1.0, normalisation="raw", scale=1.0)
    >>> u = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]], requires_grad=True)  # deviation sqrt 5, width 2 sqrt 5
    >>> surrogate(u).sum().backward()
    >>> u.grad.flatten()
    tensor([0.0000, 0.2236, 0.2236, 0.0000])
    """

    elementwise: ClassVar[bool] = False
    raw_keeps_area: ClassVar[bool] = True
    shape_area: float = 1.0

    def __init__(self, *, factor: float, width: float, normalisation: str, scale: float) -> None:
        self.factor = require_number("surrogate.factor", factor, low=SMALLEST, high=LARGEST)
        self.width = require_number("surrogate.width", width, low=SMALLEST, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        return nan_where_nan(u, (u.abs() < self.width / 2).to(u.dtype) / self.width)

    def shape_integral(self, u: Tensor) -> Tensor:
        return u.clamp(-self.width / 2, self.width / 2) / self.width

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Multiply the gradient by the boxcar whose width is kappa times the standard deviation of u."""
        deviation = (u - u.mean()).square().mean().sqrt()
        stretch = (self.width / (self.factor * deviation)).where(deviation > SMALLEST, deviation.new_ones(()))
        # The height follows the normalisation, as it does under any stretch.
        height = stretch if self._keeps_area() else stretch.new_ones(())
        return grad * height * self.derivative(stretch * u)

    @property
    def shape_peak(self) -> float:
        return 1 / self.width

    @property
    def shape_fwhm(self) -> float:
        """Return `width`, that of the boxcar for potentials without spread."""
        return self.width

    @property
    def shape_support(self) -> tuple[float, float]:
        return -self.width / 2, self.width / 2
