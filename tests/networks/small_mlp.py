"""A small network of dense layers in float64 whose layers all fire, and input for it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from sgbench.inits.base import Init
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import RECURRENCES, Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.surrogates.atan import Atan

STEPS, BATCH, N_IN, N_OUT = 30, 4, 6, 3
DEPTHS = ([7], [7, 5], [7, 5, 4])
KINDS = ("leaky", "synaptic")
every_depth = pytest.mark.parametrize("hidden", DEPTHS, ids=len)
every_recurrence = pytest.mark.parametrize("recurrence", RECURRENCES)


def neurons(kind: str) -> Callable[[int], Neuron]:
    """A maker of layers with a decay per neuron."""
    surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    options = {"beta": 0.8, "threshold": 1.0, "reset": "subtract", "reset_gradient": "attached"}
    options |= {"learn_threshold": "none"}
    if kind == "leaky":
        return lambda features: Leaky(surrogate, features, **options, learn_beta="per_neuron")
    options |= {"alpha": 0.6, "learn_alpha": "shared", "learn_beta": "none"}
    return lambda features: Synaptic(surrogate, features, **options)


def network(
    hidden: list[int],
    *,
    recurrence: str = "none",
    kind: str = "leaky",
    seed: int = 3,
    init: Init | None = None,
    bias: bool = True,
) -> Mlp:
    """A small network in float64 whose layers all fire."""
    made = Mlp(
        Provided(
            N_IN,
            N_OUT,
            neurons(kind),
            lambda features: LeakyReadout(features, beta=0.9, learn_beta="none"),
            init or Kaiming(gain=2.0, recurrent_gain=0.5),
            generator(seed, "initialisation"),
            Engine("auto"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient="full",
        bias=bias,
    )
    if bias:
        for position, layer in enumerate(made.layers):
            layer.bias.data += torch.linspace(0, 0.3, layer.bias.numel()) + 0.05 * position
    return made


def inputs(steps: int = STEPS, seed: int = 5) -> Tensor:
    """Random input spikes, two channels in five."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, BATCH, N_IN, generator=random, dtype=torch.float64) < 0.4).double()


def full_lengths(steps: int = STEPS) -> Tensor:
    """Every sample lasts all steps."""
    return torch.full((BATCH,), steps)
