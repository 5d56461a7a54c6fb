"""A slope that is written down as a formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sgbench.errors import InputError, require_number
from sgbench.records.formula import Node, nodes, parse_formula
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate
from sgbench.surrogates.curve import Curve, evaluate, measure, primitive, substituted


class Formula(Surrogate):
    r"""Uses a slope of your own, given as a formula of u and of one parameter a; no code is run.

    .. math:: \mathrm{shape}(u) = f(qu; a), \qquad q = 1 \text{ or } \mathrm{fwhm}(f) / \mathrm{width\_fwhm}

    A formula has numbers, `pi`, `e`, `+ - * / **`, comparisons (1 where true, else 0) and the functions `abs`,
    `atan`, `cos`, `cosh`, `erf`, `exp`, `expm1`, `log`, `log1p`, `sigmoid`, `sin`, `sinh`, `sqrt`, `tanh`, `min`,
    `max` and `where(condition, value, other)`. Peak, area, width, support and corners are measured, for u between
    1e-9 and 1e9; the primitive is a quadrature, exact to rounding where the slope is smooth between its corners.

    Args:
        formula: f, not negative and finite for all u.
        a: value of a in it.
        learn_a: whether a learns, one number for each layer; its height is normalised at the start.
        width_fwhm: full width at half maximum [threshold units], to which u is stretched, or None for f as it is.
        normalisation: see `Surrogate`.
        scale: see `Surrogate`.

    Raises:
        InputError: no formula, one that is refused, or a width asked of a slope that has none.

    >>> surrogate = Formula(
    ...     formula="1/(1+abs(a*u))**2", a=25.0, learn_a=False, width_fwhm=None, normalisation="peak1", scale=1.0
    ... )
    >>> surrogate.derivative(torch.tensor([-0.04, 0.0, 0.04]))
    tensor([0.2500, 1.0000, 0.2500])
    >>> round(surrogate.area * 25, 9), round(surrogate.fwhm * 25, 9)
    (2.0, 0.828427125)
    """

    def __init__(
        self,
        *,
        formula: str,
        a: float,
        learn_a: bool,
        width_fwhm: float | None,
        normalisation: str,
        scale: float,
    ) -> None:
        self.tree = substituted(parse_formula(formula), {})
        self.start_a = require_number("surrogate.a", a, low=-LARGEST, high=LARGEST)
        self.a: nn.Parameter | None = None
        self.squeeze = 1.0
        fwhm = self._curve.fwhm
        if width_fwhm is not None:
            width = require_number("surrogate.width_fwhm", width_fwhm, low=SMALLEST, high=LARGEST)
            if fwhm is None:
                raise InputError(
                    f"surrogate.width_fwhm={width_fwhm}: the slope {formula} does not fall to a half on both "
                    f"sides, so it has no width; use width_fwhm=null"
                )
            self.squeeze = fwhm / width
        super().__init__(normalisation=normalisation, scale=scale)
        if learn_a:
            if not any(node.operation == "a" for node in nodes(self.tree)):
                raise InputError(
                    f"surrogate.learn_a=true: {formula} has no a that could learn; use learn_a=false"
                )
            self.a = nn.Parameter(torch.tensor(self.start_a, dtype=torch.float64))

    def shown_numbers(self) -> dict[str, float]:
        """Return the parameter a."""
        return {"a": self._number}

    @property
    def _number(self) -> float:
        return self.start_a if self.a is None else self.a.item()

    @property
    def _fixed(self) -> Node:
        """Return the formula with the present number in place of a."""
        return substituted(self.tree, {"a": Node("number", value=self._number)})

    @property
    def _curve(self) -> Curve:
        return measure(self._fixed)

    def _parameter(self, u: Tensor) -> Tensor | float:
        return self.start_a if self.a is None else self.a.to(u.dtype)

    def shape(self, u: Tensor) -> Tensor:
        """Evaluate the formula at q u, elementwise."""
        u = u if self.squeeze == 1.0 else self.squeeze * u
        return evaluate(self._fixed if self.a is None else self.tree, u, self._parameter(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the formula from 0 to u by quadrature, in double precision."""
        tree = self._fixed if self.a is None else self.tree
        return primitive(tree, self._curve.breaks, self.squeeze * u, self._parameter(u)) / self.squeeze

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        """Make the slope `width` times as wide and `height` times as high, before training."""
        self.squeeze /= width
        self.gain *= height

    def written(self) -> Node | None:
        """Return the derivative of u as a formula of numbers, for loops to be written from."""
        if self.firing is not None:
            return None
        factor = self._factor() * self.squeeze
        u = Node("u") if factor == 1.0 else Node("mul", (Node("number", value=factor), Node("u")))
        slope = substituted(self._fixed, {"u": u})
        height = self.gain * self._growth()
        return slope if height == 1.0 else Node("mul", (Node("number", value=height), slope))

    @property
    def shape_peak(self) -> float:
        """Return the largest slope before normalisation, as measured."""
        return self._curve.peak

    @property
    def shape_area(self) -> float | None:
        """Return the area under the slope as integrated: infinite or None where its tails are too heavy."""
        return None if self._curve.area is None else self._curve.area / self.squeeze

    @property
    def shape_fwhm(self) -> float | None:
        """Return the slope's full width at half maximum as measured, or None where there is none."""
        return None if self._curve.fwhm is None else self._curve.fwhm / self.squeeze

    @property
    def shape_support(self) -> tuple[float, float]:
        """Return the ends of the interval outside which a cut of the formula makes the slope 0."""
        low, high = self._curve.support
        return low / self.squeeze, high / self.squeeze

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Locate where an argument of a cut, a comparison or `abs` vanishes."""
        return tuple(kink / self.squeeze for kink in self._curve.kinks)

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the share of the slope's area that lies below u."""
        whole = self.shape_area
        if whole is None or not math.isfinite(whole):
            return super().escape_probability(u)
        factor = self._factor_for(u)
        area = self.gain * whole * (factor if self._keeps_area() else 1.0) / factor
        lowest = torch.full_like(u, self._curve.breaks[0] / self.squeeze / self._factor())
        return (self.primitive(u) - self.primitive(lowest)) / area
