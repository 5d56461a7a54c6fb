"""Weights that are not finite stop a network with the layer's name, and bad values are refused by name."""

import pytest
import torch

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from fastspiking.signals.trajectory import Trajectory
from sgbench.errors import InputError, NonFiniteError
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided, check_finite
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky_readout import LeakyReadout
from tests.messages import raises_naming
from tests.networks.small_mlp import (
    KINDS,
    N_IN,
    N_OUT,
    every_depth,
    every_recurrence,
    full_lengths,
    inputs,
    network,
    neurons,
)

# --- values that are not finite


def run_poisoned(net: Mlp, where: tuple[int, str], value: float) -> Trajectory:
    """Unroll after one weight of one layer has been overwritten."""
    position, name = where
    weight = getattr(net.layers[position], name).data
    weight[(0,) * weight.dim()] = value
    return net.unroll(inputs(), full_lengths())


POISONED = [(0, "weight"), (1, "weight"), (2, "weight"), (0, "recurrent"), (1, "recurrent"), (1, "bias")]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("where", POISONED, ids=str)
@pytest.mark.parametrize("recurrence", ["one_to_one", "all_to_all"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_poisoned_weight_is_found_in_its_layer(where, recurrence, kind, value):
    """Expected: the name of the first layer that is not finite, although the loss may stay finite."""
    net = network([7, 5], recurrence=recurrence, kind=kind)
    trajectory = run_poisoned(net, where, value)
    expected = ["hidden0", "hidden1", "readout"][where[0]]
    with raises_naming(NonFiniteError, f"'{expected}'", "membrane potential"):
        check_finite(net, trajectory)


def test_nan_hides_behind_a_finite_loss_and_is_found():
    """Expected: NaN is not above threshold, so a poisoned neuron is silent and everything after it finite."""
    net = network([7, 5])
    trajectory = run_poisoned(net, (0, "weight"), float("nan"))
    assert torch.isfinite(trajectory.output).all()
    with pytest.raises(NonFiniteError, match="hidden0"):
        check_finite(net, trajectory)


@pytest.mark.one_in(4)
@every_depth
@every_recurrence
@pytest.mark.parametrize("kind", KINDS)
def test_finite_network_passes(hidden, recurrence, kind):
    """Must not be found: an ordinary run, and one with a silent layer and very large finite potentials."""
    net = network(hidden, recurrence=recurrence, kind=kind)
    check_finite(net, net.unroll(inputs(), full_lengths()))
    check_finite(net, run_poisoned(net, (0, "weight"), -1e300))


# --- refusals by name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": []}, r"network\.hidden=\[\]: a list of layer sizes"),
        ({"hidden": "64"}, r"network\.hidden='64': a list of layer sizes"),
        ({"hidden": 64}, r"network\.hidden=64: a list of layer sizes"),
        ({"hidden": [8, 0]}, r"network\.hidden=0: a whole number of at least 1"),
        ({"hidden": [8.0]}, r"network\.hidden=8\.0: a whole number of at least 1"),
        ({"recurrence": "dense"}, r"network\.recurrence='dense': one of none, one_to_one, all_to_all"),
        ({"recurrence_gradient": "half"}, r"network\.recurrence_gradient='half': one of full, cut"),
        ({"bias": "yes"}, r"network\.bias='yes': true or false"),
    ],
    ids=str,
)
def test_bad_values_are_refused_by_name(changes, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    options = {"hidden": [4], "recurrence": "none", "recurrence_gradient": "full", "bias": False, **changes}
    with pytest.raises(InputError, match=message):
        Mlp(
            Provided(
                N_IN,
                N_OUT,
                neurons("leaky"),
                lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
                Kaiming(gain=1.0, recurrent_gain=1.0),
                generator(0, "initialisation"),
                Engine("auto"),
            ),
            **options,
        )


def test_unknown_engine_is_refused_by_name():
    """Expected: an InputError with the nearest name."""
    with raises_naming(InputError, "'referense'", "'reference'"):
        Engine("referense")
