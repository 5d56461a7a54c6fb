"""Spikes drawn with a probability: what all such firings share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from sgbench.firing.base import Firing
from sgbench.surrogates.base import Surrogate


class Chance(Firing):
    """Draws a spike, 0 or 1, with a probability that the potential gives, by the surrogate's own generator."""

    stochastic: ClassVar[bool] = True

    @abstractmethod
    def probability(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the probability of a spike at each potential above threshold u."""

    def log_probability(self, spikes: Tensor, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Compute the logarithm of the probability of given spikes, 0 or 1, elementwise and differentiable in u."""
        fires = self.probability(u, surrogate)
        chosen = torch.where(spikes > 0, fires, 1 - fires)
        return chosen.clamp_min(torch.finfo(u.dtype).tiny).log()

    def fire(self, u: Tensor, surrogate: Surrogate) -> Tensor:
        """Draw 0 or 1 for each neuron, with the probability of a spike at its potential."""
        return (surrogate.uniform(u) < self.probability(u, surrogate)).to(u.dtype)
