"""Show that a surrogate gradient is no gradient: its integral around a closed loop of weights is not 0."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

WEIGHTS = 5  # w, v1, v2, u1, u2
Array = NDArray[np.float64]


def gradient(weights: Array, x: float, *, forward_slope: float, slope: float) -> Array:
    r"""Return back-propagation's gradient of a 1-1-2-1 network's output with respect to its five weights.

    .. math::
        g = \sigma(w x), \quad h_k = \sigma(v_k g), \quad y = \sigma(u_1 h_1 + u_2 h_2), \qquad
        \sigma(z) = 1 / (1 + e^{-\beta z})

    with beta = `forward_slope` in these values and beta = `slope` in every derivative. With equal slopes this is the
    true gradient; with values that are nearly steps it is a surrogate gradient. Returns the gradient with respect to
    these weights [..., 5].

    `weights`: w, v1, v2, u1, u2 of each of many networks [..., 5]. `x`: input. `forward_slope`: beta of the values.
    `slope`: beta of the derivatives.

    Source: Gygax & Zenke 2025, Neural Computation 37(5):886-925.

    >>> gradient(np.zeros(5), 1.0, forward_slope=2.0, slope=2.0).tolist()  # 1/2 of each u's path: beta/4 times h
    [0.0, 0.0, 0.0, 0.25, 0.25]
    """
    w, v, u = weights[..., :1], weights[..., 1:3], weights[..., 3:]

    def derivative(z: Array) -> Array:
        s = expit(slope * z)
        return slope * s * (1 - s)

    g = expit(forward_slope * w * x)
    h = expit(forward_slope * v * g)
    at_y = derivative((u * h).sum(-1, keepdims=True))
    at_h = at_y * u * derivative(v * g)
    at_g = (at_h * v).sum(-1, keepdims=True) * derivative(w * x)
    return np.concatenate([at_g * x, at_h * g, at_y * h], -1)


def loop_integral(*, x: float, radius: float, points: int, forward_slope: float, slope: float, seed: int) -> float:
    r"""Integrate `gradient` around a circle in the space of weights with its centre at 0.

    .. math:: \oint \tilde\nabla y \cdot dr, \qquad r(\phi) = R (d_1 \sin\phi + d_2 \cos\phi)

    The trapezoidal rule is used, which converges exponentially for smooth functions on a circle. The integral of a
    true gradient is 0.

    Source: Gygax & Zenke 2025, Neural Computation 37(5):886-925; fmi-basel/surrogate-gradient-theory.

    >>> settings = {"x": 1.0, "radius": 1.8, "points": 1500, "seed": 0}
    >>> abs(loop_integral(**settings, forward_slope=5.0, slope=5.0)) < 1e-9
    True
    >>> abs(loop_integral(**settings, forward_slope=10000.0, slope=5.0)) > 0.01
    True
    """
    directions, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((WEIGHTS, 2)))
    angle = 2 * np.pi * np.arange(points) / points
    weights = radius * np.stack([np.sin(angle), np.cos(angle)], -1) @ directions.T
    tangents = radius * np.stack([np.cos(angle), -np.sin(angle)], -1) @ directions.T
    gradients = gradient(weights, x, forward_slope=forward_slope, slope=slope)
    return float((gradients * tangents).sum() * 2 * np.pi / points)


def integrals(
    *, x: float, radius: float, points: int, forward_slope: float, slopes: list[float], seed: int
) -> dict[str, float]:
    """Compute the absolute integral of `loop_integral` for each slope S, by name.

    "surrogate S" has the slope S in derivatives and `forward_slope` in values, "gradient S" has S in both.

    >>> settings = {"x": 1.0, "radius": 1.8, "points": 300, "forward_slope": 1e4, "slopes": [1.0], "seed": 0}
    >>> list(integrals(**settings))
    ['surrogate 1', 'gradient 1']
    """
    magnitudes = {}
    for kind in ("surrogate", "gradient"):
        for slope in slopes:
            forward = forward_slope if kind == "surrogate" else slope
            integral = loop_integral(x=x, radius=radius, points=points, forward_slope=forward, slope=slope, seed=seed)
            magnitudes[f"{kind} {slope:g}"] = abs(integral)
    return magnitudes
