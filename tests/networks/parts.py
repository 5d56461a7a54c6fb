"""Small networks in float64 whose layers all fire, and input for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.streams import generator
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from sgbench.networks.mlp import Mlp
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.surrogates.atan import Atan

STEPS, BATCH, CLASSES = 6, 3, 2
LENGTHS = torch.tensor([STEPS, STEPS - 3, 1])
FULL = torch.full((BATCH,), STEPS)


def leaky(features: int, threshold: float = 1.0) -> Neuron:
    """Leaky neurons."""
    surrogate = Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    options = {"threshold": threshold, "reset": "subtract", "reset_gradient": "detached"}
    return Leaky(surrogate, features, beta=0.8, learn_beta="none", learn_threshold="none", **options)


def readout(features: int) -> Neuron:
    """Leaky integrators."""
    return LeakyReadout(features, beta=0.9, learn_beta="none")


def given(seed: int = 1, gain: float = 2.0, engine: str = "auto") -> tuple[Any, ...]:
    """Initialisation, generator and engine."""
    return Kaiming(gain=gain, recurrent_gain=0.5), generator(seed, "initialisation"), Engine(engine)


def mlp(hidden: tuple[int, ...] = (7, 5), make: Callable[[int], Neuron] = leaky, **changes: Any) -> Mlp:
    """Of 6 inputs."""
    options = {"hidden": list(hidden), "recurrence": "none", "recurrence_gradient": "full", "bias": False}
    return Mlp(Provided(6, CLASSES, make, readout, *given()), **{**options, **changes})


def conv(
    image: tuple[int, int, int] = (2, 4, 6), engine: str = "auto", make: Callable[[int], Neuron] = leaky, **changes: Any
) -> Conv:
    """Two layers of 3 and 4 channels."""
    options = {"channels": [3, 4], "kernel_size": 3, "stride": 1, "pooling": "none", "pool_size": 2}
    options |= {"pooling_of": "currents", "recurrence": "none", "recurrence_gradient": "full", "bias": True}
    n_inputs = image[0] * image[1] * image[2]
    words = {**options, **changes}
    made = Conv(Provided(n_inputs, CLASSES, make, readout, *given(engine=engine)), image=list(image), **words)
    for layer in made.layers:
        if layer.bias is not None:
            layer.bias.data += torch.linspace(0, 0.3, layer.bias.numel())
    return made


def spikes(inputs: int, density: float = 0.4, seed: int = 5, steps: int = STEPS) -> Tensor:
    """Random input."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()
