"""The interface of a firing, which replaces a surrogate's forward pass: what a neuron sends at a potential u."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.surrogates.base import Output, Surrogate


class Firing(ABC):
    """Replaces a surrogate's forward pass by `fire` and its backward pass by `slope`.

    u is the potential minus the threshold, a tensor of any shape; all methods return tensors of its shape.
    """

    output: ClassVar[Output] = "binary"
    stochastic: ClassVar[bool] = False
    escapes: ClassVar[bool] = False  # whether it uses the surrogate's escape probability
    smooth: ClassVar[bool] = False  # whether it sends a smooth function of the potential, in evaluation too

    def begin(self, surrogate: Surrogate) -> None:
        """Make the surrogate of one layer fire this way.

        Raises:
            InputError: the surrogate has a forward pass of its own; or an escape probability is needed and its
                slope has no finite area; or `check` refuses it.
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
        """Raise an `InputError` for a surrogate that this firing is not defined for; by default accept all.

        Called by `begin`, and again when an initialisation has changed the surrogate's height or width.
        """

    @abstractmethod
    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute what each neuron sends, from the potential minus the threshold u; of shape and dtype of u."""

    def slope(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the derivative that the backward pass uses; by default the surrogate's slope at u."""
        return surrogate.derivative(u)

    @property
    def has_primitive(self) -> bool:
        """Return whether `primitive` is an integral of `slope`: true unless a class redefines `slope` alone."""
        return type(self).slope is Firing.slope or type(self).primitive is not Firing.primitive

    def primitive(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute an integral of `slope` over u, from which a learned steepness gets its gradient.

        By default the surrogate's primitive.
        """
        return surrogate.primitive(u)


def is_smooth(firing: object) -> bool:
    """Return whether a surrogate's `firing` is one that sends smooth values in evaluation too."""
    return isinstance(firing, Firing) and firing.smooth


class Chance(Firing):
    """Draws a spike, 0 or 1, with a probability that depends on the potential; uses the surrogate's generator."""

    stochastic: ClassVar[bool] = True

    @abstractmethod
    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the probability of a spike, from the potential minus the threshold u; of the shape of u."""

    def log_probability(self, spikes: Tensor, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the logarithm of the probability that these spikes are drawn at u; never minus infinity."""
        fires = self.probability(u, surrogate)
        of_drawn = torch.where(spikes > 0, fires, 1 - fires)
        return of_drawn.clamp_min(torch.finfo(u.dtype).tiny).log()

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Draw a spike for each neuron."""
        return (surrogate.uniform(u) < self.probability(u, surrogate)).to(u.dtype)
