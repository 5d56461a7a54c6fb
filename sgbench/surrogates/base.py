"""The contract of a surrogate: step forward, smooth slope backward."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_choice, require_number

# Beyond these a width is far below rounding or far above any potential, and float32 slopes overflow.
SMALLEST, LARGEST = 1e-6, 1e6
NORMALISATIONS = ("peak1", "area1", "raw")
Output = Literal["binary", "signed", "integer", "real"]


class Kernel(NamedTuple):
    """A derivative that compiled loops know by name: height * form(steepness * u)."""

    shape: str
    steepness: float
    height: float


class Surrogate(nn.Module, ABC):
    r"""A stand-in for the derivative of the spike step; u = membrane potential minus threshold.

    A shape has three independent knobs: its form, its width and its height. A subclass gives the form and the
    width through `shape` (the slope of `shape_integral`); this class sets the height:

    .. math:: \psi(u) = \mathrm{scale} \cdot \mathrm{shape}(u) / n, \quad
              n = \text{peak, area or } 1 \text{ for peak1, area1, raw}

    Calling it returns spikes, so it serves as snnTorch's `spike_grad`. Parameters k of a subclass that learn get
    the gradient of its primitive, ds/dk := d primitive/dk.

    Args:
        normalisation: what has the value 1 before scaling: the peak, the area, or nothing.
        scale: factor on the derivative [1].

    Raises:
        InputError: a value out of range, or a normalisation by a quantity that is infinite or zero.
    """

    output: ClassVar[Output] = "binary"
    elementwise: ClassVar[bool] = True

    def __init__(self, *, normalisation: str, scale: float) -> None:
        super().__init__()
        self.normalisation = require_choice("surrogate.normalisation", normalisation, NORMALISATIONS)
        self.scale = require_number("surrogate.scale", scale, low=SMALLEST, high=LARGEST)
        unit = {"peak1": self.shape_peak, "area1": self.shape_area, "raw": 1.0}[normalisation]
        if not unit or not math.isfinite(unit):
            quantity = "peak" if normalisation == "peak1" else "area"
            found = "undefined" if unit is None else f"{unit:g}"
            raise InputError(
                f"surrogate.normalisation={normalisation}: the {quantity} of {type(self).__name__} is {found}, "
                f"which cannot be scaled to 1; use raw"
            )
        self.gain = self.scale / unit

    @abstractmethod
    def shape(self, u: Tensor) -> Tensor:
        """The slope before normalisation, elementwise."""

    def shape_integral(self, u: Tensor) -> Tensor:
        """The curve whose slope `shape` is, where one exists."""
        raise NotImplementedError(f"{type(self).__name__} is not the slope of any curve")

    @property
    @abstractmethod
    def shape_peak(self) -> float | None:
        """Largest value of `shape`."""

    @property
    @abstractmethod
    def shape_area(self) -> float | None:
        """Integral of `shape` over all u, infinity, or None where undefined."""

    @property
    @abstractmethod
    def fwhm(self) -> float | None:
        """Full width at half maximum [threshold units], or None where there is none."""

    @property
    @abstractmethod
    def support(self) -> float | None:
        """Half-width of the interval outside which the slope is exactly 0, or None where it is the whole line."""

    @property
    def peak(self) -> float | None:
        """Largest value of `derivative`."""
        return None if self.shape_peak is None else self.gain * self.shape_peak

    @property
    def area(self) -> float | None:
        """Integral of `derivative`."""
        return None if self.shape_area is None else self.gain * self.shape_area

    def derivative(self, u: Tensor) -> Tensor:
        """What the backward pass multiplies by; shape and dtype of `u`."""
        return self.shape(u) if self.gain == 1.0 else self.gain * self.shape(u)

    def primitive(self, u: Tensor) -> Tensor:
        """The smooth curve whose slope `derivative` is."""
        return self.gain * self.shape_integral(u)

    def fire(self, u: Tensor) -> Tensor:
        """Spikes: 1 where u > 0, else 0; a neuron exactly at threshold stays silent, as in snnTorch."""
        return (u > 0).to(u.dtype)

    def forward(self, u: Tensor) -> Tensor:
        """Spikes with the surrogate's gradient."""
        # Dynamo traces no autograd function that has a forward mode.
        spike = _Spike if torch.compiler.is_compiling() else _SpikeWithForwardMode
        spikes = spike.apply(u, self)
        if any(parameter.requires_grad for parameter in self.parameters()):
            curve = self.primitive(u.detach())
            spikes = spikes + (curve - curve.detach())  # adds exactly 0, and the way to the parameters
        return spikes  # type: ignore[no-any-return]

    def kernel(self) -> Kernel | None:
        """The derivative as compiled loops know it, or None where only `derivative` does."""
        return None


