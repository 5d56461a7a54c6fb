"""What every initialisation of the catalogue keeps: numbers of the passed generator, in float64, their spread."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import DenseLayer, Layer
from tests.catalogue.neuron_cases import make
from tests.entries import made

NAMES = tuple(catalogue.paths("init"))
every = pytest.mark.parametrize("name", NAMES)
SIZE = 40


def dense(inputs: int = 30, recurrence: str = "all_to_all") -> DenseLayer:
    """Return a layer of leaky neurons, the kind that every initialisation is defined for."""
    return DenseLayer("hidden0", inputs, SIZE, make("leaky", SIZE), recurrence=recurrence, bias=True)


def convolutional() -> ConvLayer:
    """Return a recurrent layer whose weights are convolutions."""
    options = {"kernel_size": 3, "stride": 1, "recurrence": "all_to_all", "recurrence_gradient": "full", "bias": True}
    return ConvLayer("hidden0", (2, 5, 5), 4, lambda size: make("leaky", size), **options)


def drawn(name: str, layer: Layer, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """Draw a layer's weights by a seed; return those into it and those among its neurons."""
    layer.reset_weights(made("init", name), torch.Generator().manual_seed(seed))
    recurrent = None if layer.recurrent is None else layer.recurrent.detach().clone()
    return layer.weight.detach().clone(), recurrent


@pytest.mark.one_in(8)
@every
def test_weights_are_those_of_the_generator(name: str) -> None:
    """Must match: the bytes of a second draw, no draw elsewhere. Must differ: another seed, and the next draw."""
    draws = torch.get_rng_state()
    (weight, recurrent), again, other = (drawn(name, dense(), seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), draws)
    assert recurrent is not None
    assert torch.equal(weight, again[0])
    assert torch.equal(recurrent, again[1])  # type: ignore[arg-type]
    assert (weight != other[0]).all()
    assert (recurrent != other[1]).all()
    generator, layer, init = torch.Generator().manual_seed(0), dense(), made("init", name)
    for expected in (True, False):
        layer.reset_weights(init, generator)
        assert torch.equal(layer.weight, weight) == expected


@pytest.mark.one_in(3)
@every
def test_weights_are_in_float64_whatever_torchs_default_is(name: str) -> None:
    """Expected: finite numbers that float32 cannot hold, equal under either default."""
    before = torch.get_default_dtype()
    expected, _ = drawn(name, dense())
    try:
        torch.set_default_dtype(torch.float64)
        found, _ = drawn(name, dense())
    finally:
        torch.set_default_dtype(before)
    assert expected.dtype == torch.float64
    assert torch.equal(found, expected)
    assert expected.isfinite().all()
    assert (expected != expected.float().double()).any()


@pytest.mark.one_in(5)
@every
def test_biases_stay_and_every_shape_is_filled_or_refused(name: str) -> None:
    """Expected: no weight is left as it was, of dense layers, of one-to-one recurrence and of convolutions."""
    for layer in (dense(), dense(recurrence="one_to_one"), dense(recurrence="none"), convolutional()):
        weights = [weight for weight in (layer.weight, layer.recurrent) if weight is not None]
        for weight in weights:
            weight.data.fill_(math.nan)
        try:
            drawn(name, layer)
        except InputError as error:
            message = str(error)
            assert message.startswith(f"init={name}: ")
            assert "; " in message
            assert "\n" not in message
            assert layer.recurrence != "all_to_all"
            continue
        assert all(weight.isfinite().all() for weight in weights)
        assert not layer.bias.any()  # type: ignore[union-attr]


@pytest.mark.one_in(3)
@every
def test_the_current_keeps_its_spread_whatever_the_number_of_inputs(name: str) -> None:
    """Expected: the declared mean within 5 standard errors, and a variance that falls as 1/n, within 5 %."""
    total = getattr(made("init", name), "hidden_sum", 0.0)  # of the weights into a neuron
    spreads = []
    for inputs in (300, 1200):
        weight, _ = drawn(name, dense(inputs))
        assert abs(weight.mean() - total / inputs) < 5 * weight.std() / weight.numel() ** 0.5
        spreads.append(weight.var() * inputs)
    assert spreads[0].item() == pytest.approx(spreads[1].item(), rel=0.05)


@every
def test_it_is_an_init_that_leaves_its_layer_alone(name: str) -> None:
    """Expected: the contract's class; neurons keep their numbers, and no gradient is recorded."""
    init = made("init", name)
    assert isinstance(init, Init)
    layer = dense()
    before = {key: value.clone() for key, value in layer.neuron.state_dict().items()}
    drawn(name, layer)
    assert all(torch.equal(value, before[key]) for key, value in layer.neuron.state_dict().items())
    assert layer.weight.grad_fn is None
    assert layer.weight.is_leaf
