"""The contract of an initialisation: fill a weight from a generator."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sgbench.errors import require_number


class Init(ABC):
    """Draws weights in float64, so that runs of both precisions start from the same numbers.

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

    def fill(self, weight: Tensor, fan_in: int, generator: torch.Generator, *, recurrent: bool) -> None:
        """Overwrite `weight` in place.

        Args:
            weight: [n_out, n_in], or [n] of one-to-one connections.
            fan_in: number of inputs of one neuron.
            generator: of the initialisation's stream.
            recurrent: whether these are recurrent weights.
        """
        factor = self.recurrent_gain if recurrent else self.gain
        with torch.no_grad():
            weight.copy_(factor * self.draw(weight.shape, fan_in, generator))
