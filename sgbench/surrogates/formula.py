"""A slope given as a formula."""

import math

import torch
from torch import Tensor, nn

from fastspiking.formula import Node, nodes, parse_formula
from sgbench.errors import InputError, require_number
from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate
from sgbench.surrogates.curve import Curve, evaluate, measure, primitive, substitute


class Formula(Surrogate):
    r"""Uses a slope f given as a formula of u and one parameter a; the text is parsed, never run as code.

    .. math:: \mathrm{shape}(u) = f(qu; a), \qquad q = 1 \text{ or } \mathrm{fwhm}(f) / \mathrm{width\_fwhm}

    A formula may have numbers, `pi`, `e`, `+ - * / **`, comparisons (1 where true, else 0) and the functions `abs`,
    `atan`, `cos`, `cosh`, `erf`, `exp`, `expm1`, `log`, `log1p`, `sigmoid`, `sin`, `sinh`, `sqrt`, `tanh`, `min`,
    `max` and `where(condition, value, other)`. Peak, area, width, support and corners are measured, for u between
    1e-9 and 1e9; the primitive is a quadrature, exact to rounding where the slope is smooth between its corners.

    Args:
        formula: text of f, which must be finite and not negative for all u.
        a: value of a, initial value if it is learnt.
        learn_a: whether a is learnt, one number for each layer; the height is normalised at its initial value.
        width_fwhm: full width at half maximum to which f is stretched [threshold units], or None for f as it is.

    Raises:
        InputError: the text is no allowed formula; f is not finite or negative at some u; a width is given, but f
            does not fall to half on both sides; or learn_a without an a in the formula.

    >>> surrogate = Formula(
    ...     formula="1/(1+abs(a*u))**2", a=25.0, learn_a=False, width_fwhm=None, normalisation="peak1", scale=1.0
    ... )
    >>> surrogate.derivative(torch.tensor([-0.04, 0.0, 0.04]))
    tensor([0.2500, 1.0000, 0.2500])
    >>> round(surrogate.area * 25, 9), round(surrogate.fwhm * 25, 9)
    (2.0, 0.828427125)
    """

    def __init__(
        self, *, formula: str, a: float, learn_a: bool, width_fwhm: float | None, normalisation: str, scale: float
    ) -> None:
        self.tree = substitute(parse_formula(formula), {})
        self.initial_a = require_number("surrogate.a", a, low=-LARGEST, high=LARGEST)
        self.a: nn.Parameter | None = None
        self.u_factor = 1.0
        fwhm = self._curve.fwhm
        if width_fwhm is not None:
            width = require_number("surrogate.width_fwhm", width_fwhm, low=SMALLEST, high=LARGEST)
            if fwhm is None:
                raise InputError(
                    f"surrogate.width_fwhm={width_fwhm}: the slope {formula} does not fall to a half on both "
                    f"sides, so it has no width; use width_fwhm=null"
                )
            self.u_factor = fwhm / width
        super().__init__(normalisation=normalisation, scale=scale)
        if learn_a:
            if not any(node.operation == "a" for node in nodes(self.tree)):
                raise InputError(f"surrogate.learn_a=true: {formula} has no a that could learn; use learn_a=false")
            self.a = nn.Parameter(torch.tensor(self.initial_a, dtype=torch.float64))

    def shown_numbers(self) -> dict[str, float]:
        return {"a": self._current_a}

    @property
    def _current_a(self) -> float:
        return self.initial_a if self.a is None else self.a.item()

    @property
    def _without_a(self) -> Node:
        return substitute(self.tree, {"a": Node("number", value=self._current_a)})

    @property
    def _curve(self) -> Curve:
        """Return the measured properties of f at the current value of a."""
        return measure(self._without_a)

    def _parameter(self, u: Tensor) -> Tensor | float:
        """Return a: a number, or if learnt a tensor with gradient, in the precision of u."""
        return self.initial_a if self.a is None else self.a.to(u.dtype)

    def shape(self, u: Tensor) -> Tensor:
        u = u if self.u_factor == 1.0 else self.u_factor * u
        return evaluate(self._without_a if self.a is None else self.tree, u, self._parameter(u))

    def shape_integral(self, u: Tensor) -> Tensor:
        """Integrate the formula from 0 to u by quadrature, in double precision."""
        tree = self._without_a if self.a is None else self.tree
        return primitive(tree, self._curve.breaks, self.u_factor * u, self._parameter(u)) / self.u_factor

    def reshape(self, *, width: float = 1.0, height: float = 1.0) -> None:
        self.u_factor /= width
        self.gain *= height

    def as_formula(self) -> Node | None:
        """Return the derivative with its stretch and height as a formula of u alone; None with a firing."""
        if self.firing is not None:
            return None
        factor = self._stretch_value() * self.u_factor
        u = Node("u") if factor == 1.0 else Node("mul", (Node("number", value=factor), Node("u")))
        slope = substitute(self._without_a, {"u": u})
        height = self.gain * self._height_factor()
        return slope if height == 1.0 else Node("mul", (Node("number", value=height), slope))

    @property
    def shape_peak(self) -> float:
        return self._curve.peak

    @property
    def shape_area(self) -> float | None:
        """Return the measured area under the slope: possibly infinite; None if the tails do not decide."""
        return None if self._curve.area is None else self._curve.area / self.u_factor

    @property
    def shape_fwhm(self) -> float | None:
        return None if self._curve.fwhm is None else self._curve.fwhm / self.u_factor

    @property
    def shape_support(self) -> tuple[float, float]:
        low, high = self._curve.support
        return low / self.u_factor, high / self.u_factor

    @property
    def shape_kinks(self) -> tuple[float, ...]:
        """Return the u at which `abs`, `min`, `max` or a comparison may cause a corner or jump."""
        return tuple(kink / self.u_factor for kink in self._curve.kinks)

    def escape_probability(self, u: Tensor) -> Tensor:
        """Compute the share of the slope's area that lies below u, elementwise."""
        shape_area = self.shape_area
        if shape_area is None or not math.isfinite(shape_area):
            return super().escape_probability(u)
        factor = self._stretch_tensor(u)
        area = self.gain * shape_area * (factor if self._keeps_area() else 1.0) / factor
        lowest = torch.full_like(u, self._curve.breaks[0] / self.u_factor / self._stretch_value())
        return (self.primitive(u) - self.primitive(lowest)) / area
