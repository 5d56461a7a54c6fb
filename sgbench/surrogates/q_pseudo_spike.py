"""A bell whose tails fall with a chosen power."""

from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import require_number
from sgbench.surrogates.bell import BellSurrogate

HEAVIEST, LIGHTEST = 1.0, 100.0  # range of the power q; 1 itself is excluded, as its bell has no width


class QPseudoSpike(BellSurrogate):
    r"""Uses a bell with a tail of the power q, :math:`(1 + 2k|u|/(q-1))^{-q}`.

    q = 2 is the fast sigmoid; for q to infinity it tends to the exponential. braintools 0.3 divides by q + 1, the
    paper and SpikingJelly by q - 1, as here.

    Args:
        slope: steepness k [1/threshold units].
        width_fwhm: full width at half maximum, :math:`(q-1)(2^{1/q} - 1)/k`, in place of `slope`.
        tail: power q of the tails, above 1 and up to 100.
        normalisation: see `Surrogate`; the peak is 1 and the area 1/k.

    Source: Herranz-Celotti & Rouat 2022, arXiv:2202.00282; SpikingJelly `QPseudoSpike`.

    >>> surrogate = QPseudoSpike(slope=1.0, width_fwhm=None, tail=2.0, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([0.0, 0.5, 1.5]))
    tensor([1.0000, 0.2500, 0.0625])
    """

    native: ClassVar[str] = "slope"
    bell_area: ClassVar[float] = 1.0

    def __init__(
        self, *, slope: float | None, width_fwhm: float | None, tail: float, normalisation: str, scale: float
    ) -> None:
        self.tail = require_number("surrogate.tail", tail, low=HEAVIEST, high=LIGHTEST, open_low=True)
        fwhm = (self.tail - 1) * (2 ** (1 / self.tail) - 1)
        self.bell_fwhm = fwhm  # pyright: ignore[reportAttributeAccessIssue] - of the class in other bells
        super().__init__(native_value=slope, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)

    def _log_base(self, z: Tensor) -> Tensor:
        """Compute log(1 + 2|z|/(q-1)), elementwise; q is `tail`."""
        return torch.log1p(2 / (self.tail - 1) * z.abs())

    def bell(self, z: Tensor) -> Tensor:
        """Evaluate the form (1 + 2|z|/(q-1))^-q, q being `tail`, by its logarithm for precision."""
        return torch.exp(-self.tail * self._log_base(z))

    def bell_integral(self, z: Tensor) -> Tensor:
        return -torch.sign(z) / 2 * torch.expm1((1 - self.tail) * self._log_base(z))
