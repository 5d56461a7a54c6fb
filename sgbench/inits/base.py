"""The interface of weight initialisations: fill a weight tensor from a random generator."""

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from fastspiking.spec import LinearSpec
from sgbench.errors import InputError, require_number


class DrivenNeurons(Protocol):
    """Defines the attributes of neurons that an initialisation may use."""

    currents: int  # input currents of one neuron

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the neurons' linear coefficients, or None if they have none."""
        ...


class DrivenLayer(Protocol):
    """Defines the attributes of a layer that an initialisation may use to draw its weights."""

    name: str
    neurons: int  # number of neurons

    @property
    def neuron(self) -> DrivenNeurons:
        """Return the neurons that the weights drive."""
        ...

    @property
    def weight(self) -> Tensor:
        """Return the weights into the layer; the first axis is that of the receiving neurons or channels."""
        ...

    @property
    def recurrent(self) -> Tensor | None:
        """Return the recurrent weights among the layer's neurons, or None without recurrence."""
        ...


class Init(ABC):
    """Draws weights in float64, so that runs of both precisions start from the same numbers."""

    @abstractmethod
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite weights of one layer in place by random numbers.

        `weight`: the weights to fill: [n_out, n_in], [channels, channels in, height, width], or [n] of one-to-one
        connections. `fan_in`: number of inputs of one neuron. `generator`: random generator to draw from. `recurrent`:
        whether `weight` is the layer's recurrent weights, not those of its input. `layer`: the layer that has the
        weights.

        Raises:
            InputError: the initialisation is not defined for this layer.
        """


class ScaledInit(Init):
    """Draws weights from a distribution that depends only on the number of inputs, times a gain.

    Args:
        gain: factor on feed-forward weights.
        recurrent_gain: factor on recurrent weights.
    """

    def __init__(self, *, gain: float, recurrent_gain: float) -> None:
        self.gain = require_number("init.gain", gain, low=0)
        self.recurrent_gain = require_number("init.recurrent_gain", recurrent_gain, low=0)

    @abstractmethod
    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Draw weights of this shape for a gain of 1, in float64, from the number of inputs `fan_in`."""

    def fill(
        self,
        weight: Tensor,
        fan_in: int,
        generator: torch.Generator,
        *,
        recurrent: bool,
        layer: DrivenLayer | None = None,
    ) -> None:
        """Overwrite weights in place by `draw` times the gain, or the recurrent gain; see `Init.fill`."""
        factor = self.recurrent_gain if recurrent else self.gain
        with torch.no_grad():
            weight.copy_(factor * self.draw(weight.shape, fan_in, generator))


def linear_numbers(entry: str, layer: DrivenLayer) -> LinearSpec:
    """Return the linear coefficients of a layer's neurons.

    Raises:
        InputError: the neurons have none, or take several currents; names the initialisation `entry`.
    """
    numbers = layer.neuron.recurrence_spec() if layer.neuron.currents == 1 else None
    if numbers is None:
        raise InputError(
            f"init={entry}: the neurons of layer '{layer.name}' are not linear in one current; "
            f"use init=kaiming, or neurons that `sgbench list neuron` calls linear"
        )
    return numbers


def by_row(values: Tensor, weight: Tensor) -> Tensor:
    """Average values of neurons over the neurons of each row of a weight, so that they broadcast against it.

    Args:
        values: a scalar, which is returned, or one value per neuron [N].
        weight: [rows, ...]; a row is a neuron, or a channel, whose N / rows neurons share it.

    Returns:
        A scalar, or [rows, 1, ...] with as many axes as the weight.
    """
    if values.dim() == 0:
        return values
    return values.reshape(len(weight), -1).mean(1).reshape(-1, *[1] * (weight.dim() - 1))
