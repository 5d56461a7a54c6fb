"""The contract of a surrogate: step forward, smooth slope backward."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_number
from sgbench.records.formula import Node
from sgbench.surrogates.drawn import draw
from sgbench.surrogates.spike import Slopes, Spike, SpikeWithForwardMode

# Beyond these a width is far below rounding or far above any potential, and float32 slopes overflow.
SMALLEST, LARGEST = 1e-6, 1e6
NORMALISATIONS = ("peak1", "area1", "raw")
Output = Literal["binary", "signed", "integer", "real"]


class Kernel(NamedTuple):
    """Describes a derivative that compiled loops know by name: height * form(steepness * u)."""

    shape: str
    steepness: float
    height: float


class FiresOtherwise(Protocol):
    """Replaces the step by another forward pass."""

    output: ClassVar[Output]
    stochastic: ClassVar[bool]

    @property
    def has_primitive(self) -> bool:
        """Return whether there is a known curve in place of what is sent, from which a steepness can learn."""
        ...

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Decide from the potential above threshold u what each neuron sends; shape and dtype of u."""
        ...

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the surrogate derivative at u, by which the backward pass multiplies the gradient."""
        ...

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the curve whose slope stands in for the derivative of what is sent."""
        ...


class Surrogate(nn.Module, ABC):
    r"""Stands in for the derivative of the spike step; u = membrane potential minus threshold.

    A shape has three independent knobs: its form, its width and its height. A subclass gives the form and the
    width through `shape` (the slope of `shape_integral`); this class sets the height:

    .. math:: \psi(u) = \mathrm{scale} \cdot \mathrm{shape}(u) / n, \quad
              n = \text{peak, area or } 1 \text{ for peak1, area1, raw}

    Calling it returns spikes, so it serves as snnTorch's `spike_grad`. Its steepness can be changed as a whole by
    a factor, the stretch: u is multiplied by it, and the height follows the normalisation (peak1 keeps the peak,
    area1 the area, raw what the native formula keeps). The stretch is a number that a schedule moves, or it
    learns; a parameter k that learns gets the gradient of the primitive of what is sent,
    ds/dk := d primitive/dk, which a firing other than the step has of its own.

    Args:
        normalisation: what has the value 1 before scaling: the peak, the area, or nothing.
        scale: factor on the derivative [1].

    Raises:
        InputError: a value out of range, or a normalisation by a quantity that is infinite or zero.
    """

    output: Output = "binary"
    stochastic: bool = False  # whether calls draw from a generator that the surrogate owns
    elementwise: ClassVar[bool] = True
    raw_keeps_area: ClassVar[bool] = False  # whether the native formula grows higher as it gets steeper

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
        """Compute the slope before normalisation, elementwise."""

    def shape_integral(self, u: Tensor) -> Tensor:
        """Compute the curve whose slope `shape` is, where one exists."""
        raise NotImplementedError(f"{type(self).__name__} is not the slope of any curve")

    @property
    @abstractmethod
    def shape_peak(self) -> float | None:
        """Return the largest absolute value of the slope before normalisation, or None where undefined."""

    @property
    @abstractmethod
    def shape_area(self) -> float | None:
        """Return the integral over all u of the slope before normalisation, infinity, or None where undefined."""

    @property
    @abstractmethod
    def shape_fwhm(self) -> float | None:
        """Return the full width at half maximum of the slope before stretching, or None where there is none."""

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the ends of the interval outside which the slope before stretching is exactly 0."""
        return -math.inf, math.inf

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Locate where the slope before stretching jumps or has a corner, the ends of its support included."""
        return tuple(end for end in self.shape_support if math.isfinite(end))

    def extra_repr(self) -> str:
        """Write the surrogate's parameters, width and peak as text, for `print` of a module."""
        numbers = {**self.shown_numbers(), "width": self.fwhm, "peak": self.peak}
        return ", ".join(f"{key}={value:.3g}" for key, value in numbers.items() if value is not None)

    def shown_numbers(self) -> dict[str, float]:
        """Return the parameters, by their names, that its printed text shows besides width and peak."""
        return {}

    @property
    def peak(self) -> float | None:
        """Return the largest absolute value of `derivative`, or None where undefined."""
        return None if self.shape_peak is None else self.gain * self.shape_peak * self._growth()

    @property
    def area(self) -> float | None:
        """Return the integral of `derivative` over all u, infinity, or None where undefined."""
        return (
            None if self.shape_area is None else self.gain * self.shape_area * self._growth() / self._factor()
        )

    @property
    def fwhm(self) -> float | None:
        """Return the slope's full width at half maximum [threshold units], or None where there is none."""
        return None if self.shape_fwhm is None else self.shape_fwhm / self._factor()

    @property
    def support(self) -> tuple[float, float]:
        """Return the interval outside which the slope is exactly 0 [threshold units]; its ends may be infinite."""
        low, high = self.shape_support
        return low / self._factor(), high / self._factor()

    @property
    def kinks(self) -> tuple[float, ...]:
        """Locate where the slope jumps or has a corner, the ends of its support included [threshold units]."""
        return tuple(kink / self._factor() for kink in self.shape_kinks)

    @property
    def has_primitive(self) -> bool:
        """Return whether the slope is that of a curve known in closed form."""
        return type(self).shape_integral is not Surrogate.shape_integral

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        """Make the slope `width` times as wide and `height` times as high, before training.

        Raises:
            InputError: it has no width and height of its own.
        """
        raise InputError(
            f"{type(self).__name__} is no bell whose width and height can be fitted; use surrogate=atan"
        )

    def learn_stretch(self) -> None:
        """Make the stretch a parameter, from 1 on; its logarithm learns, so it stays positive.

        Raises:
            InputError: there is no primitive of what is sent, whose slope by the stretch its gradient is.
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
            self._require_curve(self.firing)
        self.log_stretch = nn.Parameter(torch.zeros((), dtype=torch.float64))

    @staticmethod
    def _require_curve(firing: FiresOtherwise) -> None:
        """Refuse a firing whose spikes no known curve stands in for."""
        if not firing.has_primitive:
            raise InputError(
                f"{type(firing).__name__} names no primitive of what it sends, from which a steepness would "
                f"learn; use steepness=fixed"
            )

    def _factor(self) -> float:
        return self.stretch if self.log_stretch is None else math.exp(self.log_stretch.item())

    def _factor_for(self, u: Tensor) -> float | Tensor:
        """Return the stretch in the precision of u, attached to its parameter where it learns."""
        return self.stretch if self.log_stretch is None else self.log_stretch.exp().to(u.dtype)

    def _growth(self) -> float:
        """Return the factor by which the stretch changes the slope's height."""
        return self._factor() if self._keeps_area() else 1.0

    def _keeps_area(self) -> bool:
        return self.normalisation == "area1" or (self.normalisation == "raw" and self.raw_keeps_area)

    def slope(self, u: Tensor) -> Tensor:
        """Compute the normalised and scaled slope before any stretch, elementwise."""
        return self.shape(u) if self.gain == 1.0 else self.gain * self.shape(u)

    def derivative(self, u: Tensor) -> Tensor:
        """Compute the slope that the backward pass multiplies by, stretch included; shape and dtype of `u`."""
        if self.log_stretch is None and self.stretch == 1.0:
            return self.slope(u)
        factor = self._factor_for(u)
        slope = self.slope(factor * u)
        return factor * slope if self._keeps_area() else slope

    def primitive(self, u: Tensor) -> Tensor:
        """Compute the curve whose slope `derivative` is."""
        if self.log_stretch is None and self.stretch == 1.0:
            return self.gain * self.shape_integral(u)
        factor = self._factor_for(u)
        curve = self.gain * self.shape_integral(factor * u)
        return curve if self._keeps_area() else curve / factor

    def sent_slope(self, u: Tensor) -> Tensor:
        """Compute the derivative of what is sent: `derivative`, unless the firing has another."""
        return self.derivative(u) if self.firing is None else self.firing.slope(u, self)

    def sent_primitive(self, u: Tensor) -> Tensor:
        """Compute the curve that stands in for what is sent: `primitive`, unless the firing has another."""
        return self.primitive(u) if self.firing is None else self.firing.primitive(u, self)

    def pull_back(self, u: Tensor, grad: Tensor) -> Tensor:
        """Turn the gradient by the spikes into that by u; only a product with `sent_slope` is elementwise."""
        return grad * self.sent_slope(u)

    def push_forward(self, u: Tensor, tangent: Tensor) -> Tensor:
        """Turn the tangent of u into that of the spikes, by a product with the slope of what is sent.

        Raises:
            InputError: the gradient is no product with a slope, so there is none to multiply by.
        """
        if not self.elementwise:
            raise InputError(
                f"{type(self).__name__} has no slope in forward mode, because its gradient depends on a batch of "
                f"gradients; differentiate backward, or use surrogate=fast_sigmoid"
            )
        return tangent * self.sent_slope(u)

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the primitive as a distribution, from 0 far below threshold to 1 far above.

        Raises:
            InputError: it is none.
        """
        raise InputError(
            f"{type(self).__name__} is not a bell of finite area, so its primitive is no escape probability; "
            f"use firing=step"
        )

    def uniform(self, u: Tensor) -> Tensor:
        """Draw uniform numbers in [0, 1) of the shape of u, from the surrogate's own stream."""
        return draw(self.noise_state, u)

    @property
    def generator(self) -> torch.Generator:
        """Return a generator in the state that the surrogate's own stream has reached; setting one copies it."""
        reached = torch.Generator()
        reached.set_state(self.noise_state)
        return reached

    @generator.setter
    def generator(self, generator: torch.Generator) -> None:
        self.noise_state = generator.get_state()

    def fire_by(self, firing: FiresOtherwise) -> None:
        """Let another firing decide what is sent in place of the step, and what its slope is.

        Raises:
            InputError: the stretch learns, and no curve stands in for what would be sent.
        """
        if self.log_stretch is not None:
            self._require_curve(firing)
        self.firing, self.output = firing, firing.output
        self.stochastic = self.stochastic or firing.stochastic

    def fire(self, u: Tensor) -> Tensor:
        """Send 1 where u > 0, else 0; a neuron exactly at threshold stays silent, as in snnTorch."""
        return (u > 0).to(u.dtype) if self.firing is None else self.firing.fire(u, self)

    def of_one_call(self) -> Slopes:
        """Return what the spikes of one call ask for slopes; the surrogate, unless slopes depend on the call."""
        return self

    def forward(self, u: Tensor) -> Tensor:
        """Return the spikes at u, with the surrogate's gradient attached."""
        # Dynamo traces no autograd function that has a forward mode.
        spike = Spike if torch.compiler.is_compiling() else SpikeWithForwardMode
        spikes = spike.apply(u, self.of_one_call())
        # In forward mode the parameters are replaced by tensors that carry a tangent.
        if any(
            parameter.requires_grad or not isinstance(parameter, nn.Parameter)
            for parameter in self.parameters()
        ):
            curve = self.sent_primitive(u.detach())
            spikes = spikes + (curve - curve.detach())  # adds exactly 0, and the way to the parameters
        return spikes  # type: ignore[no-any-return]

    def kernel(self) -> Kernel | None:
        """Return the derivative as compiled loops know it, or None where only `derivative` does."""
        return None

    def written(self) -> Node | None:
        """Return the derivative as a formula of u that loops are written from, or None where there is none."""
        return None
