r"""The exact gradient of the expected loss of stochastic neurons, by enumeration of all spike patterns.

A neuron fires with the probability :math:`\sigma(k u)` of its potential u above threshold (escape noise).
The expected loss :math:`\sum_z P(z) L(z)` over all patterns z of all neurons and steps is smooth in the weights;
its gradient is what a surrogate gradient estimates.

Legend: T steps, Z patterns, N neurons, P weights.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, Trajectory
from sgbench.diagnosis.agreement import Gradients, agreements, compare, layer_gradients
from sgbench.diagnosis.relaxed import GivenSpikes
from sgbench.diagnosis.traces import on_the_reference
from sgbench.errors import InputError, require_number
from sgbench.firing.base import Chance
from sgbench.firing.escape import Escape
from sgbench.networks.base import Network
from sgbench.records.diagnosis import Agreement
from sgbench.rules.base import Objective

MOST_SPIKES = 16  # possible spikes (neurons times steps) up to which patterns are enumerated: 65,536 of them


class Expected(NamedTuple):
    """Holds two gradients of one network, by layer [P]."""

    exact: Gradients  # gradient of the expected loss
    surrogate: Gradients  # expectation of the surrogate gradient


def expected_gradients(network: Network, batch: Batch, objective: Objective, *, noise_slope: float) -> Expected:
    """Compute the gradient of the expected loss, and the expected surrogate gradient, from all spike patterns.

    `noise_slope`: k of the escape noise [1/threshold].
    """
    noise = Escape(noise="logistic", noise_slope=require_number("--noise", noise_slope, low=1e-6, high=1e6))
    firing = firing_layers(network)
    steps = batch.x.shape[0]
    bits = steps * sum(layer.neurons for layer in firing)
    if bits > MOST_SPIKES:
        raise InputError(
            f"{bits} neurons x steps may each spike or not; up to {MOST_SPIKES} are enumerated, so take a network "
            f"of fewer neurons or steps, e.g. sgbench diagnose exact"
        )
    patterns = torch.tensor(list(itertools.product((0.0, 1.0), repeat=bits)), dtype=torch.float64)
    patterns = patterns.view(len(patterns), steps, -1).transpose(0, 1)  # [T, Z, all neurons]
    by_sample = [_of_sample(network, sample, objective, patterns, noise) for sample in _samples(batch)]
    return Expected(
        exact=_mean([expected.exact for expected in by_sample]),
        surrogate=_mean([expected.surrogate for expected in by_sample]),
    )


def _mean(by_sample: Sequence[Gradients]) -> Gradients:
    return {name: sum(of[name] for of in by_sample) / len(by_sample) for name in by_sample[0]}  # type: ignore[misc]


def enumerated(network: Network, batch: Batch, objective: Objective, *, noise_slope: float) -> list[Agreement]:
    """Compare the expected surrogate gradient of each layer with the exact one; see `expected_gradients`."""
    expected = expected_gradients(network, batch, objective, noise_slope=noise_slope)
    return agreements("enumeration", expected.surrogate, expected.exact)


def compare_whole(expected: Expected) -> dict[str, float]:
    """Compare the two gradients, each a vector of all layers, by the measures of `agreement.compare`."""
    exact, surrogate = (torch.cat(list(tensors.values())) for tensors in (expected.exact, expected.surrogate))
    return compare(surrogate, exact)[0]


def firing_layers(network: Network) -> list[Any]:
    """List the layers that send spikes; a readout that does not fire is left out."""
    layers: list[Any] = [layer for layer in network.layers if layer.neuron.output == "binary"]  # type: ignore[union-attr]
    for layer in layers:
        surrogate = getattr(layer.neuron, "surrogate", None)
        if surrogate is None or surrogate.output != "binary" or layer.neuron.sees_all_steps:
            raise InputError(f"layer '{layer.name}': only neurons that send a 0 or a 1 step by step are enumerated")
    return layers


def _samples(batch: Batch) -> list[Batch]:
    """Split a batch into batches of one sample."""
    x = dense(batch.x)
    return [
        Batch(x[:, [b]], batch.target[[b]], batch.lengths[[b]], batch.position[[b]]) for b in range(len(batch.lengths))
    ]


def _of_sample(network: Network, sample: Batch, objective: Objective, patterns: Tensor, noise: Chance) -> Expected:
    """Compute both gradients of one sample over the spike patterns [T, Z, neurons of all firing layers]."""
    count = patterns.shape[1]
    # The log probability of each pattern depends on the weights through the potentials; the spikes are constants.
    copied, trajectory = _run_with_spikes(network, sample, patterns, passes=False)
    log_probability = torch.zeros(count, dtype=torch.float64)
    firing = [(index, layer) for index, layer in enumerate(copied.layers) if layer in firing_layers(copied)]
    for (index, layer), spikes in zip(firing, _by_layer(copied, patterns), strict=True):
        u = trajectory.u[index].double()
        surrogate: Any = layer.neuron.surrogate  # type: ignore[union-attr]
        log_probability = log_probability + noise.log_probability(spikes, u, surrogate).sum((0, 2))
    probability = log_probability.exp()
    losses = _losses(objective, trajectory, sample)
    (probability * losses).sum().backward()
    exact = layer_gradients(copied)
    # The same patterns again, with the surrogate as the derivative of each spike.
    copied, trajectory = _run_with_spikes(network, sample, patterns, passes=True)
    weighted = (probability.detach() * _losses(objective, trajectory, sample)).sum()
    if weighted.requires_grad:
        weighted.backward()
    return Expected(exact, layer_gradients(copied))


def _run_with_spikes(network: Network, sample: Batch, patterns: Tensor, *, passes: bool) -> tuple[Network, Trajectory]:
    """Run a copy of the network over one sample with every spike pattern in place of its own spikes.

    The patterns [T, Z, neurons of all firing layers] lie on the batch axis of the returned trajectory. `passes` is
    whether gradients pass through spikes by the surrogate's slope.
    """
    copied = on_the_reference(network)
    for layer, spikes in zip(firing_layers(copied), _by_layer(copied, patterns), strict=True):
        layer.neuron.surrogate.firing = GivenSpikes(spikes, passes=passes)
    count = patterns.shape[1]
    x = dense(sample.x).expand(-1, count, *dense(sample.x).shape[2:])
    lengths = sample.lengths.expand(count)
    return copied, copied.unroll(x, lengths, keep=frozenset({SPIKES, POTENTIAL}))


def _by_layer(network: Network, patterns: Tensor) -> Sequence[Tensor]:
    """Split spike patterns into those of each firing layer [T, Z, N]."""
    return patterns.split([layer.neurons for layer in firing_layers(network)], dim=2)


def _losses(objective: Objective, trajectory: Trajectory, sample: Batch) -> Tensor:
    """Compute the loss of each spike pattern [Z]; patterns lie on the batch axis of the trajectory."""

    def loss_of_pattern(output: Tensor, *spikes: Tensor) -> Tensor:
        single = Trajectory(
            output[:, None],
            sample.lengths,
            spikes=tuple(spikes_of_layer[:, None] for spikes_of_layer in spikes),
            u=(),
            state=(),
        )
        return objective.whole(single, sample.target)

    return torch.func.vmap(loss_of_pattern, in_dims=1)(trajectory.output, *trajectory.spikes).double()
