"""Measures the peak, area and width of a surrogate derivative numerically, with tolerances for declared values."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import scipy.integrate
import scipy.optimize
import torch
from torch import Tensor

from sgbench.surrogates.base import Surrogate

PEAK_TOLERANCE, WIDTH_TOLERANCE, AREA_TOLERANCE = 1e-12, 1e-9, 1e-11
"""Relative tolerances of declared values; for an area the quadrature's own error is added."""
EPS = torch.finfo(torch.float64).eps
INNER_ENDS = (-10.0, -1.0, -0.5, 0.0, 0.5, 1.0, 10.0)
"""Points, in widths, at which the interval of a quadrature is divided."""


def unit_of_u(surrogate: Surrogate) -> float:
    """Return the length scale of the u axis: the width, or 1 without one [threshold units]."""
    return surrogate.fwhm or 1.0


def evaluate_at(function: Callable[[Tensor], Tensor], u: float) -> float:
    return function(torch.tensor(u, dtype=torch.float64)).item()


def grid(surrogate: Surrogate, reach: float = 50.0) -> Tensor:
    """Return a dense grid of u [threshold units], `reach` widths to either side of the threshold u = 0."""
    return torch.arange(-10_000, 10_001).double() * (reach / 10_000 * unit_of_u(surrogate))


def measured_peak(surrogate: Surrogate) -> tuple[float, float]:
    """Return (u, value) of the largest absolute slope, searched on a grid and near kinks, then refined."""
    kinks = np.array(surrogate.kinks or (0.0,))
    u = torch.cat([grid(surrogate), grid(surrogate, 4.0)])
    u = torch.cat([u, *(torch.from_numpy(np.nextafter(kinks, end)) for end in (-math.inf, math.inf))])
    u = torch.cat([u, torch.from_numpy(kinks)])
    heights = surrogate.derivative(u).abs()
    best = u[heights.argmax()].item()
    unit = unit_of_u(surrogate)
    refined = scipy.optimize.minimize_scalar(
        lambda x: -abs(evaluate_at(surrogate.derivative, x)),
        bounds=(best - 1e-3 * unit, best + 1e-3 * unit),
        method="bounded",
        options={"xatol": 1e-12 * unit},
    )
    height, u = max((heights.max().item(), best), (float(-refined.fun), float(refined.x)))
    return u, height


def measured_area(surrogate: Surrogate, reach: float = math.inf) -> tuple[float, float]:
    """Integrate the slope over `reach` widths to either side of u = 0; return (area, bound of its error)."""
    unit = unit_of_u(surrogate)
    low, high = (max(-reach, min(reach, end / unit)) for end in surrogate.support)
    inner = {*INNER_ENDS} | {kink / unit for kink in surrogate.kinks}
    ends = [low, *sorted(end for end in inner if low < end < high), high]
    total = error = 0.0
    for left, right in itertools.pairwise(ends):
        part, bound = scipy.integrate.quad(
            lambda x: evaluate_at(surrogate.derivative, x * unit), left, right, epsabs=1e-12, epsrel=1e-11, limit=200
        )
        total, error = total + part * unit, error + bound * unit
    return total, error


def measured_fwhm(surrogate: Surrogate) -> float | None:
    """Measure the full width at half maximum [threshold units]; None if the slope stays above half its peak."""
    unit = unit_of_u(surrogate)
    top, peak = measured_peak(surrogate)

    def above_half(distance: float) -> float:
        return abs(evaluate_at(surrogate.derivative, top + distance)) - peak / 2

    ends = []
    for sign in (1, -1):
        steps = torch.cat([torch.arange(1, 4001) * 1e-3, torch.arange(5, 10_000)]).double() * unit
        heights = surrogate.derivative(top + sign * steps).abs() - peak / 2
        if not (heights < 0).any():
            return None
        first = int((heights < 0).nonzero()[0])
        before = 0.0 if first == 0 else steps[first - 1].item()
        ends.append(
            scipy.optimize.brentq(
                lambda x, sign=sign: above_half(sign * x),
                before,
                steps[first].item(),
                xtol=1e-14,
                rtol=np.float64(4 * EPS),
            )
        )
    return float(sum(ends))
