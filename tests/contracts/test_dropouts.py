"""What every dropout of the catalogue keeps: nothing in evaluation, its own draws, an expectation of one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import SPIKES
from sgbench.composition import catalogue
from sgbench.dropouts.base import Mask, masks
from sgbench.networks.base import Network
from tests.entries import made
from tests.networks.parts import FULL, LENGTHS, conv, mlp, spikes

NAMES = tuple(catalogue.paths("dropout"))
every = pytest.mark.parametrize("name", NAMES)
INPUTS = {mlp: 6, conv: 48}


def dropping(name: str, make: object = mlp, seed: int = 0) -> Network:
    """Return a network in training whose masks draw by a seed."""
    network: Network = make()  # type: ignore[operator]
    network.drop(made("dropout", name))
    for mask in masks(network):
        mask.generator = torch.Generator().manual_seed(seed)
    return network.train()


def output(network: Network, x: Tensor, lengths: Tensor = FULL) -> Tensor:
    """Return the readout's outputs."""
    return network.unroll(x, lengths).output


@every
@pytest.mark.parametrize("make", INPUTS)
def test_evaluation_is_that_of_a_network_without_it(name: str, make: object) -> None:
    """Expected: the bytes of the same weights without dropout; and in training, unless it is neutral, others."""
    x = spikes(INPUTS[make])  # type: ignore[index]
    plain = output(make().eval(), x)  # type: ignore[operator]
    assert torch.equal(output(dropping(name, make).eval(), x), plain)
    assert torch.equal(output(dropping(name, make), x), plain) == made("dropout", name).neutral


@every
def test_draws_are_those_of_its_own_generator(name: str) -> None:
    """Expected: equal bytes of equal seeds, from no other generator; other masks in the next pass."""
    draws, x = torch.get_rng_state(), spikes(6)
    network = dropping(name)
    first, following = output(network, x), output(network, x)
    assert torch.equal(output(dropping(name), x), first)
    assert torch.equal(torch.get_rng_state(), draws)
    assert torch.equal(following, first) == made("dropout", name).neutral


@every
def test_the_expectation_is_kept(name: str) -> None:
    """Expected: ones come through as numbers of mean 1, within 5 standard errors of independent neurons."""
    mask = made("dropout", name).make()
    if mask is None:
        assert made("dropout", name).neutral
        return
    assert isinstance(mask, Mask)
    mask.generator = torch.Generator().manual_seed(0)
    left = mask.train()(torch.ones(1, 500, 200, dtype=torch.float64))
    assert left.std() > 0
    assert (left.mean() - 1).abs() < 5 * left.std() / left.numel() ** 0.5
    assert torch.equal(mask.eval()(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


@every
def test_hidden_spikes_are_kept_whole_and_lengths_do_not_matter(name: str) -> None:
    """Expected: the first hidden layer sends what it would without; outputs before an end stay."""
    x = spikes(6)
    whole = mlp().unroll(x, FULL, keep=frozenset({SPIKES})).spikes[0]
    found = dropping(name).unroll(x, FULL, keep=frozenset({SPIKES})).spikes[0]
    assert torch.equal(found, whole)
    full, short = (output(dropping(name), x, lengths) for lengths in (FULL, LENGTHS))
    valid = torch.arange(len(x))[:, None] < LENGTHS
    assert torch.equal(full[valid], short[valid])


@every
def test_it_has_nothing_that_learns(name: str) -> None:
    """Expected: the parameters and the weights file of a network without it."""
    plain = mlp().state_dict()
    found = dropping(name).state_dict()
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[key], plain[key]) for key in plain)
