"""The contract of neurons that take all time steps at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate


class SequenceState(NamedTuple):
    """Holds what a `SequenceNeuron` leaves behind; nothing goes on from it."""

    u: Tensor  # membrane potential minus threshold of the last step [B, N]
    s: Tensor  # its spikes [B, N]


class SequenceNeuron(Neuron):
    """Models neurons of which no step can be made alone; they have `unroll` in place of `step`.

    Recurrence, truncated windows and online rules need steps, and refuse them.

    Args:
        surrogate: spike forward, slope backward.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    sees_all_steps: ClassVar[bool] = True

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate

    @abstractmethod
    def potential(self, current: Tensor) -> Tensor:
        """Compute membrane potential minus threshold from the current, both of all steps [T, B, N]."""

    def unroll(self, current: Tensor) -> tuple[Tensor, Tensor, SequenceState]:
        """Return spikes and potential minus threshold of all steps [T, B, N], and the state after the last."""
        x = self.potential(current)
        s = self.fire(x)
        return s, x, SequenceState(u=x[-1], s=s[-1])

    def fire(self, x: Tensor) -> Tensor:
        """Fire in all steps at once, or step by step where the surrogate takes statistics of a batch."""
        if self.surrogate.elementwise:
            return self.surrogate(x)
        return torch.stack([self.surrogate(now) for now in x.unbind(0)])

    def initial_state(self, like: Tensor) -> SequenceState:
        """Return zeros of the shape of `like`, as nothing comes before a sequence."""
        return SequenceState(u=torch.zeros_like(like), s=torch.zeros_like(like))

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Refuse to advance by a single step, which such neurons do not have.

        Raises:
            InputError: always.
        """
        raise InputError(f"{type(self).__name__}: takes all time steps at once and has no single step")

    def centred(self, state: SequenceState) -> Tensor:
        """Return membrane potential minus threshold [B, N], which the state holds as it is."""
        return state.u


def require_steps(steps: int, current: Tensor) -> None:
    """Refuse a sequence [T, ...] of another length than the weights over time were made for."""
    if len(current) != steps:
        raise InputError(
            f"neuron.steps={steps}: the weights are of so many time steps, the sequence has {len(current)}; "
            f"set neuron.steps"
        )


def mixed(weights: Tensor, sequence: Tensor) -> Tensor:
    r"""Mix the steps of a sequence by a matrix, :math:`\sum_k W_{tk} x_k`: W [T, T], x [T, ...].

    >>> mixed(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    return (weights @ sequence.flatten(1)).view_as(sequence)


def decays(beta: float, steps: int) -> Tensor:
    r"""Make the matrix of a leaky integral over a sequence, :math:`\beta^{t-k}` for k <= t, float64 [T, T].

    >>> decays(0.5, 3).tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]
    """
    time = torch.arange(steps, dtype=torch.float64)
    return torch.tril(beta ** (time[:, None] - time).clamp(min=0))
