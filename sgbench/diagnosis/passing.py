"""Passing steps, over which recurrent spikes pass the gradient on, and the surrogate's width with a given number.

Legend: T steps, B samples, N neurons, u potential minus threshold, psi slope of the surrogate.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate

NARROWEST, WIDEST = 1e-3, 1e2  # least and largest width of the search [threshold units]
DIGITS = 2  # significant digits of a calibrated width
CHUNK = 1 << 14  # potentials whose slopes are computed together, so that they stay in the cache
SUBSET = 1 << 15  # potentials of a layer that narrow the search, before all of them are used
NEAR = 1.5  # factor by which the search is widened around the estimate from a subset
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
INSIDE = 0.02  # least distance of a trial width from the ends of its bracket, as a share of the bracket


class RecurrentLayer(NamedTuple):
    """Holds the potentials of one recurrent layer in one forward pass."""

    name: str
    centred: Tensor  # potential minus threshold in all valid steps, in any shape
    series: float  # B N: count of pairs of a sample and a neuron


def passing_steps(layer: RecurrentLayer, surrogate: Surrogate, width_fwhm: float | None = None) -> float:
    r"""Sum a surrogate's slopes, relative to its peak, over the T_b steps of a sample; average over all series.

    .. math:: S = \frac{1}{B N} \sum_{b, i} \sum_{t \le T_b} \frac{\psi(u_{b, i}[t])}{\max \psi}

    A series is one neuron in one sample. A recurrent spike passes the gradient on in proportion to that slope, so
    S counts steps of slope 1.

    `layer`: the potentials u. `width_fwhm`: full width at half maximum [threshold units]; None for the surrogate's own.

    Source: Zenke & Vogels 2021, Neural Computation 33(4), whose condition for exploding gradients is a slope
    of the spike times a recurrent weight.

    >>> import torch
    >>> from sgbench.surrogates.rectangle import Rectangle
    >>> layer = RecurrentLayer("hidden", torch.tensor([[-0.4], [-0.1], [0.2]]), series=1)
    >>> rectangle = Rectangle(slope=None, width_fwhm=0.5, normalisation="peak1", scale=1.0)
    >>> passing_steps(layer, rectangle), passing_steps(layer, rectangle, 1.0)
    (2.0, 3.0)
    """
    own, peak = surrogate.fwhm, surrogate.peak
    if not own or not peak:
        raise InputError(
            f"{type(surrogate).__name__} has no width, so that no width can be chosen for it; use surrogate=atan"
        )
    factor = 1.0 if width_fwhm is None else own / width_fwhm
    parts = layer.centred.reshape(-1).split(CHUNK) if surrogate.elementwise else (layer.centred,)
    slopes = math.fsum(surrogate.derivative(part.double() * factor).abs().sum().item() for part in parts)
    return slopes / peak / (layer.series or 1)


def mean_passing_steps(
    layers: Sequence[RecurrentLayer], surrogate: Surrogate, width_fwhm: float | None = None
) -> float:
    """Average the passing steps of several recurrent layers; see `passing_steps`."""
    return sum(passing_steps(layer, surrogate, width_fwhm) for layer in layers) / len(layers)


def near_share(layer: RecurrentLayer, surrogate: Surrogate) -> float:
    r"""Compute which part of a layer's slopes comes from potentials near the threshold.

    .. math:: q = \frac{P(\psi(u) > \max \psi / 2)}{E[\psi(u)] / \max \psi}

    A bell of light tails has a q near 1. A small q says that the gradient comes from far potentials, as with heavy
    tails in a network that is rarely near its threshold. NaN where all slopes are 0.

    Source: this package; no study has tested whether q predicts training.

    >>> import torch
    >>> from sgbench.surrogates.triangle import Triangle
    >>> layer = RecurrentLayer("hidden", torch.tensor([0.0, 0.3]), series=1)
    >>> triangle = Triangle(slope=None, width_fwhm=0.5, normalisation="peak1", scale=1.0)
    >>> round(near_share(layer, triangle), 3)  # slopes 1 and 0.4: one of two is above a half, and their mean is 0.7
    0.714
    """
    if not surrogate.peak:
        raise InputError(f"{type(surrogate).__name__} has no peak, against which slopes could be held")
    slopes = surrogate.derivative(layer.centred.double()).abs() / surrogate.peak
    mean = slopes.mean().item()
    return float((slopes > 0.5).double().mean().item()) / mean if mean else math.nan  # noqa: PLR2004 - half the peak


def width_for(layers: Sequence[RecurrentLayer], surrogate: Surrogate, target: float) -> float:
    """Find a surrogate's width with a given number of passing steps, to two significant digits [threshold units].

    Passing steps grow with the width, as each slope of a bell does. A subset of the potentials narrows the search,
    and all of them decide on which side of each trial width the result lies.
    """

    @functools.cache
    def steps_of(width: float) -> float:
        return mean_passing_steps(layers, surrogate, width)

    width = None
    subsets = [_subset(layer) for layer in layers] if surrogate.elementwise else layers
    if any(subset is not layer for subset, layer in zip(subsets, layers, strict=True)):
        estimate = _find_width(lambda width: mean_passing_steps(subsets, surrogate, width), NARROWEST, WIDEST, target)
        if estimate is not None:
            low, high = _rounding_ends(estimate)
            if steps_of(low) >= target:
                low, high = low / NEAR, low
            elif steps_of(high) < target:
                low, high = high, high * NEAR
            width = _find_width(steps_of, low, high, target)
    width = width or _find_width(steps_of, NARROWEST, WIDEST, target)
    if width is None:
        raise InputError(
            f"passing steps of {target:g} are out of reach: widths of {NARROWEST:g} to {WIDEST:g} have "
            f"{steps_of(NARROWEST):.2g} to {steps_of(WIDEST):.2g}; the sequences are too short, or potentials "
            f"lie exactly at threshold"
        )
    return width


def _subset(layer: RecurrentLayer) -> RecurrentLayer:
    """Select 32,768 of a layer's potentials, spread over neurons and steps; a layer with fewer is returned itself.

    The count `series` shrinks in proportion, so that passing steps are about the same.
    """
    values = layer.centred.reshape(-1)
    if len(values) <= SUBSET:
        return layer
    # Multiples of the golden ratio, modulo 1, do not resonate with the period of neurons in a step.
    indices = (torch.arange(SUBSET, dtype=torch.float64) * GOLDEN_RATIO % 1 * len(values)).long()
    return RecurrentLayer(layer.name, values[indices.to(values.device)], layer.series * SUBSET / len(values))


def _find_width(steps_of: Callable[[float], float], low: float, high: float, target: float) -> float | None:
    """Find the width between two ends at which a rising function of it equals a target, to two significant digits.

    None if the width is not between the ends. Trial widths are borders between two rounded widths. They alternate
    between interpolation of the function as a power of the width, and bisection.

    >>> _find_width(lambda width: 10 * width**2, 0.01, 10, 4.9), _find_width(lambda width: width, 1, 2, 3)
    (0.7, None)
    """
    least, most = steps_of(low), steps_of(high)
    if not least < target <= most:
        return None
    halve = False
    while True:
        share = 0.5 if halve or least <= 0 else math.log(target / least) / math.log(most / least)
        # Within the bracket, so that the borders of its rounded width are too.
        guess = _rounded(low * (high / low) ** min(max(share, INSIDE), 1 - INSIDE))
        trials = [end for end in _rounding_ends(guess) if low < end < high]
        if not trials:
            return guess
        for end in trials:
            steps = steps_of(end)
            if steps < target:
                low, least = end, steps
            else:
                high, most = end, steps
                break
        halve = not halve


def _rounding_ends(width: float) -> tuple[float, float]:
    """Return the least and the largest number that round to this width at two significant digits.

    >>> [f"{end:.4g}" for width in (0.27, 0.1) for end in _rounding_ends(width)]
    ['0.265', '0.275', '0.0995', '0.105']
    """
    mantissa, exponent = f"{width:.{DIGITS - 1}e}".split("e")
    half = 0.5 * 10.0 ** (int(exponent) - DIGITS + 1)
    return width - (half / 10 if float(mantissa) == 1 else half), width + half


def _rounded(width: float) -> float:
    return float(f"{width:.{DIGITS}g}")
