"""Bell-shaped surrogates around the threshold: one form, with a width and a height."""

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

    A subclass defines the form :math:`\phi` as `bell`, its primitive, area, width and support. Peak, area, width
    and support at every steepness follow. h(k) is the raw height, `shape_peak`.

    Args:
        native_value: parameter of the original formula, or None if `width_fwhm` is given.
        width_fwhm: full width at half maximum [threshold units], or None if the native parameter is given.

    Raises:
        InputError: both or neither is given, a value out of range, or the subclass lacks a constant.
    """

    native: ClassVar[str]  # name of the native parameter
    native_to_steepness: ClassVar[float] = 1.0  # k per unit of the native parameter
    bell_area: ClassVar[float]  # integral of the form
    bell_fwhm: ClassVar[float]  # full width at half maximum of the form
    bell_support: ClassVar[float] = math.inf  # half-width of the interval outside which the form is 0
    kernel_shape: ClassVar[str | None] = None  # the form's name in compiled loops, None if they lack it

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
        # Not gain * peak: its rounding could change a peak of exactly 1, for which `slope` skips a product.
        self.height = self.scale if normalisation == "peak1" else self.gain * self.shape_peak

    def shown_numbers(self) -> dict[str, float]:
        """Return the native parameter, given or derived from the width; maps its name to its value."""
        return {self.native: self.steepness / self.native_to_steepness}

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        """Make the slope `width` times as wide and `height` times as high, whatever the normalisation."""
        self.steepness /= width
        self.height *= height
        self.gain = self.height / self.shape_peak

    @abstractmethod
    def bell(self, z: Tensor) -> Tensor:
        """Compute the form phi(z), elementwise: 1 at z = 0, falling to both sides."""

    @abstractmethod
    def bell_integral(self, z: Tensor) -> Tensor:
        """Compute a primitive of `bell`, elementwise at z."""

    @property
    def shape_peak(self) -> float:
        """Return h(k), the height before normalisation; 1 unless a subclass overrides it."""
        return 1.0

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the slope before normalisation, h(k) bell(ku), elementwise; k is the steepness."""
        return self.shape_peak * self.bell(self.steepness * u)

    def slope(self, u: Tensor) -> Tensor:
        """Evaluate the normalised and scaled slope at a stretch of 1, height times bell(ku); k is the steepness."""
        bell = self.bell(self.steepness * u)
        return bell if self.height == 1.0 else self.height * bell

    def kernel(self) -> Kernel | None:
        """Return the bell as compiled loops implement it.

        None if they lack the form, if the stretch is learnt, with a firing, and for subclasses of known forms.
        """
        shape = type(self).__dict__.get("kernel_shape")
        if shape is None or self.log_stretch is not None or self.firing is not None:
            return None
        return Kernel(shape, self.steepness * self.stretch, self.height * self._height_factor())

    @property
    def peak(self) -> float:
        """Return the slope's largest value, its height at threshold."""
        return self.height * self._height_factor()

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the slope before normalisation: h(k)/k bell_integral(ku); k is the steepness."""
        return self.shape_peak / self.steepness * self.bell_integral(self.steepness * u)

    @property
    def shape_area(self) -> float:
        """Return the area under the slope of steepness k before normalisation: h(k)/k times the form's."""
        return self.shape_peak * self.bell_area / self.steepness

    @property
    def shape_fwhm(self) -> float:
        """Return the slope's full width at half maximum: that of the form, over k; k is the steepness."""
        return self.bell_fwhm / self.steepness

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the interval outside which the slope is 0: the form's support, over k; k is the steepness."""
        edge = self.bell_support / self.steepness
        return -edge, edge

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Return the threshold, where some forms have a corner, and the ends of the support."""
        edge = self.bell_support / self.steepness
        return (-edge, 0.0, edge) if math.isfinite(edge) else (0.0,)

    @property
    def share_below(self) -> float:
        """Return the share of the area below threshold: 1/2 unless a subclass is asymmetric."""
        return 0.5

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the probability of a spike at u: share_below + (primitive(u) - primitive(0)) / area."""
        if not math.isfinite(self.shape_area):
            return super().escape_probability(u)
        # Equal to `self.area`, but with the gradient by a learnt stretch.
        factor = self._stretch_tensor(u)
        area = self.gain * self.shape_area * (factor if self._keeps_area() else 1.0) / factor
        return self.share_below + (self.primitive(u) - self.primitive(torch.zeros_like(u))) / area

    @property
    def native_value(self) -> float:
        """Return the parameter of the original formula, given or derived from the width."""
        return self.steepness / self.native_to_steepness


class SlopedBell(BellSurrogate):
    """Uses a bell whose native parameter, `slope`, is the steepness k.

    Args:
        slope: steepness k [1/threshold units], or None if `width_fwhm` is given.
        width_fwhm: full width at half maximum [threshold units], or None if `slope` is given.
    """

    native: ClassVar[str] = "slope"

    def __init__(self, *, slope: float | None, width_fwhm: float | None, normalisation: str, scale: float) -> None:
        super().__init__(native_value=slope, width_fwhm=width_fwhm, normalisation=normalisation, scale=scale)