class BellSurrogate(Surrogate):
    r"""A symmetric bell around the threshold: one form, stretched by a steepness k.

    .. math:: \mathrm{shape}(u) = h(k) \, \phi(ku), \qquad \phi(0) = 1

    A subclass gives the form :math:`\phi`, its integral and three constants of it; peak, area, width and support
    for every steepness follow.

    Args:
        native_value: the native parameter, or None if `width_fwhm` is given.
        width_fwhm: full width at half maximum [threshold units], or None if the native parameter is given.
        normalisation: see `Surrogate`.
        scale: see `Surrogate`.

    Raises:
        InputError: both or neither is given, or a value out of range.
    """

    native: ClassVar[str]  # name of the native parameter
    native_to_steepness: ClassVar[float] = 1.0  # k per unit of the native parameter
    bell_area: ClassVar[float]
    bell_fwhm: ClassVar[float]
    bell_support: ClassVar[float | None] = None
    kernel_shape: ClassVar[str | None] = None  # the form's name among the compiled loops

    def __init__(
        self, *, native_value: float | None, width_fwhm: float | None, normalisation: str, scale: float
    ) -> None:
        if (native_value is None) == (width_fwhm is None):
            raise InputError(
                f"surrogate.{self.native}={native_value}, surrogate.width_fwhm={width_fwhm}: give one of the "
                f"two and null for the other"
            )
        if native_value is None:
            width = require_number("surrogate.width_fwhm", width_fwhm, low=SMALLEST, high=LARGEST)
            self.steepness = self.bell_fwhm / width
        else:
            name = f"surrogate.{self.native}"
            value = require_number(name, native_value, low=SMALLEST, high=LARGEST)
            self.steepness = self.native_to_steepness * value
        super().__init__(normalisation=normalisation, scale=scale)
        # Not gain * peak, whose rounding would cost a peak of exactly 1 one more product per step.
        self.height = self.scale if normalisation == "peak1" else self.gain * self.shape_peak

    @abstractmethod
    def bell(self, z: Tensor) -> Tensor:
        """The form: 1 at z = 0, falling to both sides, elementwise."""

    @abstractmethod
    def bell_integral(self, z: Tensor) -> Tensor:
        """A curve whose slope is `bell`."""

    @property
    def shape_peak(self) -> float:
        """h(k), the height before normalisation: 1, unless the native formula says otherwise."""
        return 1.0

    def shape(self, u: Tensor) -> Tensor:
        """h(k) bell(ku)."""
        return self.shape_peak * self.bell(self.steepness * u)

    def derivative(self, u: Tensor) -> Tensor:
        """height bell(ku): the same as in `Surrogate`, with one product less."""
        bell = self.bell(self.steepness * u)
        return bell if self.height == 1.0 else self.height * bell

    def kernel(self) -> Kernel | None:
        """Known only for the very class that names it: a subclass may have changed the form."""
        shape = type(self).__dict__.get("kernel_shape")
        return None if shape is None else Kernel(shape, self.steepness, self.height)

    @property
    def peak(self) -> float:
        """The height, at threshold."""
        return self.height

    def shape_integral(self, u: Tensor) -> Tensor:
        """h(k)/k bell_integral(ku)."""
        return self.shape_peak / self.steepness * self.bell_integral(self.steepness * u)

    @property
    def shape_area(self) -> float:
        """h(k)/k times the area of the form."""
        return self.shape_peak * self.bell_area / self.steepness

    @property
    def fwhm(self) -> float:
        """Full width at half maximum [threshold units]."""
        return self.bell_fwhm / self.steepness

    @property
    def support(self) -> float | None:
        """Half-width of the support [threshold units], or None for the whole line."""
        return None if self.bell_support is None else self.bell_support / self.steepness

    @property
    def native_value(self) -> float:
        """The native parameter, given or derived from the width."""
        return self.steepness / self.native_to_steepness


class _Spike(torch.autograd.Function):
    """Step forward, slope backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, surrogate: Surrogate) -> Tensor:
        return surrogate.fire(u)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Surrogate], output: Tensor) -> None:
        u, ctx.surrogate = inputs
        ctx.save_for_backward(u)
        ctx.save_for_forward(u)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(u), None


class _SpikeWithForwardMode(_Spike):
    """The same, with the slope in forward mode too."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        (u,) = ctx.saved_tensors
        return tangent * ctx.surrogate.derivative(u)
