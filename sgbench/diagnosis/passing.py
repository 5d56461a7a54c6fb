"""Passing steps, through which recurrent spikes pass the gradient on, and the width with a given number of them.

Legend: T steps, B samples, N neurons.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate

NARROWEST, WIDEST = 1e-3, 1e2
"""Least and largest width of the search [threshold units]."""
DIGITS = 2
"""Significant digits of a calibrated width."""
CHUNK = 1 << 14
"""Potentials whose slopes are computed together, so that they stay in the cache."""
PART = 1 << 15
"""Potentials of a layer that narrow the search, before all of them are used."""
NEAR = 1.5
"""Factor by which the search is widened around the estimate from a part."""
GOLDEN = (math.sqrt(5) - 1) / 2
INSIDE = 0.02
"""Least distance of a trial width from the ends of its bracket, as a share of the bracket."""


class RecurrentLayer(NamedTuple):
    """Holds the potentials of one recurrent layer in one forward pass."""

    name: str
    centred: Tensor  # potential minus threshold in all valid steps, in any shape
    series: float  # B N: count of pairs of a sample and a neuron


def passing_steps(layer: RecurrentLayer, surrogate: Surrogate, width_fwhm: float | None = None) -> float:
    r"""Sum the surrogate's slopes, over its peak, along a sequence; average over neurons and samples.

    .. math:: S = \frac{1}{B N} \sum_{b, i} \sum_{t \le T_b} \frac{\psi(u_{b, i}[t])}{\max \psi}

    A recurrent spike passes the gradient on in proportion to that slope, so that S counts steps of slope 1.

    Args:
        layer: the potentials.
        surrogate: has a width and a peak; it need not be the surrogate of the layer.
        width_fwhm: full width at half maximum in place of its own [threshold units].

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
    """Average the passing steps of several recurrent layers."""
    return sum(passing_steps(layer, surrogate, width_fwhm) for layer in layers) / len(layers)


def width_for(layers: Sequence[RecurrentLayer], surrogate: Surrogate, target: float) -> float:
    """Find the width with a given number of passing steps, to two significant digits [threshold units].

    Passing steps grow with the width, as each slope of a bell does. A part of the potentials narrows the search,
    and all of them decide on which side of each trial width the result lies.

    Args:
        layers: at least one.
        surrogate: its shape and peak are kept.
        target: passing steps, averaged over layers.

    Raises:
        InputError: no width has so many or so few passing steps, or the surrogate has no width.
    """

    @functools.cache
    def has(width: float) -> float:
        return mean_passing_steps(layers, surrogate, width)

    found, parts = None, [_part(layer) for layer in layers] if surrogate.elementwise else layers
    if any(part is not layer for part, layer in zip(parts, layers, strict=True)):
        about = _found(lambda width: mean_passing_steps(parts, surrogate, width), NARROWEST, WIDEST, target)
        if about is not None:
            low, high = _ends(about)
            if has(low) >= target:
                low, high = low / NEAR, low
            elif has(high) < target:
                low, high = high, high * NEAR
            found = _found(has, low, high, target)
    found = found or _found(has, NARROWEST, WIDEST, target)
    if found is None:
        least, most = has(NARROWEST), has(WIDEST)
        raise InputError(
            f"passing steps of {target:g} are out of reach: widths of {NARROWEST:g} to {WIDEST:g} have "
            f"{least:.2g} to {most:.2g}; the sequences are too short, or potentials lie exactly at threshold"
        )
    return found


def _part(layer: RecurrentLayer) -> RecurrentLayer:
    """Select a part of a layer's potentials, spread over neurons and steps, with `series` scaled alike."""
    values = layer.centred.reshape(-1)
    if len(values) <= PART:
        return layer
    # Multiples of the golden ratio, modulo 1, do not resonate with the period of neurons in a step.
    indices = (torch.arange(PART, dtype=torch.float64) * GOLDEN % 1 * len(values)).long()
    return RecurrentLayer(layer.name, values[indices.to(values.device)], layer.series * PART / len(values))


def _found(has: Callable[[float], float], low: float, high: float, target: float) -> float | None:
    """Find the width between two ends at which a rising function equals the target, to two digits; None outside.

    Trial widths are borders between two rounded widths. They alternate between interpolation of the function as a
    power of the width, and bisection.

    >>> _found(lambda width: 10 * width**2, 0.01, 10, 4.9), _found(lambda width: width, 1, 2, 3)
    (0.7, None)
    """
    least, most = has(low), has(high)
    if not least < target <= most:
        return None
    halve = False
    while True:
        share = 0.5 if halve or least <= 0 else math.log(target / least) / math.log(most / least)
        # Within the bracket, so that the borders of its rounded width are too.
        guess = _rounded(low * (high / low) ** min(max(share, INSIDE), 1 - INSIDE))
        tried = [end for end in _ends(guess) if low < end < high]
        if not tried:
            return guess
        for end in tried:
            steps = has(end)
            if steps < target:
                low, least = end, steps
            else:
                high, most = end, steps
                break
        halve = not halve


def _ends(width: float) -> tuple[float, float]:
    """Return the least and the largest width that round to this one at two significant digits.

    >>> [f"{end:.4g}" for width in (0.27, 0.1) for end in _ends(width)]
    ['0.265', '0.275', '0.0995', '0.105']
    """
    mantissa, exponent = f"{width:.{DIGITS - 1}e}".split("e")
    half = 0.5 * 10.0 ** (int(exponent) - DIGITS + 1)
    return width - (half / 10 if float(mantissa) == 1 else half), width + half


def _rounded(width: float) -> float:
    """Round a width to two significant digits."""
    return float(f"{width:.{DIGITS}g}")
