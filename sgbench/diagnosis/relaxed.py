"""Replace the spikes of a network by the surrogate's primitive, or by given spikes."""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.diagnosis.traces import on_the_reference
from sgbench.errors import InputError
from sgbench.firing.soft import Soft
from sgbench.networks.base import Network, surrogates
from sgbench.neurons.gated import reset_rules
from sgbench.surrogates.base import Output, Surrogate


class GivenSpikes:
    """Sends given spikes, one step after another, whatever the potential; their slope is the surrogate's.

    `spikes`: of one layer [T, B, N]. `passes`: whether gradients pass through spikes by the surrogate's slope;
    otherwise spikes are constants.
    """

    output: ClassVar[Output] = "binary"
    stochastic: ClassVar[bool] = False

    def __init__(self, spikes: Tensor, *, passes: bool) -> None:
        self.steps: Iterator[Tensor] = iter(spikes)
        self.passes = passes

    @property
    def has_primitive(self) -> bool:
        """Return false, since given spikes have no primitive."""
        return False

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return next(self.steps).to(u.dtype)

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Return the surrogate's slope at the potential u if `passes`, else zeros."""
        return surrogate.derivative(u) if self.passes else torch.zeros_like(u)

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Raise an error, since given spikes have no primitive."""
        raise InputError("given spikes follow no curve")


def relaxed(network: Network) -> Network:
    """Copy a network with smooth outputs in place of spikes, so that its gradient is exact.

    The outputs are the integral of the surrogate's slope, its primitive, which runs from 0 to 1. Resets and
    recurrent spikes that are detached from the gradient are attached in the copy.
    """
    copied = on_the_reference(network)
    for surrogate in surrogates(copied):
        area = surrogate.area
        if surrogate.firing is not None and not isinstance(surrogate.firing, Soft):
            raise InputError(f"{type(surrogate.firing).__name__} fires otherwise than by a step")
        if area is None or not math.isfinite(area) or area <= 0:
            area_text = "no area" if area is None else f"an area of {area:g}"
            raise InputError(
                f"{type(surrogate).__name__} has {area_text}, so that no smooth curve from 0 to 1 has its slope"
            )
        surrogate.escape_probability(torch.zeros(1))  # raises an InputError if the class defines no primitive
        surrogate.firing, surrogate.output = Soft(), "real"
    for layer in copied.layers:
        # Let gradient pass through recurrent spikes, and through the spikes that reset potentials.
        layer.cut = False  # type: ignore[assignment]
        for rule in reset_rules(layer.neuron):
            rule.detached = False
    return copied
