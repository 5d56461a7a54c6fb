"""The weights of a network: a function of the seed, of the spread of their formula, scaled by their gains."""

import pytest
import torch
from torch import Tensor

from fastspiking.signals.streams import generator
from sgbench.errors import InputError
from sgbench.inits.kaiming import Kaiming
from sgbench.inits.uniform import Uniform
from sgbench.networks.mlp import Mlp
from tests.messages import raises_naming
from tests.networks.small_mlp import every_recurrence, network


def named_weights(net: Mlp) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in net.named_parameters() if "neuron" not in name}


@every_recurrence
@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_weights_are_a_function_of_the_seed(recurrence, init):
    """Expected: same seed, same bytes; must differ: another seed, in every weight."""
    first, again, other = (
        named_weights(
            network([7, 5], recurrence=recurrence, init=init(gain=1.0, recurrent_gain=1.0), seed=seed, bias=False)
        )
        for seed in (3, 3, 4)
    )
    assert len(first) == (3 if recurrence == "none" else 5)
    for name, weight in first.items():
        assert weight.numpy().tobytes() == again[name].numpy().tobytes(), name
        assert (weight != other[name]).all(), name


@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_weights_of_both_precisions_are_the_same_numbers(init):
    """Expected: float32 weights are the float64 ones rounded once, whatever torch's default dtype is."""
    made = {}
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            net = network([7, 5], recurrence="all_to_all", init=init(gain=1.5, recurrent_gain=0.5), bias=False).to(
                dtype
            )
            made[dtype] = named_weights(net)
    finally:
        torch.set_default_dtype(before)
    for name, weight in made[torch.float64].items():
        assert weight.dtype == torch.float64
        assert torch.equal(made[torch.float32][name], weight.float()), name


@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_gains_scale_their_own_weights(init):
    """Expected: feed-forward weights times gain, recurrent ones times recurrent_gain, to one rounding each."""
    one = named_weights(network([7, 5], recurrence="all_to_all", init=init(gain=1.0, recurrent_gain=1.0)))
    scaled = named_weights(network([7, 5], recurrence="all_to_all", init=init(gain=4.0, recurrent_gain=0.5)))
    for name in one:
        if not name.endswith("bias"):
            factor = 0.5 if name.endswith("recurrent") else 4.0
            assert torch.equal(scaled[name], factor * one[name]), name


def test_weights_have_the_spread_of_their_formula():
    """Expected from the definitions: normal of deviation 1/sqrt n; uniform within 1/sqrt n, deviation 1/sqrt 3n.

    The deviation of 40 000 draws is within 5 of its standard errors: 5/sqrt(2 N) for a normal, less for a uniform.
    """
    n, rows = 100, 400
    bound = 5 / (2 * n * rows) ** 0.5
    for init, deviation in ((Kaiming, n**-0.5), (Uniform, (3 * n) ** -0.5)):
        weight = torch.empty(rows, n, dtype=torch.float64)
        init(gain=1.0, recurrent_gain=1.0).fill(weight, n, generator(0, "initialisation"), recurrent=False)
        assert weight.std().item() == pytest.approx(deviation, rel=bound)
        assert abs(weight.mean().item()) < 5 * deviation / (n * rows) ** 0.5
        assert (weight.abs().max() <= n**-0.5) == (init is Uniform)


def test_streams_of_one_seed_are_unrelated():
    """Must differ: weights drawn from another stream, and from the neighbouring seed."""
    draws = [
        torch.rand(8, generator=generator(seed, stream, *parts))
        for seed, stream, parts in [
            (0, "initialisation", ()),
            (0, "noise", ()),
            (0, "data_order", ()),
            (0, "encoding", ()),
            (1, "initialisation", ()),
            (0, "data_order", (0,)),
            (0, "data_order", (1,)),
        ]
    ]
    for position, one in enumerate(draws):
        assert all((one != other).all() for other in draws[:position])


@pytest.mark.parametrize("name", ["gain", "recurrent_gain"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "1"], ids=repr)
@pytest.mark.parametrize("init", [Kaiming, Uniform])
def test_bad_gain_is_refused_by_name(init, name, value):
    """Expected: an InputError that names the gain."""
    with raises_naming(InputError, f"init.{name}={value!r}", "[0, inf"):
        init(**{"gain": 1.0, "recurrent_gain": 1.0, name: value})
