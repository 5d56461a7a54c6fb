"""A network of two hidden layers in float64, and input for it."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.surrogates.triangle import Triangle

INPUTS, HIDDEN, CLASSES = 5, (6, 4), 3
STEPS, LENGTHS = 8, (8, 3, 1, 6, 8)


class Spoilt(Triangle):
    """Spikes as usual, a slope that is not a number."""

    def derivative(self, u: Tensor) -> Tensor:
        return torch.full_like(u, math.nan)


def make_network(
    *, spoilt_layer: int | None = None, readout: str = "leaky_readout", hidden: tuple[int, ...] = HIDDEN
) -> Mlp:
    """Two hidden layers in float64; one of them may have a slope that is not a number."""
    count = itertools.count()

    def spiking(features: int) -> Leaky:
        kind = Spoilt if next(count) == spoilt_layer else Triangle
        surrogate = kind(slope=0.5, width_fwhm=None, normalisation="peak1", scale=1.0)
        options = {"beta": 0.8, "threshold": 0.7, "reset": "subtract", "reset_gradient": "detached"}
        return Leaky(surrogate, features, learn_beta="none", learn_threshold="none", **options)

    return Mlp(
        Provided(
            INPUTS,
            CLASSES,
            spiking,
            spiking if readout == "leaky" else lambda features: LeakyReadout(features, beta=0.8, learn_beta="none"),
            Kaiming(gain=2.0, recurrent_gain=1.0),
            torch.Generator().manual_seed(4),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence="none",
        recurrence_gradient="full",
        bias=True,
    )


def make_batch(samples: int = len(LENGTHS), seed: int = 1) -> Batch:
    random = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, samples, INPUTS, generator=random) < 0.5).double()
    lengths = torch.tensor(list(itertools.islice(itertools.cycle(LENGTHS), samples)))
    target = torch.randint(CLASSES, (samples,), generator=random)
    return Batch(x, target, lengths, torch.arange(samples))
