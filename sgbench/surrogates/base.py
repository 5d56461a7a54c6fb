"""The interface of surrogates: a step in the forward pass, a smooth slope in the backward pass."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from fastspiking.formula import Node
from fastspiking.signals.streams import draw
from fastspiking.spec import Kernel as Kernel  # noqa: PLC0414 - for entries
from sgbench.errors import InputError, require_choice, require_number
from sgbench.surrogates.spike import Slopes, Spike, SpikeWithForwardMode

# Range of widths, steepnesses and scales; beyond it float32 slopes would overflow or vanish.
SMALLEST, LARGEST = 1e-6, 1e6
NORMALISATIONS = ("peak1", "area1", "raw")
Output = Literal["binary", "signed", "integer", "real"]


class FiresOtherwise(Protocol):
    """Defines a firing, which replaces the step by another forward pass; see `Firing`, which implements it."""

    output: ClassVar[Output]
    stochastic: ClassVar[bool]

    @property
    def has_primitive(self) -> bool:
        """Return whether `primitive` is known, from which a learned steepness gets its gradient."""
        ...

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute what each neuron sends at u, potential minus threshold; of shape and dtype of u."""
        ...

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the derivative at u by which the backward pass multiplies the gradient."""
        ...

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute an integral of `slope` over u."""
        ...


