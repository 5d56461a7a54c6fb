"""The definition: a layer is its neuron's `step`, called once per time step, under autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Steps(Protocol):
    """What an engine needs of a layer's neurons."""

    def step(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Advance one time step."""
        ...

    def centred(self, state: Any) -> Tensor:
        """Membrane potential minus threshold."""
        ...


class LayerRun(NamedTuple):
    """One layer over all steps."""

    output: Tensor  # [T, B, N]
    u: Tensor | None  # membrane potential minus threshold [T, B, N], if asked for
    state: Any  # after the last step


def unroll(
    neuron: Steps,
    current: Tensor,
    state: Any,
    *,
    feedback: Callable[[Tensor], Tensor] | None = None,
    keep_u: bool = False,
) -> LayerRun:
    """Run one layer over time.

    Args:
        neuron: with its elementwise `step`.
        current: feed-forward current of all steps [T, B, N].
        state: before the first step.
        feedback: recurrent current [B, N] from the layer's last output [B, N], or None.
        keep_u: whether the membrane potential of all steps is wanted.
    """
    outputs = []
    potentials = []
    # unbind, not current[t]: the gradient of an index is a full [T, B, N] tensor of zeros for every step.
    for now in current.unbind(0):
        driven = now if feedback is None else now + feedback(state.s)
        output, state = neuron.step(driven, state)
        outputs.append(output)
        if keep_u:
            potentials.append(neuron.centred(state))
    return LayerRun(torch.stack(outputs), torch.stack(potentials) if keep_u else None, state)
