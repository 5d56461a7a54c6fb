"""What every normalisation of the catalogue keeps: statistics of valid steps in training, fixed numbers behind it.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.networks.base import Network
from sgbench.training.build import construct
from tests.entries import made, spec_with
from tests.networks.parts import FULL, LENGTHS, STEPS, conv, mlp, spikes

NAMES = tuple(catalogue.paths("normalisation"))
every = pytest.mark.parametrize("name", NAMES)
every_network = pytest.mark.parametrize("make", [mlp, conv])
INPUTS = {mlp: 6, conv: 48}


def normalising(name: str, make: Any = mlp) -> Network:
    """Return a network in training whose hidden currents are normalised."""
    network: Network = make()
    network.normalise(made("normalisation", name))
    return network.train()


def buffers(network: Network) -> dict[str, Tensor]:
    """Return the running statistics."""
    return {key: value.clone() for key, value in network.named_buffers()}


def trained(name: str, make: Any = mlp) -> Network:
    """Return such a network behind some batches, for evaluation."""
    network = normalising(name, make)
    for seed in range(5):
        network.unroll(spikes(INPUTS[make], seed=seed), FULL)
    return network.eval()


@pytest.mark.one_in(8)
@every_network
@every
def test_training_sees_valid_steps_alone(name: str, make: Any) -> None:
    """Expected: equal bytes of outputs before the ends and of statistics, with other input behind the ends."""
    x = spikes(INPUTS[make])
    valid = torch.arange(STEPS)[:, None] < LENGTHS
    other = torch.where(valid[..., None], x, 1 - x)
    first, second = normalising(name, make), normalising(name, make)
    one, two = (network.unroll(given, LENGTHS).output for network, given in ((first, x), (second, other)))
    torch.testing.assert_close(two[valid], one[valid], rtol=1e-11, atol=1e-11)
    before = buffers(normalising(name, make))
    for key, value in buffers(first).items():
        torch.testing.assert_close(buffers(second)[key], value, rtol=1e-11, atol=1e-11)
        assert not torch.equal(value, before[key]), key
    assert bool(buffers(first)) != made("normalisation", name).neutral


@pytest.mark.one_in(5)
@every_network
@every
def test_evaluation_is_a_function_of_one_sample(name: str, make: Any) -> None:
    """Expected: each sample alone as in its batch; statistics keep their bytes; other numbers than in training."""
    network, x = trained(name, make), spikes(INPUTS[make], seed=9)
    before = buffers(network)
    together = network.unroll(x, FULL).output
    for sample in range(x.shape[1]):
        alone = network.unroll(x[:, sample : sample + 1], FULL[:1]).output
        torch.testing.assert_close(alone[:, 0], together[:, sample], rtol=1e-11, atol=1e-11)
    assert all(torch.equal(value, before[key]) for key, value in buffers(network).items())
    training = network.train().unroll(x, FULL).output
    assert torch.equal(training, together) == made("normalisation", name).neutral


@pytest.mark.one_in(3)
@every_network
@every
def test_order_of_samples_does_not_matter_in_training(name: str, make: Any) -> None:
    """Expected: turned outputs of a turned batch, and equal statistics, to the rounding of another order."""
    x = spikes(INPUTS[make])
    first, second = normalising(name, make), normalising(name, make)
    straight = first.unroll(x, LENGTHS).output
    turned = second.unroll(x.flip(1), LENGTHS.flip(0)).output.flip(1)
    valid = torch.arange(STEPS)[:, None] < LENGTHS
    torch.testing.assert_close(turned[valid], straight[valid], rtol=1e-9, atol=1e-9)
    for key, value in buffers(first).items():
        torch.testing.assert_close(buffers(second)[key], value, rtol=1e-9, atol=1e-9)


@every
def test_the_scale_of_weights_does_not_matter_in_training(name: str) -> None:
    """Expected: nearly equal currents of weights a thousand times as large, unless neutral; epsilon remains."""
    network, larger = normalising(name), normalising(name)
    x = spikes(6)
    for one, factor in ((network, 1e3), (larger, 1e6)):
        one.layers[0].weight.data *= factor
    currents = [one.layers[0].current(x) for one in (network, larger)]
    if made("normalisation", name).neutral:
        torch.testing.assert_close(currents[1], 1e3 * currents[0])
        return
    torch.testing.assert_close(currents[1], currents[0], rtol=1e-6, atol=1e-6)


@pytest.mark.one_in(3)
@every_network
@every
def test_weights_fold_where_it_says(name: str, make: Any) -> None:
    """Expected: once trained, weights and bias of `weights_in_use` make the normaliser's current of any input."""
    layer = trained(name, make).layers[0]
    normaliser: Any = layer.normaliser
    if normaliser is None or not normaliser.folds:
        return
    x = spikes(INPUTS[make], seed=9)
    folded = layer.current(x)
    layer.normaliser = None
    expected = normaliser(layer.current(x), None)
    torch.testing.assert_close(folded, expected, rtol=1e-10, atol=1e-10)


@every
def test_draws_nothing_and_learns_from_the_start(name: str) -> None:
    """Expected: equal bytes of two networks, no draw; a slope in each number that it adds."""
    draws = torch.get_rng_state()
    one, other = normalising(name), normalising(name)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    added = [weight for key, weight in one.named_parameters() if "normaliser" in key]
    output = one.unroll(spikes(6), FULL).output
    functional = (output * torch.arange(output.numel()).view_as(output).cos()).sum()
    for slope in torch.autograd.grad(functional, added) if added else ():
        assert slope.any()
    assert torch.equal(torch.get_rng_state(), draws)


@every
def test_the_protocols_steps_are_enough(name: str) -> None:
    """Expected: a `steps` of the file is the protocol's, so that its sequences fit."""
    spec = spec_with({"normalisation": name}, {"protocol.steps": STEPS})
    values = spec.method.parameters["normalisation"]
    assert values.get("steps", STEPS) == STEPS
    network = mlp()
    network.normalise(construct("normalisation", spec.targets["normalisation"], values))
    assert network.train().unroll(spikes(6), FULL).output.isfinite().all()
