"""The contract of a firing: what a neuron sends when its potential is u above threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Output, Surrogate


class Firing(ABC):
    """Replaces the step of a surrogate's forward pass; `slope` is what its backward pass multiplies by."""

    output: ClassVar[Output] = "binary"
    stochastic: ClassVar[bool] = False
    escapes: ClassVar[bool] = False  # whether it needs an escape probability
    smooth: ClassVar[bool] = (
        False  # whether what it sends is a smooth curve of the potential, also in evaluation
    )

    def begin(self, surrogate: Surrogate) -> None:
        """Prepare the surrogate of one layer to fire this way, or refuse it.

        Raises:
            InputError: it cannot: the surrogate sends spikes of its own, or an escape probability is needed and
                the surrogate is no bell of finite area.
        """
        if type(surrogate).fire is not Surrogate.fire:
            raise InputError(
                f"{type(self).__name__} replaces a step at threshold, and {type(surrogate).__name__} sends spikes "
                f"of its own; use firing=step"
            )
        if self.escapes:
            surrogate.escape_probability(torch.zeros(1))
        self.check(surrogate)
        surrogate.fire_by(self)

    def check(self, surrogate: Surrogate) -> None:  # noqa: B027 - most take every slope
        """Refuse a surrogate that it is not defined for; asked again once initialisation has shaped it.

        Raises:
            InputError: names the option and the remedy.
        """

    @abstractmethod
    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Decide from the potential above threshold u what each neuron sends; shape and dtype of `u`."""

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the derivative by u of what is sent; the surrogate's unless said otherwise."""
        return surrogate.derivative(u)

    @property
    def has_primitive(self) -> bool:
        """Return whether `primitive` is a curve of `slope`: a class that redefines one has to redefine both."""
        return type(self).slope is Firing.slope or type(self).primitive is not Firing.primitive

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the curve of `slope`, by which a steepness learns; the surrogate's unless said otherwise."""
        return surrogate.primitive(u)


def is_smooth(firing: object) -> bool:
    """Return whether a surrogate's firing sends a smooth curve in evaluation too."""
    return isinstance(firing, Firing) and firing.smooth
