"""Bells around the threshold: one form, stretched and raised."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Kernel, Surrogate


class BellSurrogate(Surrogate):
    r"""Uses a bell around the threshold, symmetric unless said otherwise: one form, stretched by a steepness k.

    .. math:: \mathrm{shape}(u) = h(k) \, \phi(ku), \qquad \phi(0) = 1

    A subclass gives the form :math:`\phi`, its integral and three constants of it; peak, area, width and support
    for every steepness follow.

    Args:
        native_value: the native parameter, or None if `width_fwhm` is given.
        width_fwhm: full width at half maximum [threshold units], or None if the native parameter is given.
        normalisation: see `Surrogate`.
        scale: see `Surrogate`.

    Raises:
        InputError: both or neither is given, a value out of range, or the subclass lacks a constant.
    """

    native: ClassVar[str]  # name of the native parameter
    native_to_steepness: ClassVar[float] = 1.0  # k per unit of the native parameter
    bell_area: ClassVar[float]
    bell_fwhm: ClassVar[float]
    bell_support: ClassVar[float] = math.inf  # half-width
    kernel_shape: ClassVar[str | None] = None  # the form's name among the compiled loops

    def __init__(
        self, *, native_value: float | None, width_fwhm: float | None, normalisation: str, scale: float
    ) -> None:
        missing = [name for name in ("native", "bell_area", "bell_fwhm") if not hasattr(self, name)]
        if missing:
            raise InputError(
                f"{type(self).__name__} does not declare {', '.join(missing)}; set them in the class, as "
                f"docs/worked_entries.md shows"
            )
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

    def shown_numbers(self) -> dict[str, float]:
        """Return the form's own parameter by its name, as given or as the width asks for."""
        return {self.native: self.steepness / self.native_to_steepness}

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        """Make the slope `width` times as wide and `height` times as high, whatever the normalisation."""
        self.steepness /= width
        self.height *= height
        self.gain = self.height / self.shape_peak

    @abstractmethod
    def bell(self, z: Tensor) -> Tensor:
        """Compute the form: 1 at z = 0, falling to both sides, elementwise."""

    @abstractmethod
    def bell_integral(self, z: Tensor) -> Tensor:
        """Compute a curve whose slope is `bell`."""

    @property
    def shape_peak(self) -> float:
        """Return h(k), the height before normalisation: 1, unless the native formula says otherwise."""
        return 1.0

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope before normalisation, h(k) bell(ku), elementwise."""
        return self.shape_peak * self.bell(self.steepness * u)

    def slope(self, u: Tensor) -> Tensor:
        """Evaluate the normalised and scaled slope, height bell(ku), with one product less than in `Surrogate`."""
        bell = self.bell(self.steepness * u)
        return bell if self.height == 1.0 else self.height * bell

    def kernel(self) -> Kernel | None:
        """Describe the bell to compiled loops, or return None for a subclass, which may have changed the form."""
        shape = type(self).__dict__.get("kernel_shape")
        if shape is None or self.log_stretch is not None or self.firing is not None:
            return None
        return Kernel(shape, self.steepness * self.stretch, self.height * self._growth())

    @property
    def peak(self) -> float:
        """Return the slope's largest value, its height at threshold."""
        return self.height * self._growth()

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the slope before normalisation: h(k)/k bell_integral(ku)."""
        return self.shape_peak / self.steepness * self.bell_integral(self.steepness * u)

    @property
    def shape_area(self) -> float:
        """Return the area under the slope before normalisation: h(k)/k times the area of the form."""
        return self.shape_peak * self.bell_area / self.steepness

    @property
    def shape_fwhm(self) -> float:
        """Return the slope's full width at half maximum: that of the form, over k."""
        return self.bell_fwhm / self.steepness

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the interval outside which the slope is 0: the form's support, over k."""
        edge = self.bell_support / self.steepness
        return -edge, edge

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Return the threshold, where some forms have a corner, and the ends of the support."""
        edge = self.bell_support / self.steepness
        return (-edge, 0.0, edge) if math.isfinite(edge) else (0.0,)

    @property
    def share_below(self) -> float:
        """Return the share of the area that lies below threshold: a half where the form is symmetric."""
        return 0.5

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the probability of a spike at u: share_below + (primitive(u) - primitive(0)) / area."""
        if not math.isfinite(self.shape_area):
            return super().escape_probability(u)
        # As `area` says, but with the way to a stretch that learns.
        factor = self._factor_for(u)
        area = self.gain * self.shape_area * (factor if self._keeps_area() else 1.0) / factor
        return self.share_below + (self.primitive(u) - self.primitive(torch.zeros_like(u))) / area

    @property
    def native_value(self) -> float:
        """Return the form's own parameter, given or derived from the width."""
        return self.steepness / self.native_to_steepness


class SlopedBell(BellSurrogate):
    """Uses a bell whose own parameter is its steepness, as `slope`.

    Args:
        slope: steepness k [1/threshold units], or None if `width_fwhm` is given.
        width_fwhm: see `BellSurrogate`.
        normalisation: see `Surrogate`.
        scale: see `Surrogate`.
    """

    native: ClassVar[str] = "slope"

    def __init__(
        self, *, slope: float | None, width_fwhm: float | None, normalisation: str, scale: float
    ) -> None:
        super().__init__(native_value=slope, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)