class Surrogate(nn.Module, ABC):
    r"""Replaces the derivative of the spike step by a slope psi(u), u being the potential minus the threshold.

    The slope's form, width and height are independent. A subclass defines form and width by `shape`, the derivative
    of `shape_integral`; this class sets the height:

    .. math:: \psi(u) = \mathrm{scale} \cdot \mathrm{shape}(u) / n, \quad
              n = \text{peak, area or } 1 \text{ for peak1, area1, raw}

    Calling a surrogate with u returns spikes, so it serves as snnTorch's `spike_grad`.

    A factor, the stretch, changes the steepness: u is multiplied by it, and the height follows the normalisation
    (peak1 keeps the peak, area1 the area, raw what the native formula keeps). A schedule sets the stretch, or it is
    learnt. A learnt parameter k of the surrogate gets the gradient ds/dk := d primitive/dk of the primitive of psi,
    or of the firing's own primitive.

    Args:
        normalisation: quantity that is 1 before scaling: "peak1" (the peak), "area1" (the area) or "raw" (none).
        scale: factor on the slope [1].

    Raises:
        InputError: a value out of range, or a normalisation by a quantity that is infinite or zero.
    """

    output: Output = "binary"
    stochastic: bool = False  # whether calls draw from a generator that the surrogate owns
    elementwise: ClassVar[bool] = True  # whether the gradient of an element depends on that element alone
    raw_keeps_area: ClassVar[bool] = False  # whether a steeper raw slope is higher, with equal area

    def __init__(self, *, normalisation: str, scale: float) -> None:
        super().__init__()
        self.stretch = 1.0
        self.log_stretch: nn.Parameter | None = None
        self.firing: FiresOtherwise | None = None
        self.noise_state = torch.Generator().manual_seed(0).get_state()
        self.normalisation = require_choice("surrogate.normalisation", normalisation, NORMALISATIONS)
        self.scale = require_number("surrogate.scale", scale, low=SMALLEST, high=LARGEST)
        unit = {"peak1": self.shape_peak, "area1": self.shape_area, "raw": 1.0}[normalisation]
        if not unit or not math.isfinite(unit):
            quantity = "peak" if normalisation == "peak1" else "area"
            value = "undefined" if unit is None else f"{unit:g}"
            raise InputError(
                f"surrogate.normalisation={normalisation}: the {quantity} of {type(self).__name__} is {value}, "
                f"which cannot be scaled to 1; use raw"
            )
        self.gain = self.scale / unit

    @abstractmethod
    def shape(self, u: Tensor) -> Tensor:
        """Compute the slope before normalisation, elementwise at u."""

    def shape_integral(self, u: Tensor) -> Tensor:
        """Compute a primitive of `shape`, elementwise at u.

        Raises:
            NotImplementedError: there is none in closed form.
        """
        raise NotImplementedError(f"{type(self).__name__} is not the slope of any curve")

    @property
    @abstractmethod
    def shape_peak(self) -> float | None:
        """Return the largest absolute value of the slope before normalisation, or None if undefined."""

    @property
    @abstractmethod
    def shape_area(self) -> float | None:
        """Return the integral over all u of the slope before normalisation, maybe infinite; None if undefined."""

    @property
    @abstractmethod
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum of the slope at a stretch of 1, or None if there is none."""

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the ends of the interval outside which the slope at a stretch of 1 is exactly 0."""
        return -math.inf, math.inf

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Return the u at which the slope, not yet stretched, jumps or has a corner, and the ends of its support."""
        return tuple(end for end in self.shape_support if math.isfinite(end))

    def extra_repr(self) -> str:
        """Return the surrogate's parameters, width and peak as text, for `print` of a module."""
        numbers = {**self.shown_numbers(), "width": self.fwhm, "peak": self.peak}
        return ", ".join(f"{key}={value:.3g}" for key, value in numbers.items() if value is not None)

    def shown_numbers(self) -> dict[str, float]:
        """Return the parameters to print besides width and peak; maps names to values."""
        return {}

    @property
    def peak(self) -> float | None:
        """Return the largest absolute value of `derivative`, or None if undefined."""
        return None if self.shape_peak is None else self.gain * self.shape_peak * self._height_factor()

    @property
    def area(self) -> float | None:
        """Return the integral of `derivative` over all u; it may be infinite; None if undefined."""
        return (
            None
            if self.shape_area is None
            else self.gain * self.shape_area * self._height_factor() / self._stretch_value()
        )

    @property
    def fwhm(self) -> float | None:
        """Return the slope's full width at half maximum [threshold units], or None if there is none."""
        return None if self.shape_fwhm is None else self.shape_fwhm / self._stretch_value()

    @property
    def support(self) -> tuple[float, float]:
        """Return the interval outside which the slope is exactly 0 [threshold units]; its ends may be infinite."""
        low, high = self.shape_support
        return low / self._stretch_value(), high / self._stretch_value()

    @property
    def kinks(self) -> tuple[float, ...]:
        """Return the u at which the slope has a jump or corner, with the ends of its support [threshold units]."""
        return tuple(kink / self._stretch_value() for kink in self.shape_kinks)

    @property
    def has_primitive(self) -> bool:
        """Return whether a primitive of the slope is known."""
        return type(self).shape_integral is not Surrogate.shape_integral

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        """Make the slope `width` times as wide and `height` times as high, before training.

        Raises:
            InputError: the class cannot change width and height.
        """
        raise InputError(f"{type(self).__name__} is no bell whose width and height can be fitted; use surrogate=atan")

    def learn_stretch(self) -> None:
        """Make the stretch a learnt parameter, initially 1, stored as its logarithm so that it stays positive.

        Raises:
            InputError: no primitive is known, from which the stretch would get its gradient.
        """
        if not self.has_primitive:
            raise InputError(
                f"{type(self).__name__} has no primitive, from which a steepness would learn; use steepness=fixed"
            )
        if not self.elementwise:
            raise InputError(
                f"{type(self).__name__} scales its gradient by a batch, so that no curve is left from which a "
                f"steepness would learn; use steepness=fixed"
            )
        if self.firing is not None:
            self._require_primitive(self.firing)
        self.log_stretch = nn.Parameter(torch.zeros((), dtype=torch.float64))

    @staticmethod
    def _require_primitive(firing: FiresOtherwise) -> None:
        if not firing.has_primitive:
            raise InputError(
                f"{type(firing).__name__} names no primitive of what it sends, from which a steepness would "
                f"learn; use steepness=fixed"
            )

    def _stretch_value(self) -> float:
        """Return the stretch, scheduled or learnt, as a number."""
        return self.stretch if self.log_stretch is None else math.exp(self.log_stretch.item())

    def _stretch_tensor(self, u: Tensor) -> float | Tensor:
        """Return the stretch: a number, or if learnt a tensor with gradient, in the precision of u."""
        return self.stretch if self.log_stretch is None else self.log_stretch.exp().to(u.dtype)

    def _height_factor(self) -> float:
        return self._stretch_value() if self._keeps_area() else 1.0

    def _keeps_area(self) -> bool:
        """Return whether a stretch keeps the slope's area, so that a steeper slope is higher."""
        return self.normalisation == "area1" or (self.normalisation == "raw" and self.raw_keeps_area)

    def slope(self, u: Tensor) -> Tensor:
        """Compute the normalised and scaled slope psi(u) at a stretch of 1, elementwise."""
        return self.shape(u) if self.gain == 1.0 else self.gain * self.shape(u)

    def derivative(self, u: Tensor) -> Tensor:
        """Compute the slope psi(u) with its stretch, elementwise; of shape and dtype of u."""
        if self.log_stretch is None and self.stretch == 1.0:
            return self.slope(u)
        factor = self._stretch_tensor(u)
        slope = self.slope(factor * u)
        return factor * slope if self._keeps_area() else slope

    def primitive(self, u: Tensor) -> Tensor:
        """Compute a primitive of `derivative`, elementwise at u."""
        if self.log_stretch is None and self.stretch == 1.0:
            return self.gain * self.shape_integral(u)
        factor = self._stretch_tensor(u)
        curve = self.gain * self.shape_integral(factor * u)
        return curve if self._keeps_area() else curve / factor

    def sent_slope(self, u: Tensor) -> Tensor:
        """Compute the slope that the backward pass uses: `derivative`, or that of the firing if one is set."""
        return self.derivative(u) if self.firing is None else self.firing.slope(u, self)

    def sent_primitive(self, u: Tensor) -> Tensor:
        """Compute a primitive of `sent_slope`: `primitive`, or that of the firing if one is set."""
        return self.primitive(u) if self.firing is None else self.firing.primitive(u, self)

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Convert the gradient by the spikes to that by u, the backward pass: multiply it by `sent_slope`."""
        return grad * self.sent_slope(u)

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Convert the tangent of u to that of the spikes, in forward mode: multiply it by `sent_slope`.

        Raises:
            InputError: the surrogate is not elementwise, so that it has no slope to multiply by.
        """
        if not self.elementwise:
            raise InputError(
                f"{type(self).__name__} has no slope in forward mode, because its gradient depends on a batch of "
                f"gradients; differentiate backward, or use surrogate=fast_sigmoid"
            )
        return tangent * self.sent_slope(u)

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the primitive scaled to rise from 0 (far below threshold) to 1 (far above), elementwise at u.

        Raises:
            InputError: the slope has no finite area, or the class does not define it.
        """
        raise InputError(
            f"{type(self).__name__} is not a bell of finite area, so its primitive is no escape probability; "
            f"use firing=step"
        )

    def uniform(self, u: Tensor) -> Tensor:
        """Draw uniform numbers in [0, 1) of the shape of u, from the surrogate's own generator."""
        return draw(self.noise_state, u)

    @property
    def generator(self) -> torch.Generator:
        """Return a copy of the surrogate's random generator; setting it copies the given generator's state."""
        copy = torch.Generator()
        copy.set_state(self.noise_state)
        return copy

    @generator.setter
    def generator(self, generator: torch.Generator) -> None:
        self.noise_state = generator.get_state()

    def fire_by(self, firing: FiresOtherwise) -> None:
        """Replace the step and its slope by those of a firing.

        Raises:
            InputError: the stretch is learnt, and the firing has no primitive.
        """
        if self.log_stretch is not None:
            self._require_primitive(firing)
        self.firing, self.output = firing, firing.output
        self.stochastic = self.stochastic or firing.stochastic

    def fire(self, u: Tensor) -> Tensor:
        """Return 1 where u > 0, else 0, or what the firing sends; at u = 0 no spike is sent, as in snnTorch."""
        return (u > 0).to(u.dtype) if self.firing is None else self.firing.fire(u, self)

    def slopes_of_call(self, u: Tensor) -> Slopes:
        """Return the object whose `fire`, `pull_back` and `push_forward` serve a call at u; here the surrogate."""
        return self

    def forward(self, u: Tensor) -> Tensor:
        """Return the spikes at u, with the surrogate gradient."""
        # Dynamo cannot trace an autograd function that has a forward mode.
        spike = Spike if torch.compiler.is_compiling() else SpikeWithForwardMode
        spikes = spike.apply(u, self.slopes_of_call(u))
        # In forward mode torch replaces the parameters by tensors that carry a tangent.
        if any(parameter.requires_grad or not isinstance(parameter, nn.Parameter) for parameter in self.parameters()):
            curve = self.sent_primitive(u.detach())
            spikes = spikes + (curve - curve.detach())  # adds 0, with a gradient for the parameters
        return spikes  # type: ignore[no-any-return]

    @property
    def fires_at_threshold(self) -> bool:
        """Return whether a spike is sent where u > 0, and nothing elsewhere."""
        own = self.firing is not None or type(self).fire is not Surrogate.fire
        return self.output == "binary" and not own

    @property
    def has_own_forward(self) -> bool:
        """Return whether a subclass replaces `forward`."""
        return type(self).forward is not Surrogate.forward

    def kernel(self) -> Kernel | None:
        """Return the derivative as a form that compiled loops implement, or None if they do not."""
        return None

    def as_formula(self) -> Node | None:
        """Return the derivative as a formula of u, from which loops can be generated, or None if there is none."""
        return None


def nan_where_nan(u: Tensor, slope: Tensor) -> Tensor:
    """Return the slope, but NaN where u is NaN, as comparisons with NaN would give 0 and hide a diverged run.

    >>> u = torch.tensor([0.5, torch.nan])
    >>> nan_where_nan(u, (u > 0).to(u.dtype))
    tensor([1., nan])
    """
    return torch.where(u.isnan(), u, slope)
