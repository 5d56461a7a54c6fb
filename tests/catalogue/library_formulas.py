"""The slopes of other libraries at their default parameters, restated from their source code in plain numpy.

u = membrane potential minus threshold, threshold 1. Nothing here is read from the table of presets.
"""

from collections.abc import Callable

import numpy as np
from numpy import abs as mag
from numpy import exp, pi, sqrt, where
from numpy.typing import NDArray

Array = NDArray[np.float64]


def normal(u: Array, mean: float, sigma: float) -> Array:
    """Density of the normal distribution."""
    return exp(-((u - mean) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


def logistic(z: Array) -> Array:
    """s (1 - s), s = 1 / (1 + exp(-z)), written with |z| so that nothing overflows."""
    return exp(-mag(z)) / (1 + exp(-mag(z))) ** 2


def sech2(z: Array) -> Array:
    """1 - tanh(z)^2, written without cancellation."""
    return 4 / (exp(mag(z)) + exp(-mag(z))) ** 2


def three_normals(u: Array, sigma: float) -> Array:
    """The multi-Gaussian with height 0.15 and spread 6."""
    flanks = normal(u, sigma, 6 * sigma) + normal(u, -sigma, 6 * sigma)
    return 1.15 * normal(u, 0, sigma) - 0.15 * flanks


def reciprocal_above(u: Array, start: float) -> Array:
    """1 / u for u > start, else 1."""
    return 1 / where(u > start, u, 1.0)


SLOPES: dict[str, Callable[[Array], Array]] = {
    "snntorch/straight_through_estimator": lambda u: 0 * u + 1,
    "snntorch/fast_sigmoid": lambda u: 1 / (1 + 25 * mag(u)) ** 2,
    "snntorch/atan": lambda u: (2 / 2) / (1 + (pi * 2 * u / 2) ** 2),
    "snntorch/heaviside": lambda u: 1.0 * (u > 0),
    "snntorch/sigmoid": lambda u: 25 * logistic(25 * u),
    "snntorch/spike_rate_escape": lambda u: 25 * exp(-1 * mag(u - 1)),
    "snntorch/LSO": lambda u: where(u > 0, 1, 0.1),
    "snntorch/SSO": lambda u: 1.0 * (u > 0),
    "snntorch/triangular": lambda u: where(u < 0, 1, -1),
    "snntorch/SFS": lambda u: where(u > 1, 1 / (25 * mag(u) + 1) ** 2, 0),
    "spikingjelly/MultiLevelSpikeCount": lambda u: 1.0 * ((u + 1 >= 0) & (u + 1 <= 4)),
    "spikingjelly/PiecewiseQuadratic": lambda u: where(mag(u) > 1 / 1, 0, 1 - 1**2 * mag(u)),
    "spikingjelly/PiecewiseExp": lambda u: 1 / 2 * exp(-1 * mag(u)),
    "spikingjelly/Sigmoid": lambda u: 4 * logistic(4 * u),
    "spikingjelly/SoftSign": lambda u: 1 / (2 * 2 * (1 / 2 + mag(u)) ** 2),
    "spikingjelly/SuperSpike": lambda u: 1 / (mag(u) + 1) ** 2,
    "spikingjelly/ATan": lambda u: 2 / 2 / (1 + (pi * 2 / 2 * u) ** 2),
    "spikingjelly/NonzeroSignLogAbs": lambda u: 1 / (1 / 1 + mag(u)),
    "spikingjelly/Erf": lambda u: exp(-((2 * u) ** 2)) * 2 / sqrt(pi),
    "spikingjelly/PiecewiseLeakyReLU": lambda u: where(mag(u) < 1, 1 / (2 * 1), 0.01),
    "spikingjelly/SquarewaveFourierSeries": lambda u: 4 / 8 * np.cos(2 * pi / 8 * u),
    "spikingjelly/S2NN": lambda u: where(u < 0, 4 * logistic(4 * u), 1 / (where(u < 0, 0, u) + 1)),
    "spikingjelly/QPseudoSpike": lambda u: (1 + 2 / (2 - 1) * mag(u)) ** -2,
    "spikingjelly/LeakyKReLU": lambda u: where(u >= 0, 1.0, 0.0),
    "spikingjelly/FakeNumericalGradient": lambda u: 1 / np.maximum(mag(u), 1 / 0.3),
    "spikingjelly/LogTailedReLU": lambda u: where(u <= 0, 0, reciprocal_above(u, 1.0)),
    "spikingjelly/DeterministicPass": lambda u: 0 * u + 1,
    "spikingjelly/Rect": lambda u: 1 * (mag(u) < 0.5 / 1) + 0.0,
    "norse/super": lambda u: 1 / (mag(u) + 1) ** 2,
    "norse/super_1_0": lambda u: 1 / (100 * mag(u) + 1) ** 2,
    "norse/triangle": lambda u: 0.3 * np.maximum(1 - mag(u), 0),
    "norse/tanh": lambda u: sech2(np.clip(100 * u, -700, 700)),
    "norse/circ": lambda u: 100**3 / (u**2 + 100**2) ** 1.5,
    "norse/heavi_erfc": lambda u: 2 * exp(-((100 * u) ** 2)) / sqrt(pi),
    "norse/heaviside": lambda u: 0 * u,
    "sinabs/Heaviside": lambda u: 1.0 * (u + 1 >= 1 - 1),
    "sinabs/Gaussian": lambda u: normal(u, 0, 0.5),
    "sinabs/MultiGaussian": lambda u: three_normals(u, 0.5),
    "sinabs/SingleExponential": lambda u: 1 / 0.5 * exp(-mag(u) / 0.5),
    "sinabs/PeriodicExponential": lambda u: exp(-mag(where(u < 0, u, 2 * (u + 0.5 - np.floor(u + 0.5)) - 1)) / 0.5),
    "rockpool/StepPWL": lambda u: 1.0 * (u + 1 >= 1 - 0.5),
    "rockpool/PeriodicExponential": lambda u: exp(
        -mag(where(u < 0, u + 0.5, (u + 0.5) - np.floor(u + 0.5)) - 0.5) / 0.5
    ),
    "lava/graded": lambda u: 0.1 * exp(np.minimum(u, 0) / 100),
    "lava/spike": lambda u: 0.1 / (2 * 100) * exp(-mag(u) / 100),
    "stork/SuperSpike": lambda u: 1 / (20 * mag(u) + 1) ** 2,
    "stork/SuperSpike_MemClamp": lambda u: 1 / (20 * np.maximum(-u, 0) + 1) ** 2,
    "stork/SuperSpike_rescaled": lambda u: (20 + 1) ** 2 / (20 * mag(u) + 1) ** 2,
    "stork/SuperSpike_asymptote": lambda u: 100 / (100 * mag(u) + 1) ** 2,
    "stork/SuperSpike_norm": lambda u: 1 / (100 * mag(u) + 1) ** 2,
    "stork/MultiSpike": lambda u: 1 / (100 * mag(u - np.maximum(np.round(u), 0)) + 1) ** 2,
    "stork/TanhSpike": lambda u: 1 + (1 - np.tanh(100 * u) ** 2),
    "stork/HardTanhSpike": lambda u: 1 + np.clip(100 * u, -1, 1),
    "stork/EsserSpike": lambda u: np.maximum(1 - mag(u), 0),
    "stork/CustomSpike_SuperSpike": lambda u: 1 / (10 * mag(u) + 1) ** 2,
    "stork/CustomSpike_sigmoid": lambda u: 10 * logistic(10 * u),
    "stork/CustomSpike_exponential": lambda u: 0.01 / 0.133 * exp(u / 0.133),
    "spyx/superspike": lambda u: 1 / (1 + 25 * mag(u)) ** 2,
    "spyx/arctan": lambda u: 1 / ((1 + (2 * pi * u) ** 2) * pi),
    "spyx/tanh": lambda u: sech2(np.clip(u, -350, 350)) * (mag(u) < 350),
    "spyx/boxcar": lambda u: 0.5 * (mag(u) < 2 / 2),
    "spyx/triangular": lambda u: np.maximum(0, 1 - mag(2 * u)),
    "snnax/superspike_surrogate": lambda u: 1 / (1 + 10 * mag(u)),
    "snnax/sigmoid_surrogate": logistic,
    "snnax/piecewise_surrogate": lambda u: 1.0 * ((u > -0.5) & (u < 0.5)),
    "slax/fast_sigmoid": lambda u: 1 / (25 * mag(u) + 1) ** 2,
    "slax/atan": lambda u: 2 / 2 / (1 + (pi / 2 * 2 * u) ** 2),
    "slax/multi_gauss": lambda u: 0.5 * three_normals(u, 0.3),
    "jaxsnn/superspike": lambda u: 1 / (80 * mag(u) + 1) ** 2,
    "mlx_snn/fast_sigmoid": lambda u: 25 / (2 * (1 + 25 * mag(u)) ** 2),
    "mlx_snn/arctan": lambda u: 2 / pi / (1 + (2 * u) ** 2),
    "mlx_snn/sigmoid": lambda u: 25 * logistic(25 * u),
    "mlx_snn/straight_through": lambda u: 0 * u + 1,
    "mlx_snn/triangular": lambda u: np.maximum(0, 1 - mag(u)),
    "braincog/SigmoidGrad": logistic,
    "braincog/AtanGrad": lambda u: 2 / 2 / (1 + (2 * pi / 2 * u) ** 2),
    "braincog/RoundGrad": lambda u: 1.0 * ((u > -0.5) & (u < 4.5)),
    "braincog/GateGrad": lambda u: 1.0 * (mag(u) < 1 / 2),
    "braincog/QGateGrad": lambda u: where(mag(u) > 1 / 2, 0, 2 - 2 * 2 * mag(u)),
    "braincog/ReLUGrad": lambda u: 2.0 * (u > 0),
    "braincog/STDPGrad": lambda u: 1.0 * (u > 0),
    "braincog/BackEIGateGrad": lambda u: 1.0 * (mag(u) < 0.5),
    "braincog/straight_through_estimator": lambda u: 0 * u + 1,
    "braintools/Sigmoid": lambda u: 4 * logistic(4 * u),
    "braintools/PiecewiseQuadratic": lambda u: where(mag(u) > 1 / 1, 0, 1 - 1**2 * mag(u)),
    "braintools/PiecewiseExp": lambda u: 1 / 2 * exp(-1 * mag(u)),
    "braintools/SoftSign": lambda u: 1 * 0.5 / (1 + mag(u)) ** 2,
    "braintools/Arctan": lambda u: 1 * 0.5 / (1 + (pi / 2 * u) ** 2),
    "braintools/NonzeroSignLog": lambda u: 1 / (1 / 1 + mag(u)),
    "braintools/ERF": lambda u: 1 / sqrt(pi) * exp(-(1**2) * u**2),
    "braintools/PiecewiseLeakyRelu": lambda u: where(mag(u) > 1, 0.01, 1 / (2 * 1)),
    "braintools/SquarewaveFourierSeries": lambda u: 4 / 8 * (np.cos(pi / 4 * u) + np.cos(3 * pi / 4 * u)),
    "braintools/S2NN": lambda u: where(u < 0, 4 * logistic(4 * u), 1 / (where(u < 0, 1, u) + 1)),
    "braintools/QPseudoSpike": lambda u: (1 + 2 / (2 + 1) * mag(u)) ** -2,
    "braintools/LeakyRelu": lambda u: where(u < 0, 0.1, 1.0),
    "braintools/LogTailedRelu": lambda u: where(u > 0, reciprocal_above(u, 1.0), 0),
    "braintools/ReluGrad": lambda u: np.maximum(0.3 * 1 - mag(u) * 0.3, 0),
    "braintools/GaussianGrad": lambda u: 0.5 * normal(u, 0, 0.5),
    "braintools/MultiGaussianGrad": lambda u: 0.5 * three_normals(u, 0.5),
    "braintools/InvSquareGrad": lambda u: 1 / (100 * mag(u) + 1) ** 2,
    "braintools/SlayerGrad": lambda u: exp(-1 * mag(u)),
    "research/lsnn_triangle": lambda u: 0.3 * np.maximum(0, 1 - mag(u)),
    "research/sparch_boxcar": lambda u: 1.0 * ((u > -0.5) & (u <= 0.5)),
    "research/yin_gaussian": lambda u: 0.5 * normal(u, 0, 0.5),
    "research/yin_multi_gaussian": lambda u: 0.5 * three_normals(u, 0.5),
    "research/yin_linear": lambda u: 0.5 * np.maximum(1 - mag(u), 0),
    "research/yin_slayer": lambda u: 0.5 * exp(-5 * mag(u)),
    "research/yin_rect": lambda u: 0.5 * (mag(u) < 0.5),
    "research/brf_gaussian": lambda u: normal(u, 0, 1),
    "research/brf_linear": lambda u: np.maximum(1 - mag(u), 0),
    "research/brf_exponential": lambda u: exp(-mag(u)),
    "research/brf_double_gaussian": lambda u: 0.5 * (1.15 * normal(u, 0, 0.5) - 0.3 * normal(u, 0, 3)),
    "research/brf_multi_gaussian": lambda u: 0.5 * three_normals(u, 0.5),
    "research/se_adlif_slayer": lambda u: 0.4 * 5 / 2 * exp(-5 * mag(u)),
    "research/stbp_h1": lambda u: 1 / 1 * (mag(u) < 1 / 2),
    "research/stbp_h2": lambda u: np.maximum(sqrt(1) / 2 - 1 / 4 * mag(u), 0),
    "research/stbp_h3": lambda u: 1 / 1 * logistic(u / 1),
    "research/stbp_h4": lambda u: 1 / sqrt(2 * pi * 1) * exp(-(u**2) / (2 * 1)),
}
