"""A neuron of somebody's own, which sets a tensor anew with each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from sgbench.neurons.leaky import Leaky, LeakyState


class Ramped(Leaky):
    r"""Models a leaky neuron whose input grows during training.

    .. math:: u[t] = \beta u[t-1] + (1 + p) I[t] - \theta s[t-1], \qquad p = \text{share of training done}
    """

    gain: Tensor | None = None

    def advance(self, progress: float) -> None:
        """Hold the gain in a new tensor, which may lie where the last one lay, as that one is gone."""
        self.gain = None
        self.gain = torch.tensor(1 + progress, dtype=torch.float64)

    def step(self, current: Tensor, state: LeakyState) -> tuple[Tensor, LeakyState]:
        """Advance one step of a leaky neuron with a larger current."""
        return super().step(current if self.gain is None else current * self.gain, state)

    def recurrence_spec(self) -> None:  # type: ignore[override]
        """Return None: only the step tells."""
