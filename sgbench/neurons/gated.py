"""What gated neurons share: the reset of a hidden value, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sgbench.errors import InputError
from sgbench.neurons.base import ResetPotential
from sgbench.neurons.quantity import Threshold
from sgbench.surrogates.base import Surrogate


class HiddenReset:
    r"""Says what a spike takes from a hidden value h: subtract h - theta s, zero (1 - s) h, none h.

    Args:
        reset: "none", "subtract" or "zero", as above.
        reset_gradient: "detached" or "attached".
    """

    def __init__(self, reset: str, reset_gradient: str) -> None:
        if reset == "subtract_decayed":
            raise InputError(
                "neuron.reset='subtract_decayed': a gated value has no decay; one of subtract, zero, none is needed"
            )
        self.rule = ResetPotential(reset, reset_gradient)

    def __call__(self, h: Tensor, s: Tensor, threshold: Tensor | float) -> Tensor:
        """Take from a hidden value what the last spikes ask for."""
        s = self.rule.seen(s)
        if self.rule.reset == "subtract":
            return h - threshold * s
        return (1 - s) * h if self.rule.reset == "zero" else h

    @property
    def additions(self) -> int:
        """Count the sums of one reset: one where the threshold is subtracted, else none."""
        return int(self.rule.reset == "subtract")


def reset_rules(neuron: object) -> Iterator[ResetPotential]:
    """Yield the reset rules of a neuron: of its potential, or of a hidden value."""
    for part in vars(neuron).values():
        if isinstance(part, ResetPotential | HiddenReset):
            yield part if isinstance(part, ResetPotential) else part.rule


def passes_reset(neuron: object) -> bool:
    """Return whether the gradient passes through a reset of a neuron."""
    return any(not rule.detached and rule.reset != "none" for rule in reset_rules(neuron))


def below_one(entry: str, threshold: Threshold) -> None:
    """Refuse a threshold that a hidden value within (-1, 1) never crosses."""
    largest = torch.as_tensor(threshold()).max().item()
    if largest >= 1:
        raise InputError(
            f"neuron.threshold={largest:g}: the hidden value of {entry} stays below 1, so it would never fire; "
            f"use a threshold below 1"
        )


def require_gates(entry: str, surrogate: Surrogate) -> None:
    """Refuse a surrogate whose spikes are neither 0 nor 1, as gates cannot be half open."""
    if surrogate.output != "binary":
        raise InputError(
            f"neuron={entry}: its gates are open or shut, and the surrogate sends {surrogate.output} spikes; "
            f"use firing=step and a surrogate of binary output"
        )
