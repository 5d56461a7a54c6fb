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
        """Describe the neurons by coefficients, or return None where only their step says what they do."""
        ...


class DrivenLayer(Protocol):
    """Defines what an initialisation may ask of the layer whose weights it draws."""

    name: str
    neurons: int

    @property
    def neuron(self) -> DrivenNeurons:
        """Return the neurons that the weights drive."""
        ...

    @property
    def weight(self) -> Tensor:
        """Return the weights into the layer; the first axis counts what receives."""
        ...

    @property
    def recurrent(self) -> Tensor | None:
        """Return the weights among the layer's neurons, or None without recurrence."""
        ...


class Init(ABC):
    """Draws weights in float64, so that runs of both precisions start from the same numbers."""

    @abstractmethod
    def fill(
        self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool, layer: DrivenLayer
    ) -> None:
        """Overwrite the weights of one layer in place by numbers drawn from a generator.

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
    """Draws weights that depend on the number of inputs alone.

    Args:
        gain: factor on feed-forward weights.
        recurrent_gain: factor on recurrent weights.
    """

    def __init__(self, *, gain: float, recurrent_gain: float) -> None:
        self.gain = require_number("init.gain", gain, low=0)
        self.recurrent_gain = require_number("init.recurrent_gain", recurrent_gain, low=0)

    @abstractmethod
    def draw(self, shape: torch.Size, fan_in: int, generator: torch.Generator) -> Tensor:
        """Draw weights as they are at a gain of 1, float64."""

    def fill(
        self,
        weight: Tensor,
        fan_in: int,
        generator: torch.Generator,
        *,
        recurrent: bool,
        layer: DrivenLayer | None = None,
    ) -> None:
        """Overwrite weights in place by drawn ones times the gain of their kind; see `Init.fill`."""
        factor = self.recurrent_gain if recurrent else self.gain
        with torch.no_grad():
            weight.copy_(factor * self.draw(weight.shape, fan_in, generator))


def linear_numbers(entry: str, layer: DrivenLayer) -> LinearSpec:
    """Return the coefficients of a layer's neurons, which are linear below threshold and take one current.

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
    """Reshape neurons' values, one or [N], to one for each row of a weight, the mean of those that share it."""
    spread = values if values.dim() == 0 else values.reshape(len(weight), -1).mean(1)
    return spread.reshape(spread.shape + (1,) * (weight.dim() - 1) if spread.dim() else ())
