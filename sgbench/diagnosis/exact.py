"""Compare a surrogate's gradient with the exact one, on tiny networks whose spike patterns are all enumerated."""

import math
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.enumeration import compare_whole, expected_gradients
from sgbench.errors import InputError
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import Chain, DenseLayer
from sgbench.neurons.leaky import Leaky
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.surrogates.base import Surrogate

INPUTS, HIDDEN, OUTPUTS, STEPS = 4, 2, 1, 4
BETA, KERNEL_DECAY = 0.8, 0.7
NETWORKS = 20
TARGET_SEED = 100  # seed of the first network's target; each next network has the next seed


class Exact(NamedTuple):
    """Compares a surrogate's gradient with the exact one over many tiny networks."""

    cosine: float  # median over networks
    cosine_low: float  # 10 % quantile over networks
    norm_ratio: float  # of the surrogate's gradient by the exact one, median over networks
    sign_agreement: float  # share of weights with equal signs, mean over networks
    networks: int  # count of networks in which neither gradient is zero
    cosines: tuple[float, ...]  # one for each such network, from the least to the largest
    norm_ratios: tuple[float, ...]  # from the least to the largest


def exact(make_surrogate: Callable[[], Surrogate], *, noise_slope: float) -> Exact:
    r"""Compare a surrogate's gradient with the exact gradient of the expected loss over 20 tiny networks.

    Each network has 4 inputs, 2 leaky neurons and 1 leaky output neuron over 4 steps, drawn weights, and the van Rossum
    distance to a drawn spike train as its loss. All neurons fire with probability :math:`\sigma(k (u - \theta))` at
    potential u and threshold :math:`\theta`. `make_surrogate`: returns a new surrogate for each layer; `noise_slope`: k
    [1/threshold].

    Source: Gygax & Zenke 2025, Neural Computation 37(5), for the question; the networks are our own.
    """
    comparisons = [_compare_network(seed, make_surrogate, noise_slope) for seed in range(NETWORKS)]
    cosines = sorted(comparison["cosine"] for comparison in comparisons if "cosine" in comparison)
    if not cosines:
        raise InputError(f"{type(make_surrogate()).__name__} gives no gradient in any network; use surrogate=sigmoid")
    ratios = sorted(comparison["norm_ratio"] for comparison in comparisons)
    return Exact(
        cosine=statistics.median_low(cosines),
        cosine_low=float(torch.tensor(cosines, dtype=torch.float64).quantile(0.1)),
        norm_ratio=statistics.median_low(ratios),
        sign_agreement=statistics.fmean(comparison["sign_agreement"] for comparison in comparisons),
        networks=len(cosines),
        cosines=tuple(cosines),
        norm_ratios=tuple(ratios),
    )


def _compare_network(seed: int, make_surrogate: Callable[[], Surrogate], noise_slope: float) -> dict[str, float]:
    """Compare both gradients of one network; the result maps measures of `agreement.compare` to values."""
    network, batch = tiny_network(seed, make_surrogate)
    decay_s = -1e-3 / math.log(KERNEL_DECAY)
    objective = Objective(VanRossum(tau_decay_s=decay_s, tau_rise_s=0.0, dt_s=1e-3), NoPenalty())
    return compare_whole(expected_gradients(network, batch, objective, noise_slope=noise_slope))


def tiny_network(seed: int, make_surrogate: Callable[[], Surrogate]) -> tuple[Chain, Batch]:
    drawn: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
    x = (torch.rand(STEPS, INPUTS, **drawn) < 0.5).double()  # noqa: PLR2004 - half of them
    into = torch.randn(HIDDEN, INPUTS, **drawn) * 1.2
    out = torch.randn(OUTPUTS, HIDDEN, **drawn) * 1.8
    drawn["generator"] = torch.Generator().manual_seed(TARGET_SEED + seed)
    wanted = (torch.rand(STEPS, OUTPUTS, **drawn) < 0.4).double()  # noqa: PLR2004 - two spikes in five steps
    network = Chain()
    network.layers = nn.ModuleList(
        DenseLayer(name, weight.shape[1], weight.shape[0], _leaky(make_surrogate()))
        for name, weight in (("hidden0", into), ("readout", out))
    )
    network.engine = Engine("reference")
    with torch.no_grad():
        for layer, weight in zip(network.layers, (into, out), strict=True):
            layer.weight.copy_(weight)  # type: ignore[operator, union-attr]
    return network, Batch(x[:, None], wanted[None], torch.tensor([STEPS]), torch.tensor([0]))


def _leaky(surrogate: Surrogate) -> Leaky:
    return Leaky(
        surrogate,
        beta=BETA,
        threshold=1.0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
