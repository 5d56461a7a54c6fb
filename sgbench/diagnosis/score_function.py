"""Estimate the gradient of an expected loss from drawn spikes, for networks with too many patterns to enumerate.

Legend: B samples, K draws a sample, P weights.
"""

import math
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from fastspiking.choose import Engine
from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.agreement import MEASURES, Gradients, agreement, compare, layer_gradients
from sgbench.diagnosis.enumeration import compare_whole, expected_gradients, firing_layers
from sgbench.diagnosis.traces import on_the_reference
from sgbench.errors import InputError, require_number
from sgbench.firing.escape import Escape
from sgbench.losses.van_rossum import VanRossum
from sgbench.networks.base import Chain, DenseLayer, Network
from sgbench.neurons.leaky import Leaky
from sgbench.records.diagnosis import Agreement
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.rules.reinforce import Reinforce, repeat_batch
from sgbench.surrogates.base import Surrogate

DRAWS = 64  # spike patterns drawn for each sample, in two halves that are compared with each other
MOST_SAMPLES = 8  # samples of a batch that are used
LEAST_COSINE = 0.5  # least cosine between both halves of the draws; a noisier estimate is no reference


class Estimated(NamedTuple):
    """Holds two expected gradients of one network with the same noise, by layer [P]."""

    halves: tuple[Gradients, Gradients]  # estimates of the expected loss's gradient, from independent draws
    surrogate: Gradients  # mean of the surrogate gradient

    def reference(self, layer: str) -> torch.Tensor:
        """Return the estimate from all draws of one layer [P]."""
        return torch.stack([half[layer] for half in self.halves]).mean(0)

    def self_agreement(self, layer: str) -> float | None:
        return compare(*(half[layer] for half in self.halves))[0].get("cosine")


def estimated_gradients(
    network: Network,
    batch: Batch,
    objective: Objective,
    *,
    noise_slope: float,
    draws: int = DRAWS,
    generator: torch.Generator,
) -> Estimated:
    r"""Estimate the gradient of the expected loss by REINFORCE, and the expected surrogate gradient beside it.

    .. math:: \hat g = \frac{1}{BK} \sum_{b,j} (L_{bj} - c_{bj}) \nabla \log P(s_{bj}) + \nabla L_{bj}

    where every neuron fires with probability :math:`\sigma(k u)` at potential u above threshold. L is the loss of
    sample b under draw j and s its drawn spikes. The baseline c is the mean loss of the sample's other draws in the
    same half. Returns the estimate, from either half of the draws, and the mean surrogate gradient over all draws.

    `network`: of neurons that fire at most one spike a step; it is not modified. `batch`: of B samples. `objective`:
    the loss of each sample. `noise_slope`: k of the escape noise [1/threshold]. `draws`: K, at least 4. `generator`:
    seeds the spikes.

    Source: Williams 1992, Machine Learning 8.
    """
    noise = Escape(noise="logistic", noise_slope=require_number("--noise", noise_slope, low=1e-6, high=1e6))
    noisy = on_the_reference(network)
    for layer in firing_layers(noisy):
        seed = int(torch.randint(2**31, (), generator=generator))
        layer.neuron.surrogate.fire_by(noise)
        layer.neuron.surrogate.generator = torch.Generator().manual_seed(seed)
    rule = Reinforce(draws=draws // 2, baseline="draws")
    rule.begin(noisy, generator)
    rule.check(noisy, objective)
    halves = (_pass(noisy, rule, batch, objective), _pass(noisy, rule, batch, objective))
    return Estimated(halves, _surrogate_mean(noisy, repeat_batch(batch, draws), objective))


def _pass(network: Network, rule: Reinforce, batch: Batch, objective: Objective) -> Gradients:
    """Return the gradient that the rule computes on a batch."""
    network.zero_grad()
    for _ in rule.gradients(network, batch, objective):
        pass
    return layer_gradients(network)


def _surrogate_mean(network: Network, drawn: Batch, objective: Objective) -> Gradients:
    """Return the mean surrogate gradient over drawn spikes."""
    network.zero_grad()
    loss = objective.loss.each(network.unroll(drawn.x, drawn.lengths), drawn.target).mean()
    if loss.requires_grad:
        loss.backward()
    return layer_gradients(network)


def estimated(
    network: Network, batch: Batch, objective: Objective, *, noise_slope: float, generator: torch.Generator
) -> list[Agreement]:
    """Compare the expected surrogate gradient of each layer with the estimate of `estimated_gradients`.

    Only the first 8 samples are used. A layer has a reason in place of values if the estimates from both halves of
    the draws have a cosine below 0.5.
    """
    few = first_samples(batch, MOST_SAMPLES)
    estimate = estimated_gradients(network, few, objective, noise_slope=noise_slope, generator=generator)
    comparisons = []
    for name, gradient in estimate.surrogate.items():
        if not gradient.numel():
            continue
        line = agreement(name, "score_function", gradient, estimate.reference(name))
        cosine = estimate.self_agreement(name)
        if cosine is not None and cosine < LEAST_COSINE:
            line = _too_noisy(line, cosine)
        comparisons.append(line)
    return comparisons


def _too_noisy(line: Agreement, cosine: float) -> Agreement:
    reason = f"the estimate is too noisy: its two halves of {DRAWS // 2} draws have a cosine of {cosine:.2f}"
    return line.model_copy(update={**dict.fromkeys(MEASURES), "reasons": dict.fromkeys(MEASURES, reason)})


def first_samples(batch: Batch, most: int) -> Batch:
    return Batch(dense(batch.x)[:, :most], batch.target[:most], batch.lengths[:most], batch.position[:most])


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
    """Make a random network of two layers and a batch for it, so small that all spike trains can be enumerated."""
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
    """Make a leaky neuron whose reset passes no gradient and that learns nothing."""
    return Leaky(
        surrogate,
        beta=BETA,
        threshold=1.0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
