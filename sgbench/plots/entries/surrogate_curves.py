"""Computes curves of a surrogate for pictures (samples, extents, shown interval, a reference) and facts about it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sgbench.surrogates.base import LARGEST, SMALLEST, Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.tables import number_text

DRAWS, FEW_DRAWS = 2000, 200  # of a random slope in a picture, and of one whose extent is measured
JUMP, BEND = 0.01, 0.05  # least jump [peak] and least change of slope [peak per width] of a kink
INFINITE_FROM = 1e6  # an extent beyond this counts as infinite [threshold units]
DEFAULT_REACH = 1.5  # half the shown interval of a curve without a width [threshold units]
LEAST_DISTANCE = 1e-4  # distance from threshold below which a corner is at threshold
DEFAULT_SLOPE = 25.0  # of the reference where there is no width to match
MOST_LISTED = 5  # numbers of a list; a longer one is cut


class SampledCurve(NamedTuple):
    """Holds a curve sampled at points u [threshold units]; of a random curve, the mean and quantiles of draws."""

    u: Tensor
    mean: Tensor  # the curve's value, or the mean over draws
    low: Tensor | None = None  # 10 % quantile over draws; None for a curve that is not random
    high: Tensor | None = None  # 90 % quantile


class ReferenceCurve(NamedTuple):
    """Holds a fast sigmoid for comparison, and a label that says how it was matched."""

    surrogate: Surrogate
    label: str


def slope_of(surrogate: Surrogate, u: Tensor, draws: int = FEW_DRAWS) -> SampledCurve:
    """Compute the surrogate derivative at each u; a random one is averaged over draws."""
    return _sample_curve(surrogate.derivative, u, draws if surrogate.stochastic else 1)


def forward_of(surrogate: Surrogate, u: Tensor) -> SampledCurve:
    """Compute the spike at each u; a random one is averaged over draws."""
    return _sample_curve(surrogate.fire, u, DRAWS if surrogate.stochastic else 1)


def _sample_curve(function: Callable[[Tensor], Tensor], u: Tensor, count: int) -> SampledCurve:
    """Average a function of u over `count` draws, with the range of the central 80 % if draws differ."""
    with torch.no_grad():
        draws = torch.stack([function(u) for _ in range(count)])
    if bool((draws == draws[0]).all()):
        return SampledCurve(u, draws[0])
    low, high = torch.quantile(draws, torch.tensor([0.1, 0.9], dtype=u.dtype), dim=0)
    return SampledCurve(u, draws.mean(0), low, high)


def primitive_of(surrogate: Surrogate, u: Tensor) -> Tensor | None:
    """Compute the primitive at each u, shifted to 1/2 at threshold; None without one."""
    if not surrogate.has_primitive:
        return None
    forward = forward_of(surrogate, torch.tensor([-1e-9, 1e-9], dtype=u.dtype))
    middle = forward.mean.mean() if forward.low is None else 0.5
    with torch.no_grad():
        return surrogate.primitive(u) - surrogate.primitive(torch.zeros_like(u[:1])) + middle


def peak_of(surrogate: Surrogate) -> float:
    """Return the declared peak of the slope or, without one, its largest sample."""
    if surrogate.peak is not None:
        return surrogate.peak
    return float(slope_of(surrogate, _all_scales()).mean.abs().max())


def extent(surrogate: Surrogate, level: float) -> tuple[float, float] | None:
    """Find the interval on which the slope reaches `level` times the peak [threshold units]; None if it never does.

    The ends are the outermost such points; beyond a million they count as infinite.
    """
    height = level * peak_of(surrogate)
    if not height or not math.isfinite(height):
        return None
    u = _all_scales(surrogate.kinks)
    reached = (slope_of(surrogate, u).mean.abs() >= height).nonzero().flatten()  # indices of u
    if not len(reached):
        return None
    first, last = int(reached[0]), int(reached[-1])
    low, high = float(u[first]), float(u[last])
    if low >= -INFINITE_FROM and not surrogate.stochastic:  # a random slope cannot be bisected
        low = _edge(surrogate, height, inside=low, outside=float(u[max(first - 1, 0)]))
    if high <= INFINITE_FROM and not surrogate.stochastic:
        high = _edge(surrogate, height, inside=high, outside=float(u[min(last + 1, len(u) - 1)]))
    return (-math.inf if low < -INFINITE_FROM else low), (math.inf if high > INFINITE_FROM else high)


def extent_width(surrogate: Surrogate, level: float) -> float | None:
    """Compute the full width at `level` times the peak [threshold units]; None if the slope never reaches it."""
    ends = extent(surrogate, level)
    return None if ends is None else ends[1] - ends[0]


def corners(surrogate: Surrogate) -> list[float]:
    """List the declared kinks where the slope measurably jumps or bends, from left to right.

    A bell declares kinks at the threshold and at the ends of its support even if it is smooth there.
    """
    declared = sorted(set(surrogate.kinks))
    peak, width = peak_of(surrogate), extent_width(surrogate, 0.5)
    if surrogate.stochastic or width is None:  # a random slope cannot be measured so finely
        return declared if surrogate.stochastic else []
    unit = width if 0 < width < math.inf else 1.0
    step = 1e-4 * unit
    measured = []
    for kink in declared:
        near = kink + step * torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64)
        far_left, left, right, far_right = slope_of(surrogate, near).mean.tolist()
        bend = abs((far_right - right) - (left - far_left)) / step * unit
        if abs(right - left) > JUMP * peak or bend > BEND * peak:
            measured.append(kink)
    return measured


def _all_scales(kinks: tuple[float, ...] = ()) -> Tensor:
    """Return points u from 1e-7 to 1e7 on both sides of 0, 0 itself, and points next to every kink, sorted."""
    right = torch.logspace(-7, 7, 4001, dtype=torch.float64)
    near_kinks = [kink + side * 1e-9 * max(1.0, abs(kink)) for kink in kinks for side in (-1, 0, 1)]
    return torch.cat([-right, right, torch.tensor([0.0, *near_kinks], dtype=torch.float64)]).unique()


def _edge(surrogate: Surrogate, height: float, *, inside: float, outside: float) -> float:
    """Find by bisection the u between `inside` and `outside` at which the slope falls below a height."""
    for _ in range(60):
        middle = (inside + outside) / 2
        point = torch.tensor([middle], dtype=torch.float64)
        if float(slope_of(surrogate, point).mean.abs()) >= height:
            inside = middle
        else:
            outside = middle
    return inside


def shown_interval(surrogate: Surrogate) -> tuple[float, float]:
    """Choose the interval of u to show: around slope and threshold; for integer spikes, several thresholds."""
    low, high = _interval_of_shape(surrogate)
    return (min(low, -1.5), max(high, 3.5)) if surrogate.output == "integer" else (low, high)


def _interval_of_shape(surrogate: Surrogate) -> tuple[float, float]:
    """Choose the interval of u that shows the slope, with margins; symmetric if the slope nearly is.

    It contains all u with a slope above 10 % of the peak, or 1 % if the slope has negative lobes, which are low.
    """
    has_lobes = not surrogate.stochastic and bool((slope_of(surrogate, _all_scales()).mean < 0).any())
    ends = extent(surrogate, 0.01 if has_lobes else 0.1)
    if ends is None or not all(map(math.isfinite, ends)):
        reach = 3 * surrogate.fwhm if surrogate.fwhm else _reach_without_width(surrogate)
        return -reach, reach
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    margin = 0.3 * (high - low)
    if ends[0] < 0 < ends[1] and max(-low, high) < 1.6 * min(-low, high):
        low, high = -max(-low, high), max(-low, high)  # nearly symmetric: centre the threshold
    return low - margin, high + margin


def _reach_without_width(surrogate: Surrogate) -> float:
    """Choose half the shown interval: around kinks, or where the slope falls to 1/2 on one side or 3/4 on both."""
    marks = [abs(corner) for corner in corners(surrogate)]
    for level in (0.5, 0.75):
        marks += [abs(end) for end in extent(surrogate, level) or () if math.isfinite(end)]
    largest = max(marks, default=0.0)
    return 3 * largest if largest > LEAST_DISTANCE else DEFAULT_REACH


def grid(low: float, high: float, kinks: tuple[float, ...], points: int) -> Tensor:
    """Return evenly spaced u from low to high, points next to every kink, and the threshold."""
    distance = 1e-6 * (high - low)
    near_kinks = [kink + side * distance for kink in (*kinks, 0.0) for side in (-1, 0, 1) if low < kink < high]
    even = torch.linspace(low, high, points, dtype=torch.float64)
    return torch.cat([even, torch.tensor(near_kinks, dtype=torch.float64)]).unique()


def matched_fast_sigmoid(surrogate: Surrogate) -> ReferenceCurve | None:
    """Return a fast sigmoid of the same peak and, if there is one, width; None if the peak is out of range."""
    peak, width = peak_of(surrogate), surrogate.fwhm
    if not SMALLEST <= peak <= LARGEST:
        return None
    if width is None or not SMALLEST <= width <= LARGEST:
        matched = FastSigmoid(slope=DEFAULT_SLOPE, width_fwhm=None, normalisation="peak1", scale=peak)
        return ReferenceCurve(matched, f"peak-matched fast_sigmoid (its default width, {matched.fwhm:.2g})")
    matched = FastSigmoid(slope=None, width_fwhm=width, normalisation="peak1", scale=peak)
    return ReferenceCurve(matched, "peak- and width-matched fast_sigmoid")


def same_curve(surrogate: Surrogate, other: Surrogate) -> bool:
    """Return whether two surrogate derivatives are equal everywhere up to rounding."""
    if surrogate.stochastic:
        return False
    u = _all_scales()
    return torch.allclose(slope_of(surrogate, u).mean, slope_of(other, u).mean, rtol=1e-9, atol=1e-12)


def interval(ends: tuple[float, float]) -> str:
    """Write the interval in which a slope is not 0.

    >>> interval((-1.0, 1.0)), interval((-math.inf, math.inf)), interval((0.0, math.inf))
    ('[-1, 1]', 'unbounded', 'from 0 on')
    """
    low, high = ends
    if low >= high:
        return "nowhere"
    if math.isinf(low) and math.isinf(high):
        return "unbounded"
    if math.isinf(high):
        return f"from {number_text(low)} on"
    return f"up to {number_text(high)}" if math.isinf(low) else f"[{number_text(low)}, {number_text(high)}]"


def listed_or_none(values: list[float], digits: int = 3) -> str:
    """Write numbers with commas; if they are more than five, the first three and the count of the others.

    >>> listed_or_none([0.0, 0.5]), listed_or_none([]), listed_or_none([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
    ('0, 0.5', 'none', '0, 0.5, 1 and 3 more')
    """
    shown = values if len(values) <= MOST_LISTED else values[:3]
    more = f" and {len(values) - 3} more" if len(values) > MOST_LISTED else ""
    return ", ".join(number_text(value, digits) for value in shown) + more if values else "none"


def facts(surrogate: Surrogate) -> dict[str, Any]:
    """Map the names of facts (peak, area, widths [threshold units], support, ...), the keys of JSON, to values."""
    return {
        "peak": surrogate.peak,
        "area": surrogate.area,
        "width": surrogate.fwhm,
        "width_10": extent_width(surrogate, 0.1),
        "support": list(surrogate.support),
        "kinks": corners(surrogate),
        "primitive": surrogate.has_primitive,
        "stochastic": surrogate.stochastic,
        "elementwise": surrogate.elementwise,
        "output": surrogate.output,
    }


def without_infinities(value: Any) -> Any:
    """Replace infinities in nested dictionaries and lists by "inf" and "-inf", since strict JSON has no infinity."""
    if isinstance(value, dict):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def facts_line(surrogate: Surrogate) -> str:
    width = "no width" if surrogate.fwhm is None else f"width {number_text(surrogate.fwhm)}"
    area = "area undefined" if surrogate.area is None else f"area {number_text(surrogate.area)}"
    peak = "peak undefined" if surrogate.peak is None else f"peak {number_text(surrogate.peak)}"
    return f"{peak}, {area}, {width}, support {interval(surrogate.support)}"
