"""The integral over an estimated standard deviation, as simultaneous tests and the power of equality need it."""

from __future__ import annotations

import functools
import math

import numpy as np

from sgbench.statistics.pairs import Floats

NODES = 80
TAIL = 1e-13  # of the scale's distribution, left out at both ends


def scale_nodes(degrees: float) -> tuple[Floats, Floats]:
    """Compute nodes and weights of the integral over an estimated standard deviation whose true value is 1.

    >>> nodes, weights = scale_nodes(4)
    >>> (weights @ np.stack([nodes**0, nodes**2], axis=1)).round(9)
    array([1., 1.])
    """
    from scipy.special import chdtri, gammaln

    low, high = (math.sqrt(float(chdtri(degrees, tail)) / degrees) for tail in (1 - TAIL, TAIL))
    node, weight = legendre()
    scale = (high + low) / 2 + (high - low) / 2 * node
    half = degrees / 2
    log_density = math.log(2) + half * math.log(half) - gammaln(half) + (degrees - 1) * np.log(scale)
    return scale, (high - low) / 2 * weight * np.exp(log_density - half * scale**2)


@functools.cache
def legendre() -> tuple[Floats, Floats]:
    """Compute, and cache, the nodes and weights of the Gauss-Legendre integral from -1 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes.setflags(write=False)
    weights.setflags(write=False)
    return nodes, weights
