"""A window whose slope rises with the potential, of one width or of a width chosen anew in each layer and step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate
from sgbench.surrogates.undefined import nan_where_nan

LEAST_OFFSET = 0.5  # below it the slope would be negative at the window's lower end


class RisingWindow(Surrogate):
    r"""Uses a slope that rises over a window, :math:`u / (2\beta) + h` for :math:`|u| \le \beta` and 0 elsewhere.

    It gives more gradient to neurons that are nearer to a spike or beyond threshold. A2SG searches for the beta of
    each layer and step anew (`A2sg`); here beta is fixed.

    Args:
        half_width: beta [threshold units].
        offset: h, the slope at threshold, 0.5 or more [1/threshold units].
        normalisation: see `Surrogate`; the peak is 1/2 + h and the area 2 beta h.
        scale: see `Surrogate`.

    Raises:
        InputError: a value out of range.

    Source: Kang et al. 2026, ICML (A2SG), arXiv:2606.11236, its asymmetric function.

    >>> surrogate = RisingWindow(half_width=2.0, offset=0.5, normalisation="peak1", scale=1.0)
    >>> surrogate.derivative(torch.tensor([-3.0, -1.0, 0.0, 2.0, 2.1]))
    tensor([0.0000, 0.2500, 0.5000, 1.0000, 0.0000])
    """

    def __init__(self, *, half_width: float, offset: float, normalisation: str, scale: float) -> None:
        self.half_width = require_number("surrogate.half_width", half_width, low=SMALLEST, high=LARGEST)
        self.offset = require_number("surrogate.offset", offset, low=LEAST_OFFSET, high=LARGEST)
        super().__init__(normalisation=normalisation, scale=scale)

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope u / (2 beta) + h within the window, 0 outside."""
        rising = u / (2 * self.half_width) + self.offset
        return nan_where_nan(u, torch.where(u.abs() <= self.half_width, rising, 0.0))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the slope from 0 to u: y^2 / (4 beta) + h y, with y = u cut to the window."""
        inside = u.clamp(-self.half_width, self.half_width)
        return inside.square() / (4 * self.half_width) + self.offset * inside

    @property
    def shape_peak(self) -> float:
        """Return the slope at the window's upper end: 1/2 + h."""
        return 0.5 + self.offset

    @property
    def shape_area(self) -> float:
        """Return the area under the slope before normalisation: 2 beta h."""
        return 2 * self.half_width * self.offset

    @property
    def shape_fwhm(self) -> float:
        """Return the way from where the slope is half its peak, or from the lower end, to the upper end."""
        return self.half_width * min(2.0, self.offset + 0.5)

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the ends of the window."""
        return -self.half_width, self.half_width


class A2sg(RisingWindow):
    r"""Uses the rising window, its half width chosen anew for each layer and step of the backward pass.

    .. math:: \delta[t] = \frac{\partial L}{\partial s[t]} \, f(u[t], \beta[t]), \quad
              f(u, \beta) = \frac{u}{2\beta} + h \text{ for } |u| \le \beta
    .. math:: \beta[T] = \mathrm{argmin}_\beta \frac{\mathrm{Var}(\delta[T])}{\mathrm{Mean}|\delta[T]|}, \quad
              \beta[t] = \mathrm{argmax}_\beta \cos(\delta[t], \delta[t+1])

    over all samples and neurons of the layer: the last step takes the width of least spatial variation, an earlier
    one the width whose gradient is most consistent with that of the next step. The paper finds each by a
    Bayesian search; no source at hand gives its range and number of trials. Here the best of `candidates` widths
    is taken, equally far apart in their logarithms. What reaches u[t] from later potentials has no surrogate in
    it and is left out of the choice. Neurons see each other in it, so it runs on `reference` alone.

    Args:
        half_width: beta that pictures show, and whose width, area and support are given [threshold units].
        narrowest: least beta that is tried [threshold units].
        widest: largest beta that is tried [threshold units].
        candidates: how many are tried, both ends among them.
        offset: h, the slope at threshold, 0.5 or more [1/threshold units].
        normalisation: see `Surrogate`.
        scale: see `Surrogate`.

    Raises:
        InputError: a value out of range.

    Source: Kang et al. 2026, ICML (A2SG), arXiv:2606.11236; its two measures as public notes on the paper restate
    them.

    >>> surrogate = A2sg(
    ...     half_width=1.0, narrowest=0.5, widest=2.0, candidates=3, offset=0.5, normalisation="raw", scale=1.0
    ... )
    >>> u = torch.tensor([-0.4, 0.2, 1.5], requires_grad=True)
    >>> surrogate(u).sum().backward()  # beta = 2 varies least: slopes 0.4, 0.55, 0.875
    >>> u.grad
    tensor([0.4000, 0.5500, 0.8750])
    """

    elementwise: ClassVar[bool] = False

    def __init__(
        self,
        *,
        half_width: float,
        narrowest: float,
        widest: float,
        candidates: int,
        offset: float,
        normalisation: str,
        scale: float,
    ) -> None:
        low = require_number("surrogate.narrowest", narrowest, low=SMALLEST, high=LARGEST)
        high = require_number("surrogate.widest", widest, low=SMALLEST, high=LARGEST)
        if low > high:
            raise InputError(
                f"surrogate.narrowest={narrowest:g}: is above surrogate.widest={widest:g}; swap them"
            )
        count = require_count("surrogate.candidates", candidates)
        steps = torch.linspace(0, 1, count, dtype=torch.float64).tolist()
        self.tried = tuple(low * (high / low) ** step for step in steps)
        self.newest = 0  # number of the step that was sent last
        self.pulled: tuple[int, Tensor] | None = None  # the last step of a backward pass, and its gradient
        super().__init__(half_width=half_width, offset=offset, normalisation=normalisation, scale=scale)

    def of_one_call(self) -> _NumberedStep:
        """Return the next step of a sequence; a number is left out where one begins after a backward pass."""
        self.newest += 1 if self.pulled is None else 2
        self.pulled = None
        return _NumberedStep(self, self.newest)

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Multiply the gradient by the window that varies least, as in a last step."""
        return self.pull_back_before(u, grad, None)

    def pull_back_before(self, u: Tensor, grad: Tensor, later: Tensor | None) -> Tensor:
        """Multiply the gradient by the window whose width this step's gradients choose.

        Args:
            u: potential minus threshold, of any shape.
            grad: by the spikes, in the same shape.
            later: gradient of the next step in the same shape, or None in the last step.
        """
        through = torch.stack([self._multiply(u, grad, width) for width in self.tried])
        size = through.flatten(1).abs().mean(1)
        scores = -(through.flatten(1).var(1, correction=0) / size)
        if later is not None:
            similarity = torch.cosine_similarity(through.flatten(1), later.flatten()[None], dim=1, eps=0.0)
            scores = torch.where(similarity.isfinite().any(), similarity, scores)
        return through[scores.nan_to_num(-torch.inf).argmax()]

    def _multiply(self, u: Tensor, grad: Tensor, half_width: float) -> Tensor:
        """Multiply the gradient by a window of this half width; its height follows the normalisation."""
        stretch = self.half_width / half_width
        return grad * self.derivative(stretch * u) * (stretch if self._keeps_area() else 1.0)


@dataclass(frozen=True)
class _NumberedStep:
    """Holds the number of one step's spikes, by which its backward pass recognises the step after it."""

    surrogate: A2sg
    number: int

    def fire(self, u: Tensor) -> Tensor:
        """Send what the surrogate sends."""
        return self.surrogate.fire(u)

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Do what the surrogate does in forward mode."""
        return self.surrogate.push_forward(u, tangent)

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Choose the width by the gradient of the next step, where that is what was pulled back last."""
        pulled, later = self.surrogate.pulled, None
        if pulled is not None and pulled[0] == self.number + 1 and pulled[1].shape == u.shape:
            later = pulled[1]
        chosen = self.surrogate.pull_back_before(u, grad, later)
        self.surrogate.pulled = self.number, chosen.detach()
        return chosen
