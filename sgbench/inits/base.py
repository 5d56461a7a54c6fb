"""The contract of an initialisation: fill a weight from a generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch import Tensor

from sgbench.engine.spec import LinearSpec
from sgbench.errors import InputError, require_number


class DrivenNeurons(Protocol):
    """Defines what an initialisation may ask of the neurons that the weights drive."""

    currents: int

    def recurrence_spec(self) -> LinearSpec | None:
        """Return the neurons as numbers, or None where only their step says what they do."""
        ...


class DrivenLayer(Protocol):
    """Defines what an initialisation may ask of the layer whose weights it draws."""

    name: str
    neurons: int

    @property
    def neuron(self) -> DrivenNeurons:
        """The neurons."""
        ...

    @property
    def weight(self) -> Tensor:
        """Weights into the layer; the first axis counts what receives."""
        ...

    @property
    def recurrent(self) -> Tensor | None:
        """Weights among its neurons."""
        ...


class Init(ABC):
    """Draws weights in float64, so that runs of both precisions start from the same numbers."""

    @abstractmethod
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite `weight` in place.

        Args:
            weight: [n_out, n_in], [channels, channels in, height, width], or [n] of one-to-one connections.
            fan_in: number of inputs of one neuron.
            generator: of the initialisation's stream.
            recurrent: whether these are recurrent weights.
            layer: whose weights they are.

        Raises:
            InputError: the initialisation is not defined for this layer.
        """


class ScaledInit(Init):
    """Weights that depend on the number of inputs alone.

    Args:
        gain: factor on feed-forward weights.
        recurrent_gain: factor on recurrent weights.
    """

    def __init__(self, *, gain: float, recurrent_gain: float) -> None:
        self.gain = require_number("init.gain", gain, low=0)
        self.recurrent_gain = require_number("init.recurrent_gain", recurrent_gain, low=0)

    @abstractmethod
    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Weights at gain 1, float64."""

    def fill(
        self,
        weight: Tensor,
        fan_in: int,
        generator: torch.Generator,
        *,
        recurrent: bool,
        layer: DrivenLayer | None = None,
    ) -> None:
        """See `Init.fill`; any layer will do."""
        factor = self.recurrent_gain if recurrent else self.gain
        with torch.no_grad():
            weight.copy_(factor * self.draw(weight.shape, fan_in, generator))


def linear_numbers(entry: str, layer: DrivenLayer) -> LinearSpec:
    """Return the numbers of a layer's neurons, which are linear below threshold and take one current.

    Raises:
        InputError: other neurons, for which `entry` is not defined.
    """
    numbers = layer.neuron.recurrence_spec() if layer.neuron.currents == 1 else None
    if numbers is None:
        raise InputError(
            f"init={entry}: the neurons of layer '{layer.name}' are not linear in one current; "
            f"use init=kaiming, or neurons that `sgbench list neuron` calls linear"
        )
    return numbers


def by_row(values: Tensor, weight: Tensor) -> Tensor:
    """Numbers of the neurons, one or [N], as one for each row of their weight; rows that share take the mean."""
    spread = values if values.dim() == 0 else values.reshape(len(weight), -1).mean(1)
    return spread.reshape(spread.shape + (1,) * (weight.dim() - 1) if spread.dim() else ())
