"""A neuron of somebody's own, which sets a tensor anew with each epoch."""

import torch
from torch import Tensor

from sgbench.neurons.base import SpikingState
from sgbench.neurons.leaky import Leaky

MOST_TRIED = 1000
"""Tensors that are made until one lies where the first one lay."""


class Ramped(Leaky):
    r"""Models a leaky neuron whose input grows during training.

    .. math:: u[t] = \beta u[t-1] + (1 + p) I[t] - \theta s[t-1], \qquad p = \text{share of training done}
    """

    gain: Tensor | None = None
    place: int | None = None  # where the first gain lay

    def advance(self, progress: float) -> None:
        """Hold the gain in a new tensor that lies where the last one lay: by its identity it is the same."""
        self.gain = None
        made = [torch.tensor(1 + progress, dtype=torch.float64)]
        while self.place not in (None, id(made[-1])) and len(made) < MOST_TRIED:
            made.append(torch.tensor(1 + progress, dtype=torch.float64))
        self.gain = made[-1]
        self.place = id(self.gain) if self.place is None else self.place

    def step(self, current: Tensor, state: SpikingState) -> tuple[Tensor, SpikingState]:
        return super().step(current if self.gain is None else current * self.gain, state)

    def recurrence_spec(self) -> None:  # type: ignore[override]
        """Return None: only the step defines the neuron."""
