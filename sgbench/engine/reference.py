"""The definition: a layer is its neuron's `step`, called once per time step, under autograd."""

from __future__ import annotations

from typing import Any

import torch

from sgbench.engine.layer import Layer, LayerRun, start
from sgbench.spikes import Signal, dense


def refusal(layer: Layer, device: torch.device) -> None:
    """It runs everything."""


def unroll(layer: Layer, signal: Signal, state: Any, *, keep_u: bool, packed: bool) -> LayerRun:
    """Run one layer over time.

    Args:
        layer: product, recurrence and neurons.
        signal: input of all steps [T, B, ...].
        state: before the first step; None is rest.
        keep_u: whether the membrane potential of all steps is wanted.
        packed: whether spikes may be handed on as `Events`; here they never are.
    """
    current = layer.current(dense(signal))
    state = start(layer, current[0], state)
    outputs = []
    potentials = []
    # unbind, not current[t]: the gradient of an index is a full [T, B, N] tensor of zeros for every step.
    for now in current.unbind(0):
        driven = now if layer.recurrent is None else now + layer.feedback(state.s)
        output, state = layer.neuron.step(driven, state)
        outputs.append(output)
        if keep_u:
            potentials.append(layer.neuron.centred(state))
    return LayerRun(torch.stack(outputs), torch.stack(potentials) if keep_u else None, state)
