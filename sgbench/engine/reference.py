"""The definition: a layer is its neuron's `step`, called once per time step, under autograd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sgbench.engine.layer import Layer, LayerRun, Wanted, one_by_one, start
from sgbench.spikes import Signal, dense


def refusal(layer: Layer, device: torch.device) -> None:
    """It runs everything."""


def unroll(layers: Sequence[Layer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: Layer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    current = layer.current(dense(signal))
    state = start(layer, current[0], state)
    outputs = []
    potentials = []
    # unbind, not current[t]: the gradient of an index is a full [T, B, N] tensor of zeros for every step.
    for now in current.unbind(0):
        driven = now if layer.recurrent is None else now + layer.feedback(state.s)
        output, state = layer.neuron.step(driven, state)
        outputs.append(output)
        if wanted.u:
            potentials.append(layer.neuron.centred(state))
    return LayerRun(torch.stack(outputs), torch.stack(potentials) if wanted.u else None, state)
