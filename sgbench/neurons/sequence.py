"""The interface of neurons that take all time steps at once."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate


class SequenceState(NamedTuple):
    """Holds the last step of a `SequenceNeuron`; no later step continues from it."""

    u: Tensor  # membrane potential minus threshold [B, N]
    s: Tensor  # spikes [B, N]


class SequenceNeuron(Neuron):
    """Models neurons that compute all steps of a sequence at once, by `unroll` in place of `step`.

    Recurrence, truncated windows and online rules need single steps, and refuse these neurons. `surrogate`: spike
    forward, slope backward.
    """

    output: ClassVar[Literal["binary", "real"]] = "binary"
    sees_all_steps: ClassVar[bool] = True

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        self.surrogate = surrogate

    @abstractmethod
    def potential(self, current: Tensor) -> Tensor:
        """Compute membrane potential minus threshold [T, B, N] of all steps from the currents [T, B, N]."""

    def unroll(self, current: Tensor) -> tuple[Tensor, Tensor, SequenceState]:
        """Return spikes and potential minus threshold, each [T, B, N], and the state of the last step."""
        x = self.potential(current)
        s = self.fire(x)
        return s, x, SequenceState(u=x[-1], s=s[-1])

    def fire(self, x: Tensor) -> Tensor:
        """Return the spikes [T, B, N] for potentials minus threshold x [T, B, N].

        A surrogate that is not elementwise, as it uses statistics of a batch, is called once per step.
        """
        if self.surrogate.elementwise:
            return self.surrogate(x)
        return torch.stack([self.surrogate(step) for step in x.unbind(0)])

    def initial_state(self, like: Tensor) -> SequenceState:
        return SequenceState(u=torch.zeros_like(like), s=torch.zeros_like(like))

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        raise InputError(f"{type(self).__name__}: takes all time steps at once and has no single step")

    def centred(self, state: SequenceState) -> Tensor:
        return state.u


def require_steps(steps: int, current: Tensor) -> None:
    """Raise an `InputError` if the current [T, ...] has another number of steps than `steps`."""
    if len(current) != steps:
        raise InputError(
            f"neuron.steps={steps}: the weights are of so many time steps, the sequence has {len(current)}; "
            f"set neuron.steps"
        )


def mix_steps(weights: Tensor, sequence: Tensor) -> Tensor:
    r"""Compute :math:`\sum_k W_{tk} x_k` [T, ...], sums over time of a sequence x [T, ...] by weights W [T, T].

    >>> mix_steps(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    return (weights @ sequence.flatten(1)).view_as(sequence)


def decay_matrix(beta: float, steps: int) -> Tensor:
    r"""Return the matrix of a leaky integral over time, :math:`\beta^{t-k}` for k <= t, else 0, float64 [T, T].

    >>> decay_matrix(0.5, 3).tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]
    """
    time = torch.arange(steps, dtype=torch.float64)
    return torch.tril(beta ** (time[:, None] - time).clamp(min=0))
