"""Surrogates of the catalogue for tests, and measurements of their slopes that trust nothing they declare.

Legend: u = membrane potential minus threshold; width = full width at half maximum; psi = `derivative`;
eps = machine epsilon. Presets of other libraries are entries in folders and have tests of their own.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.surrogates.base import NORMALISATIONS, Surrogate
from sgbench.surrogates.bell import BellSurrogate
from sgbench.yours.entry_check import EPS, unit_of_u
from tests.entries import spec_with

WIDTHS = (0.05, 0.6, 4.0)


@functools.cache
def composed(name: str, width: float | None = None) -> tuple[type[Surrogate], dict]:
    """Class and parameters of an entry as a run would get them."""
    spec = spec_with({"surrogate": name}, {} if width is None else {"width_fwhm": width})
    module, _, callee = spec.targets["surrogate"].rpartition(".")
    return getattr(importlib.import_module(module), callee), spec.method.parameters["surrogate"]


def has_width(name: str) -> bool:
    """Whether the common word width_fwhm reaches it."""
    return "width_fwhm" in catalogue.entry("surrogate", name).parameters


NAMES = [name for name in catalogue.entries("surrogate") if "/" not in name]
PLAIN = [name for name in NAMES if composed(name)[0].elementwise and not composed(name)[0].stochastic]
WITH_WIDTH = [name for name in PLAIN if has_width(name)]
EXCLUSIVE = [name for name in WITH_WIDTH if None in composed(name, 0.5)[1].values()]
BELLS = [name for name in PLAIN if issubclass(composed(name)[0], BellSurrogate)]


def one_a_base(names: list[str]) -> list[str]:
    """The first of the entries that share a base class, whose code refuses for all of them."""
    return list({composed(name)[0].__mro__[1]: name for name in reversed(names)}.values())[::-1]


every_entry = pytest.mark.parametrize("name", NAMES)
every_plain = pytest.mark.parametrize("name", PLAIN)
every_width = pytest.mark.parametrize("name", WITH_WIDTH)
every_exclusive = pytest.mark.parametrize("name", EXCLUSIVE)
every_base = pytest.mark.parametrize("name", one_a_base(NAMES))
every_exclusive_base = pytest.mark.parametrize("name", one_a_base(EXCLUSIVE))
every_bell = pytest.mark.parametrize("name", BELLS)


def make(name: str, **changes: object) -> Surrogate:
    """An entry with its YAML's values, some of them changed; a width replaces the native steepness."""
    target, parameters = composed(name, 0.5 if changes.get("width_fwhm") is not None else None)
    return target(**{**parameters, **changes})


def native_name(name: str) -> str:
    """The parameter that a width replaces: the one that is null where a width is given."""
    _, parameters = composed(name, 0.5)
    (native,) = [key for key, value in parameters.items() if value is None]
    return native


def accepts(name: str, normalisation: str) -> bool:
    """Whether the quantity that becomes 1 is a positive number, by what the raw shape declares."""
    raw = make(name, normalisation="raw")
    unit = {"peak1": raw.peak, "area1": raw.area, "raw": 1.0}[normalisation]
    return unit is not None and 0 < unit < math.inf


def variants(name: str) -> Iterator[tuple[str, Surrogate]]:
    """Every accepted normalisation at the default and several widths and stretches, with a label for messages."""
    widths = (None, *WIDTHS) if has_width(name) else (None,)
    for normalisation in filter(functools.partial(accepts, name), NORMALISATIONS):
        for width in widths:
            changes = {"normalisation": normalisation, "scale": 0.7}
            changes |= {} if width is None else {"width_fwhm": width}
            yield f"{name} {changes}", make(name, **changes)
        stretched = make(name, normalisation=normalisation)
        stretched.stretch = 2.5
        yield f"{name} {normalisation} stretched", stretched


def away_from_kinks(surrogate: Surrogate, u: Tensor, least: float) -> Tensor:
    """Points at least so many widths away from where the slope may not be differentiable."""
    if not surrogate.kinks:
        return u
    distance = torch.stack([(u.double() - kink).abs() for kink in surrogate.kinks]).amin(0)
    return u[distance > least * unit_of_u(surrogate)]


def smooth_points(surrogate: Surrogate) -> Tensor:
    """Points on both sides, up to ten widths away, at least a hundredth of a width from every kink."""
    unit = unit_of_u(surrogate)
    right = torch.cat([torch.arange(0.013, 2, 0.0937), torch.arange(2.03, 10, 0.717)]).double() * unit
    return away_from_kinks(surrogate, torch.cat([-right.flip(0), right]), 0.01)


def nth_derivative(function: Callable[[Tensor], Tensor], u: Tensor, order: int) -> Tensor:
    """Elementwise n-th derivative by autograd; 0 where the function does not depend on u."""
    u = u.clone().requires_grad_()
    value = function(u)
    for _ in range(order):
        if not value.requires_grad:
            return torch.zeros_like(u)
        (value,) = torch.autograd.grad(value.sum(), u, create_graph=True, materialize_grads=True)
    return value.detach()


def central_slope(function: Callable[[Tensor], Tensor], u: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Central differences and a bound of their error.

    Error <= h^2/6 max|f'''| (truncation; doubled, because the third derivative is read at u alone) +
    4 eps max|f| / h (rounding of two values of f, each good to 2 eps of the largest value of f).
    """
    above, below = u + step, u - step
    slope = (function(above) - function(below)) / (above - below)
    largest = torch.cat([function(above), function(below)]).abs().max()
    truncation = step**2 / 3 * nth_derivative(function, u, 3).abs()
    return slope, truncation + 4 * EPS * largest / step
