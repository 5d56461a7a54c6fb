"""Through how many steps recurrent spikes pass the gradient on, and the width at which these are a given number.

Legend: T steps, B samples, N neurons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Surrogate

NARROWEST, WIDEST = 1e-3, 1e2
"""Between which widths are looked for [thresholds]."""
HALVINGS = 40
"""Of the ratio of the two, down to a relative error of 1e-11."""
DIGITS = 2
"""Significant digits of a calibrated width."""


class RecurrentLayer(NamedTuple):
    """Holds the potentials of one recurrent layer in one forward run."""

    name: str
    centred: Tensor  # potential minus threshold in all valid steps, in any shape
    series: int  # B N, how many neurons of how many samples these are of


def passing_steps(layer: RecurrentLayer, surrogate: Surrogate, width_fwhm: float | None = None) -> float:
    r"""Sum the surrogate's slopes, over its peak, along a sequence; average over neurons and samples.

    .. math:: S = \frac{1}{B N} \sum_{b, i} \sum_{t \le T_b} \frac{\psi(u_{b, i}[t])}{\max \psi}

    A recurrent spike passes the gradient on in proportion to that slope, so that S counts steps of slope 1.

    Args:
        layer: whose potentials these are.
        surrogate: with a width and a peak; its slope may stand for a network's as it is used there or otherwise.
        width_fwhm: full width at half maximum in place of its own [thresholds].

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
    slopes = surrogate.derivative(layer.centred.double() * factor).abs()
    return slopes.sum().item() / peak / max(1, layer.series)


def mean_passing_steps(
    layers: Sequence[RecurrentLayer], surrogate: Surrogate, width_fwhm: float | None = None
) -> float:
    """Average the passing steps of several recurrent layers."""
    return sum(passing_steps(layer, surrogate, width_fwhm) for layer in layers) / len(layers)


def width_for(layers: Sequence[RecurrentLayer], surrogate: Surrogate, target: float) -> float:
    """Find the width at which the passing steps are the target, by halving; two significant digits.

    Passing steps grow with the width, as each slope of a bell does.

    Args:
        layers: at least one.
        surrogate: whose form and peak are kept.
        target: passing steps, averaged over layers.

    Raises:
        InputError: no width has so many or so few passing steps, or the surrogate has no width.
    """
    low, high = NARROWEST, WIDEST
    least, most = (mean_passing_steps(layers, surrogate, end) for end in (low, high))
    if not least < target < most:
        raise InputError(
            f"passing steps of {target:g} are out of reach: widths of {low:g} to {high:g} have {least:.2g} to "
            f"{most:.2g}; the sequences are too short, or potentials lie exactly at threshold"
        )
    for _ in range(HALVINGS):
        if _rounded(low) == _rounded(high):
            break  # so does every width between them
        middle = math.sqrt(low * high)
        if mean_passing_steps(layers, surrogate, middle) < target:
            low = middle
        else:
            high = middle
    return _rounded(math.sqrt(low * high))


def _rounded(width: float) -> float:
    """Round a width to two significant digits."""
    return float(f"{width:.{DIGITS}g}")
