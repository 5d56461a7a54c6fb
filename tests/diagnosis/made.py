"""Small networks and objectives, made without a composition."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch, Trajectory
from sgbench.losses.base import OutputLoss
from sgbench.networks.base import Chain, DenseLayer
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.regularisers.none import NoPenalty
from sgbench.rules.base import Objective
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.rectangle import Rectangle
from sgbench.surrogates.sigmoid import Sigmoid
from sgbench.surrogates.zero import Zero

MakeSurrogate = Callable[[], Surrogate]


class Sum(OutputLoss):
    """Adds up the outputs of some steps: a loss that is linear in them."""

    def __init__(self, steps: slice = slice(None)) -> None:
        self.steps = steps

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """The sum over steps and outputs, of each sample."""
        return trajectory.output[self.steps].sum((0, 2))


class HalfSquares(OutputLoss):
    """Half the squared distance to the target, summed over everything."""

    def each(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """That of each sample."""
        return 0.5 * (trajectory.output - target.transpose(0, 1)).square().sum((0, 2))

    def whole(self, trajectory: Trajectory, target: Tensor) -> Tensor:
        """The sum, not the mean."""
        return self.each(trajectory, target).sum()


def sigmoid(slope: float = 5.0, normalisation: str = "raw") -> Sigmoid:
    """A logistic surrogate."""
    return Sigmoid(slope=slope, width_fwhm=None, normalisation=normalisation, scale=1.0)


def fast_sigmoid(slope: float = 5.0) -> FastSigmoid:
    """A surrogate with long tails."""
    return FastSigmoid(slope=slope, width_fwhm=None, normalisation="peak1", scale=1.0)


def rectangle(width: float = 0.5) -> Rectangle:
    """A compact surrogate."""
    return Rectangle(slope=None, width_fwhm=width, normalisation="peak1", scale=1.0)


def zero() -> Zero:
    """A surrogate that passes nothing on."""
    return Zero(normalisation="raw", scale=1.0)


def leaky(surrogate: Surrogate, **changes: Any) -> Leaky:
    """Leaky neurons of decay 0.9."""
    options = {"beta": 0.9, "threshold": 1.0, "reset": "subtract", "reset_gradient": "detached"}
    options |= {"learn_beta": "none", "learn_threshold": "none", **changes}
    return Leaky(surrogate, **options)  # type: ignore[arg-type]


def network(
    sizes: Sequence[int],
    make_surrogate: MakeSurrogate,
    *,
    gain: float = 1.0,
    recurrence: str = "none",
    cut: bool = False,
    spiking_readout: bool = False,
    seed: int = 0,
    reset_gradient: str = "detached",
) -> Chain:
    """A chain of dense layers with normal weights of standard deviation gain over the root of the inputs."""
    generator = torch.Generator().manual_seed(seed)
    made = Chain()
    layers = []
    last = len(sizes) - 2
    for place, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        if place == last:
            neuron: Any = leaky(make_surrogate()) if spiking_readout else LeakyReadout(beta=0.9, learn_beta="none")
            layers.append(DenseLayer("readout", n_in, n_out, neuron))
        else:
            gradient = "cut" if cut else "full"
            neuron = leaky(make_surrogate(), reset_gradient=reset_gradient)
            layers.append(
                DenseLayer(f"hidden{place}", n_in, n_out, neuron, recurrence=recurrence, recurrence_gradient=gradient)
            )
    with torch.no_grad():
        for layer in layers:
            for weight in layer.parameters():
                drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                weight.copy_(gain * drawn / weight.shape[-1] ** 0.5)
    made.layers = nn.ModuleList(layers)
    made.engine = Engine("reference")
    return made


def batch(steps: int, samples: int, inputs: int, outputs: int, *, rate: float = 0.4, seed: int = 1) -> Batch:
    """Random spikes and normal targets."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(steps, samples, inputs, generator=generator, dtype=torch.float64) < rate).double()
    target = torch.randn(samples, steps, outputs, generator=generator, dtype=torch.float64)
    return Batch(x, target, torch.full((samples,), steps), torch.arange(samples))


def objective(loss: Any = None) -> Objective:
    """A loss without a penalty."""
    return Objective(HalfSquares() if loss is None else loss, NoPenalty())
