"""Networks of leaky neurons for NIR files to hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.surrogates.atan import Atan

STEPS, BATCH, INPUTS, CLASSES, DT_S = 200, 3, 6, 4, 0.001
NOTHING = {"learn_threshold": "none"}


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def leaky(features: int, **changes: Any) -> Leaky:
    options = {"beta": 0.9, "input_gain": "one", "threshold": 1.0, "reset": "zero", "reset_gradient": "detached"}
    return Leaky(surrogate(), features, **{**options, "learn_beta": "none", **NOTHING, **changes})


def synaptic(features: int, **changes: Any) -> Synaptic:
    options = {"alpha": 0.8, "beta": [0.85, 0.95], "threshold": 1.0, "reset": "zero", "reset_gradient": "detached"}
    options |= {"learn_alpha": "none", "learn_beta": "none"}
    return Synaptic(surrogate(), features, **{**options, **NOTHING, **changes})


def readout(features: int, beta: float = 0.9) -> LeakyReadout:
    return LeakyReadout(features, beta=beta, input_gain="one", learn_beta="none")


def given() -> tuple:
    return Kaiming(gain=2.0, recurrent_gain=0.5), torch.Generator().manual_seed(1), Engine("reference")


def mlp(make: Any, last: Any = readout, recurrence: str = "none", *, bias: bool = True) -> Mlp:
    options = {"hidden": [8, 7], "recurrence": recurrence, "recurrence_gradient": "full", "bias": bias}
    net = Mlp(Provided(INPUTS, CLASSES, make, last, *given()), **options)
    return with_biases(net)


def with_biases(net: Any) -> Any:
    for layer in net.layers:
        if layer.bias is not None:
            layer.bias.data = torch.linspace(-0.1, 0.2, len(layer.bias), dtype=torch.float64)
    return net


def spikes(inputs: int, density: float = 0.3) -> Tensor:
    random = torch.Generator().manual_seed(5)
    return (torch.rand(STEPS, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()
