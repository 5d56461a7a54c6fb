"""Estimate the gradient of an expected loss from drawn spikes, for networks with too many patterns to enumerate.

Legend: B samples, K draws a sample, P weights.
"""

from typing import NamedTuple

import torch

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.agreement import MEASURES, Gradients, agreement, compare, layer_gradients
from sgbench.diagnosis.enumeration import firing_layers
from sgbench.diagnosis.traces import on_the_reference
from sgbench.errors import require_number
from sgbench.firing.escape import Escape
from sgbench.networks.base import Network
from sgbench.records.diagnosis import Agreement
from sgbench.rules.base import Objective
from sgbench.rules.reinforce import Reinforce, repeat_batch

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
    network.zero_grad()
    for _ in rule.gradients(network, batch, objective):
        pass
    return layer_gradients(network)


def _surrogate_mean(network: Network, drawn: Batch, objective: Objective) -> Gradients:
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
