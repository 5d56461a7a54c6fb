"""A window in which the slope rises with the potential; its width is fixed, or chosen for each layer and step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_count, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate, nan_where_nan
from sgbench.surrogates.sequences import Sequences, SurrogateStep

LEAST_OFFSET = 0.5  # below it the slope would be negative at the window's lower end


class RisingWindow(Surrogate):
    r"""Uses a slope that rises over a window, :math:`u / (2\beta) + h` for :math:`|u| \le \beta` and 0 elsewhere.

    Neurons above threshold get a larger gradient than those below. Here beta is fixed; `A2sg` chooses it for each
    layer and step.

    Args:
        half_width: half-width beta of the window [threshold units].
        offset: h, the raw slope at threshold, 0.5 or more [1/threshold units].
        normalisation: see `Surrogate`; the peak is 1/2 + h and the area 2 beta h.

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
        rising = u / (2 * self.half_width) + self.offset
        return nan_where_nan(u, torch.where(u.abs() <= self.half_width, rising, 0.0))

    def shape_integral(self, u: Tensor) -> Tensor:
        inside = u.clamp(-self.half_width, self.half_width)
        return inside.square() / (4 * self.half_width) + self.offset * inside

    @property
    def shape_peak(self) -> float:
        return 0.5 + self.offset

    @property
    def shape_area(self) -> float:
        return 2 * self.half_width * self.offset

    @property
    def shape_fwhm(self) -> float:
        return self.half_width * min(2.0, self.offset + 0.5)

    @property
    def shape_support(self) -> tuple[float, float]:
        return -self.half_width, self.half_width


class A2sg(RisingWindow):
    r"""Uses a rising window whose half-width beta is chosen for each layer and step of the backward pass.

    .. math:: \delta[t] = \frac{\partial L}{\partial s[t]} \, f(u[t], \beta[t]), \quad
              f(u, \beta) = \frac{u}{2\beta} + h \text{ for } |u| \le \beta
    .. math:: \beta[T] = \mathrm{argmin}_\beta \frac{\mathrm{Var}(\delta[T])}{\mathrm{Mean}|\delta[T]|}, \quad
              \beta[t] = \mathrm{argmax}_\beta \cos(\delta[t], \delta[t+1])

    for the loss L, spikes s, potentials minus threshold u, and gradients delta of all samples and neurons of the
    layer. The last step T takes the width whose gradient varies least among neurons; earlier steps take the width
    whose gradient is most similar to that of the next step of the same sequence and layer. The paper finds each
    width by a Bayesian search of unknown range and number of trials. Here the best of `candidates` widths is taken,
    evenly spaced in their logarithm. The gradient that reaches u[t] through later potentials does not enter the
    choice. Neurons depend on each other, so only `engine=reference` runs it.

    Args:
        half_width: beta for pictures and for the properties width, area and support [threshold units].
        narrowest: smallest beta tried [threshold units].
        widest: largest beta tried [threshold units].
        candidates: number of widths tried, with both ends.
        offset: h, the raw slope at threshold, 0.5 or more [1/threshold units].

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
            raise InputError(f"surrogate.narrowest={narrowest:g}: is above surrogate.widest={widest:g}; swap them")
        count = require_count("surrogate.candidates", candidates)
        steps = torch.linspace(0, 1, count, dtype=torch.float64).tolist()
        self.half_widths = tuple(low * (high / low) ** step for step in steps)
        self.sequences = Sequences()
        super().__init__(half_width=half_width, offset=offset, normalisation=normalisation, scale=scale)

    def slopes_of_call(self, u: Tensor) -> _SlopesOfStep:
        return _SlopesOfStep(self, self.sequences.step_of(u))

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Multiply the gradient by the window of least variation, as for a last step."""
        return self.pull_back_before(u, grad, None)

    def pull_back_before(self, u: Tensor, grad: Tensor, later: Tensor | None) -> Tensor:
        """Multiply the gradient by the window of the best of all widths tried.

        `u`: potential minus threshold, of any shape. `grad`: gradient by the spikes, of the same shape. `later`:
        gradient by u of the next step, of the same shape, or None in the last step.

        Returns:
            The gradient by u, of the same shape.
        """
        # A window of another half-width is this one, stretched; its height follows the normalisation.
        keeps_area, stretches = self._keeps_area(), [self.half_width / width for width in self.half_widths]
        candidates = torch.stack([grad * self.derivative(x * u) * (x if keeps_area else 1.0) for x in stretches])
        flat = candidates.flatten(1)
        scores = -(flat.var(1, correction=0) / flat.abs().mean(1))
        if later is not None:
            similarity = torch.cosine_similarity(flat, later.flatten()[None], dim=1, eps=0.0)
            scores = torch.where(similarity.isfinite().any(), similarity, scores)
        return candidates[scores.nan_to_num(-torch.inf).argmax()]


@dataclass(frozen=True)
class _SlopesOfStep:
    """Serves one step, so that its backward pass finds the gradient of the step after it."""

    surrogate: A2sg
    step: SurrogateStep

    def fire(self, u: Tensor) -> Tensor:
        return self.surrogate.fire(u)

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        return self.surrogate.push_forward(u, tangent)

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Return the gradient of potentials, which depends on the step after, and keep it for the step before."""
        later = None if self.step.after is None else self.step.after.gradient
        is_alike = later is not None and later.shape == u.shape
        gradient = self.surrogate.pull_back_before(u, grad, later if is_alike else None)
        self.surrogate.sequences.keep(self.step, gradient.detach())
        return gradient
