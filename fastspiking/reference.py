"""The engine "reference": a layer's neurons run by calling their `step` once per time step, under autograd."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastspiking.errors import InputError
from fastspiking.layer import EngineLayer, LayerRun, Wanted, begin_feedback, one_by_one, start
from fastspiking.signals.spikes import Signal, dense


def refusal(layer: EngineLayer, device: torch.device) -> None:
    """Return None, since the reference engine runs every layer."""


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    return unroll_current(layer, layer.current(dense(signal)), state, wanted)


def unroll_current(layer: EngineLayer, current: Tensor, state: Any, wanted: Wanted) -> LayerRun:
    """Run a layer step by step from the current of all steps [T, B, ...]; see `Engine.unroll`."""
    if layer.neuron.sees_all_steps:
        return _unroll_at_once(layer, current, state, wanted)
    state = start(layer, current[0], state)
    feedback = begin_feedback(layer)
    outputs = []
    potentials = []
    # unbind, not current[t]: the gradient of an index is a full [T, B, N] tensor of zeros for every step.
    for t, now in enumerate(current.unbind(0)):
        if wanted.window is not None and t and t % wanted.window == 0:
            state = type(state)(*(field.detach() for field in state))
        driven = now
        if layer.recurrent is not None:
            driven = layer.neuron.driven(now, feedback(layer.neuron.fed_back(state)))
        output, state = layer.neuron.step(driven, state)
        outputs.append(output)
        if wanted.u:
            potentials.append(layer.neuron.centred(state))
    return LayerRun(torch.stack(outputs), torch.stack(potentials) if wanted.u else None, state)


def _unroll_at_once(layer: EngineLayer, current: Tensor, state: Any, wanted: Wanted) -> LayerRun:
    """Run neurons that see a whole sequence at once."""
    if state is not None:
        raise InputError(f"layer '{layer.name}': its neurons see a whole sequence and cannot go on from a state")
    output, u, last = layer.neuron.unroll(current)  # type: ignore[attr-defined]
    return LayerRun(output, u if wanted.u else None, last)
