"""The base of firings that draw spikes with a probability."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.firing.base import Firing
from sgbench.surrogates.base import Surrogate


class Chance(Firing):
    """Draws a spike, 0 or 1, with a probability that depends on the potential; uses the surrogate's generator."""

    stochastic: ClassVar[bool] = True

    @abstractmethod
    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the probability of a spike, from the potential minus the threshold u; of the shape of u."""

    def log_probability(self, spikes: Tensor, u: Tensor, surrogate: Surrogate) -> Tensor:
        fires = self.probability(u, surrogate)
        of_drawn = torch.where(spikes > 0, fires, 1 - fires)
        return of_drawn.clamp_min(torch.finfo(u.dtype).tiny).log()

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        return (surrogate.uniform(u) < self.probability(u, surrogate)).to(u.dtype)
