"""Convolutional and delayed networks, neurons that take several currents, and input for them."""

from __future__ import annotations

import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.conv import Conv
from sgbench.networks.delayed import Delayed
from sgbench.neurons.dh_lif import DhLif
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.lstm import Slstm
from sgbench.surrogates.atan import Atan

STEPS, BATCH, CLASSES = 12, 3, 2
LENGTHS = torch.tensor([STEPS, STEPS - 3, 1])


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def leaky(features: int) -> Leaky:
    return Leaky(
        surrogate(),
        features,
        beta=0.75,
        input_gain="one",
        threshold=1.0,
        reset="subtract",
        reset_gradient="attached",
        learn_beta="per_neuron",
        learn_threshold="none",
    )


def slstm(features: int, threshold: float = 0.125) -> Slstm:
    options = {"threshold": threshold, "forget_bias": 0.0, "reset": "none", "reset_gradient": "detached"}
    return Slstm(surrogate(), features, **options, learn_threshold="none")


def dh_lif(features: int) -> DhLif:
    options = {
        "branches": 3,
        "inputs": "split",
        "alpha": 0.5,
        "fastest": 0.1,
        "slowest": 0.5,
        "input_gain": "one_minus_decay",
        "threshold": 0.5,
    }
    options |= {"reset": "subtract", "reset_gradient": "detached", "learn_alpha": "none"}
    return DhLif(surrogate(), features, **options, learn_branches="none", learn_threshold="none")


def readout(features: int) -> LeakyReadout:
    return LeakyReadout(features, beta=0.9, input_gain="one", learn_beta="none")


def given(seed: int = 1) -> tuple:
    """What the builder gives besides sizes and neurons."""
    random = torch.Generator().manual_seed(seed)
    return Kaiming(gain=3.0, recurrent_gain=1.0), random, Engine("auto")


def conv(make: object = leaky, *, image: list[int] | None = None, **changes: object) -> Conv:
    options = {
        "channels": [3],
        "kernel_size": 3,
        "stride": 1,
        "pooling": "none",
        "pooling_of": "currents",
        "pool_size": 2,
        "recurrence": "none",
        "recurrence_gradient": "full",
    }
    image = image or [2, 4, 5]
    n_inputs = image[0] * image[1] * image[2]
    return Conv(
        Provided(n_inputs, CLASSES, make, readout, *given()), image=image, **{**options, "bias": True, **changes}
    )


def delayed(make: object = leaky, inputs: int = 4, **changes: object) -> Delayed:
    options = {"hidden": [5], "max_delay_steps": 4, "kernel": "gaussian", "sigma_steps": [1.5, 0.5]}
    options |= {"readout_delays": True, "bias": True}
    return Delayed(Provided(inputs, CLASSES, make, readout, *given()), **{**options, **changes})


def spikes(inputs: int, density: float = 0.4, seed: int = 5, steps: int = STEPS) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, BATCH, inputs, generator=random, dtype=torch.float64) < density).double()
