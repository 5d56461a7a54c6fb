"""Resets and checks that gated neurons (GRU, LSTM) share."""

from collections.abc import Iterator

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.neurons.base import ResetPotential
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Surrogate


class HiddenReset:
    r"""Resets a hidden value h after a spike s of the last step.

    `reset`: "subtract" (h - theta s), "zero" ((1 - s) h) or "none" (h); `reset_gradient`: "detached" or "attached" (the
    gradient also flows through s).
    """

    def __init__(self, reset: str, reset_gradient: str) -> None:
        if reset == "subtract_decayed":
            raise InputError(
                "neuron.reset='subtract_decayed': a gated value has no decay; one of subtract, zero, none is needed"
            )
        self.rule = ResetPotential(reset, reset_gradient)

    def __call__(self, h: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Return the hidden value [B, N] after the reset by the last spikes s [B, N]."""
        s = self.rule.reset_spikes(s)
        if self.rule.reset == "subtract":
            return h - threshold * s
        return (1 - s) * h if self.rule.reset == "zero" else h

    @property
    def additions(self) -> int:
        """Return the additions of one reset: one if the threshold is subtracted, else none."""
        return int(self.rule.reset == "subtract")


def reset_rules(neuron: object) -> Iterator[ResetPotential]:
    """Yield the reset rules of a neuron, which its parts hold."""
    for part in vars(neuron).values():
        if isinstance(part, ResetPotential | HiddenReset):
            yield part if isinstance(part, ResetPotential) else part.rule


def passes_reset(neuron: object) -> bool:
    """Return whether gradients flow through the spikes in any reset of a neuron."""
    return any(not rule.detached and rule.reset != "none" for rule in reset_rules(neuron))


def require_below_one(entry: str, threshold: Threshold) -> None:
    """Raise an `InputError` for a threshold of 1 or more, which a hidden value in (-1, 1) never crosses.

    `entry`: name of the neuron in the catalogue, for the message.
    """
    largest = torch.as_tensor(threshold()).max().item()
    if largest >= 1:
        raise InputError(
            f"neuron.threshold={largest:g}: the hidden value of {entry} stays below 1, so it would never fire; "
            f"use a threshold below 1"
        )


def require_gates(entry: str, surrogate: Surrogate) -> None:
    """Raise an `InputError` unless the surrogate's spikes are 0 or 1, as those of gates are."""
    if surrogate.output != "binary":
        raise InputError(
            f"neuron={entry}: its gates are open or shut, and the surrogate sends {surrogate.output} spikes; "
            f"use firing=step and a surrogate of binary output"
        )
