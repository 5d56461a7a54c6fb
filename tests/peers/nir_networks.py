"""Networks that NIR files can hold, input for them, and their spikes over 200 steps.

Legend: T steps, B batch, N neurons.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sgbench.engine.choose import Engine
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Network
from sgbench.networks.conv import Conv
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.signals.trajectory import SPIKES
from sgbench.surrogates.atan import Atan

STEPS, BATCH, INPUTS, CLASSES, DT_S = 200, 3, 6, 4, 0.001
NOTHING = {"learn_threshold": "none"}


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def leaky(features: int, **changes: Any) -> Leaky:
    options = {
        "beta": 0.9,
        "input_gain": "one",
        "threshold": 1.0,
        "reset": "zero",
        "reset_gradient": "detached",
    }
    return Leaky(surrogate(), features, **{**options, "learn_beta": "none", **NOTHING, **changes})


def spread(features: int) -> Leaky:
    """Decays and thresholds of each neuron, decays learnt: stored as logits."""
    return leaky(features, beta=[0.7, 0.97], threshold=[0.8, 1.2], learn_beta="per_neuron")


def integrator(features: int) -> Leaky:
    return leaky(features, beta=1.0)


def half_gain(features: int) -> Leaky:
    return leaky(features, beta=[0.8, 0.95], input_gain="one_minus_beta", threshold=0.1)


def synaptic(features: int, **changes: Any) -> Synaptic:
    options = {
        "alpha": 0.8,
        "beta": [0.85, 0.95],
        "threshold": 1.0,
        "reset": "zero",
        "reset_gradient": "detached",
    }
    options |= {"learn_alpha": "none", "learn_beta": "none"}
    return Synaptic(surrogate(), features, **{**options, **NOTHING, **changes})


def readout(features: int, beta: float = 0.9) -> LeakyReadout:
    return LeakyReadout(features, beta=beta, input_gain="one", learn_beta="none")


def given() -> tuple:
    return Kaiming(gain=2.0, recurrent_gain=0.5), torch.Generator().manual_seed(1), Engine("reference")


def mlp(make: Any, last: Any = readout, recurrence: str = "none", *, bias: bool = True) -> Mlp:
    options = {"hidden": [8, 7], "recurrence": recurrence, "recurrence_gradient": "full", "bias": bias}
    net = Mlp(INPUTS, CLASSES, make, last, *given(), **options)
    return with_biases(net)


def conv(make: Any, recurrence: str = "none", *, stride: int = 2) -> Conv:
    options = {"channels": [3, 4], "kernel_size": 3, "stride": stride, "recurrence": recurrence}
    options |= {"pooling": "none", "pooling_of": "currents", "pool_size": 2}
    net = Conv(
        2 * 5 * 6,
        CLASSES,
        make,
        readout,
        *given(),
        image=[2, 5, 6],
        **options,
        recurrence_gradient="full",
        bias=True,
    )
    return with_biases(net)


def with_biases(net: Any) -> Any:
    for layer in net.layers:
        if layer.bias is not None:
            layer.bias.data = torch.linspace(-0.1, 0.2, len(layer.bias), dtype=torch.float64)
    return net


def spikes(inputs: int, density: float = 0.3) -> Tensor:
    random = torch.Generator().manual_seed(5)
    return (torch.rand(STEPS, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()


def unrolled(net: Network, x: Tensor) -> tuple[list[Tensor], Tensor]:
    net.engine = Engine("reference")
    with torch.no_grad():
        found = net.unroll(
            x.to(next(net.parameters()).dtype), torch.full((BATCH,), STEPS), keep=frozenset({SPIKES})
        )
    return list(found.spikes), found.output


NETWORKS = {
    "leaky": lambda: mlp(leaky),
    "leaky per neuron, learnt": lambda: mlp(spread),
    "gain below 1": lambda: mlp(half_gain),
    "integrate and fire": lambda: mlp(integrator, lambda n: readout(n, 1.0)),
    "synaptic": lambda: mlp(synaptic),
    "all to all": lambda: mlp(spread, recurrence="all_to_all"),
    "one to one": lambda: mlp(synaptic, recurrence="one_to_one"),
    "spiking readout, no bias": lambda: mlp(lambda n: leaky(n, threshold=0.5), leaky, bias=False),
    "convolutions": lambda: conv(leaky),
    "convolutions among neurons": lambda: conv(leaky, "all_to_all"),
    "convolutions, one to one": lambda: conv(integrator, "one_to_one", stride=1),
}
